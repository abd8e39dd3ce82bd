"""The contract of the service, for programs (OpenAPI) and for people (one self-contained page)."""

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from serving.replies import ErrorReply
from serving.schemas import AudienceRequest, OutcomesRequest, RecommendRequest, ScoreRequest, Strict

Json = dict[str, Any]

_REF = "#/components/schemas/"
_REFUSALS = {
    400: "not JSON (NaN and Infinity are not JSON)",
    401: "no live key",
    403: "the key may not do that, or the page is of another site",
    413: "a body over the limit, 1 MB unless set otherwise",
    415: "not application/json",
    421: "a host name that is not served here",
    422: "JSON that breaks the contract; `path` says where",
    429: "busy; see Retry-After",
    500: "an internal error; quote the request id",
    503: "no answer in time, or not ready; see Retry-After",
}
_OTHERS = {404: "no such customer or decision", 409: "an outcome_id that came before with other content"}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%}td{border:1px solid #ccc;padding:.2rem .5rem}"
    "pre{background:#f4f4f4;padding:.8rem;overflow-x:auto}code{font-size:.92em}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
SAFE_PAGE = {
    "content-security-policy": f"default-src 'self'; style-src 'sha256-{_HASH}'; script-src 'none'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


def takes(question: type[Strict]) -> Json:
    """The OpenAPI part that says which body a route takes."""
    schema = {"$ref": _REF + question.__name__}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def refusals(*others: int) -> dict[int | str, Json]:
    """The OpenAPI part that says how a route refuses."""
    said = _REFUSALS | {status: _OTHERS[status] for status in others}
    return {status: {"model": ErrorReply, "description": said[status]} for status in sorted(said)}


def document(app: FastAPI) -> Json:
    """The OpenAPI document; the same bytes for the same code. Built once, then kept by the app."""
    if app.openapi_schema is None:
        contract = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, schemas = models_json_schema(
            [
                (question, "validation")
                for question in (ScoreRequest, RecommendRequest, AudienceRequest, OutcomesRequest)
            ],
            ref_template=_REF + "{model}",
        )
        parts = contract["components"]
        parts["schemas"] = dict(sorted({**parts["schemas"], **schemas["$defs"]}.items()))
        parts["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        contract["security"] = [{"bearer": []}, {"header": []}, {}]
        app.openapi_schema = contract
    return app.openapi_schema


def page(contract: Json) -> str:
    """Write the contract as one HTML page: each route with its fields, its refusals and a call to copy."""
    schemas = contract["components"]["schemas"]
    routes = "".join(
        _route(method.upper(), path, operation, schemas)
        for path, methods in contract["paths"].items()
        for method, operation in methods.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Okaeri: contract</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(contract['info']['title'])}</h1>"
        f"<p>{escape(contract['info']['description'])} For programs: "
        f'<a href="/openapi.json">/openapi.json</a>. Where keys are configured, send <code>Authorization: '
        f"Bearer KEY</code> or <code>X-API-Key: KEY</code>, never a key in the URL.</p>{routes}</body></html>"
    )


def fields(schema: Json, schemas: Json, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Every field below a schema as (dotted name, type, meaning), lists as ``results[]``."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    nullable = " or null" if len(kinds) < len(schema.get("anyOf", [schema])) else ""
    meaning = str(schema.get("description", ""))
    for kind in kinds:
        if "items" in kind:
            yield from fields({"description": meaning, **kind["items"]}, schemas, name + "[]")
            continue
        part = schemas[kind["$ref"].removeprefix(_REF)] if "$ref" in kind else kind
        if name:
            yield name, _type(part) + nullable, meaning or str(part.get("description", ""))
        for key, inner in part.get("properties", {}).items():
            yield from fields(inner, schemas, f"{name}.{key}" if name else key)


def _type(part: Json) -> str:
    if "enum" in part or "const" in part:
        return " | ".join(str(word) for word in part.get("enum", [part.get("const")]))
    low, high = part.get("minimum"), part.get("maximum")
    limits = (
        "" if low is None and high is None else f" {low if low is not None else ''}..{high if high is not None else ''}"
    )
    return str(part.get("format", part.get("type", "any"))) + limits


def _route(method: str, path: str, operation: Json, schemas: Json) -> str:
    question = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    reply = operation["responses"]["200"]["content"]["application/json"]["schema"]
    refused = [(status, said["description"]) for status, said in operation["responses"].items() if status != "200"]
    asked = "<h3>Request</h3>" + _table(fields(question, schemas)) if question else ""
    return (
        f"<h2><code>{method} {escape(path)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
        f"<pre>{escape(_curl(method, path, question, schemas))}</pre>{asked}"
        f"<h3>Reply</h3>{_table(fields(reply, schemas))}<h3>Refusals</h3>{_table(refused)}"
    )


def _curl(method: str, path: str, question: Json | None, schemas: Json) -> str:
    url = "http://127.0.0.1:3000" + path.replace("{customer_id}", "C00042").replace("{decision_id}", "5f0c")
    if question is None:
        return f"curl {url}"
    example = schemas[question["$ref"].removeprefix(_REF)]["examples"][0]
    return f"curl -X {method} {url} -H 'Content-Type: application/json' -d '{json.dumps(example)}'"


def _table(rows: Any) -> str:
    cells = ("".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows)
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
