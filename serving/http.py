"""The routes: read a question strictly, let ``online`` answer it in a thread, hand the answer out as it is.

Bodies are parsed by orjson (NaN, Infinity, bad UTF-8, lone surrogates and deep nests are not JSON) and judged
by ``serving.schemas``; answers are plain dicts and are not validated again. What they look like is documented
by ``serving.replies`` and shown by ``serving.docs``.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import orjson
from anyio import to_thread
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from serving.docs import SAFE_PAGE, document, refusals, takes
from serving.docs import page as docs_page
from serving.meters import Meters
from serving.pool import Pool
from serving.replies import AudienceReply, DecisionReply, OpenReply, OutcomesReply, RecommendReply, ScoreReply
from serving.schemas import AudienceRequest, OutcomesRequest, RecommendRequest, Refused, ScoreRequest, Strict, refusal
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.audiences.answer import Sheet

Reply = dict[str, Any]
Question = TypeVar("Question", bound=Strict)


class Answers(Protocol):
    """What the routes ask; ``serving.online.Online`` answers. Any call may raise ``Refused``."""

    def score(self, request: ScoreRequest, /) -> Reply: ...
    def recommend(self, request: RecommendRequest, /) -> Reply: ...
    def audience(self, request: AudienceRequest, /) -> "Reply | Sheet": ...
    def customer(self, customer_id: str, /) -> Reply | None: ...
    def forget(self, customer_id: str, /) -> Reply | None: ...
    def outcomes(self, request: OutcomesRequest, /) -> Reply: ...
    def decision(self, decision_id: str, /) -> Reply | None: ...
    def release(self) -> Reply: ...
    def ready(self) -> tuple[bool, Reply]: ...


OnlineProvider = Callable[[], Answers]


def create_app(online_provider: OnlineProvider, settings: Settings) -> FastAPI:
    """Build the one app of the service; ``serving.guard.Guard`` stands in front of it.

    ``online_provider`` is called once before the first question, which is when it may open files, and then
    for every question: it gives the same object each time. ``app.state.meters`` is what the guard reports to.
    """
    routes = Routes(online_provider, settings)

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(online_provider)
        await to_thread.run_sync(document, app)
        yield
        routes.pool.close()

    app = FastAPI(
        title="Okaeri",
        version="1",
        description="Who is slipping away, when each will buy again, and what is worth offering.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=opened,
    )
    app.state.meters = routes.meters
    routes.add_to(app)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _fault)
    return app


class Routes:
    """One method per route; its first line is what the contract says about it."""

    def __init__(self, online: OnlineProvider, settings: Settings) -> None:
        self.online, self.settings = online, settings
        self.meters = Meters()
        self.pool = Pool(settings.threads, settings.max_queue_s)

    def add_to(self, app: FastAPI) -> None:
        """Give each path its method, its question and its reply."""
        app.post("/v1/score", openapi_extra=takes(ScoreRequest), responses=_says(ScoreReply))(self.score)
        app.post("/v1/recommend", openapi_extra=takes(RecommendRequest), responses=_says(RecommendReply))(
            self.recommend
        )
        app.post("/v1/audiences", openapi_extra=takes(AudienceRequest), responses=_says_rows(AudienceReply))(
            self.audience
        )
        app.get("/v1/customers/{customer_id:path}", responses=_says(OpenReply, 404))(self.customer)
        app.delete("/v1/customers/{customer_id:path}", responses=_says(OpenReply, 404))(self.forget)
        app.post("/v1/outcomes", openapi_extra=takes(OutcomesRequest), responses=_says(OutcomesReply, 409))(
            self.outcomes
        )
        app.get("/v1/decisions/{decision_id}", responses=_says(DecisionReply, 404))(self.decision)
        app.get("/v1/release", responses=_says(OpenReply))(self.release)
        app.get("/livez", responses=_says(OpenReply))(self.livez)
        app.get("/readyz", responses=_says(OpenReply))(self.readyz)
        for path, endpoint in (
            ("/metrics", self.metrics),
            ("/openapi.json", self.openapi),
            ("/docs", self.docs),
        ):
            app.get(path, include_in_schema=False)(endpoint)

    async def score(self, request: Request) -> Response:
        """Up to 1,000 customers: their risk, next order and value, and what to send or not to send."""
        asked = await _read(request, ScoreRequest)
        if asked.n_ids > self.settings.max_ids:
            raise Refused(422, "invalid", f"at most {self.settings.max_ids} ids per request", "customer_ids")
        return await self._answer(request, partial(self.online().score, asked))

    async def recommend(self, request: Request) -> Response:
        """What a customer, the owner of a basket or the reader of a product's page would like."""
        asked = await _read(request, RecommendRequest)
        return await self._answer(request, partial(self.online().recommend, asked))

    async def audience(self, request: Request) -> Response:
        """Whom a filter means tonight: who gets what, who does not and why; with `profile` the list as a file."""
        asked = await _read(request, AudienceRequest)
        found = await self.pool.run(partial(self._list, request.state.request_id, asked))
        if isinstance(found, bytes):
            return Response(found, media_type="application/json")
        named = {"content-disposition": f'attachment; filename="{found.name}"', "content-type": found.media_type}
        return Response(found.content, headers=named)

    def _list(self, request_id: str, asked: AudienceRequest) -> "bytes | Sheet":
        found = self.online().audience(asked)
        return _dumps({"request_id": request_id, **found}) if isinstance(found, dict) else found

    async def customer(self, request: Request, customer_id: str) -> Response:
        """Everything known about one customer: the 360-degree view."""
        return await self._answer(request, partial(self.online().customer, customer_id))

    async def forget(self, request: Request, customer_id: str) -> Response:
        """Forget a customer in every place, with the ids merged with them; the answer is the receipt."""
        return await self._answer(request, partial(self.online().forget, customer_id))

    async def outcomes(self, request: Request) -> Response:
        """What came of messages: deliveries, clicks, redemptions; told twice, late or too early, each counts once."""
        asked = await _read(request, OutcomesRequest)
        return await self._answer(request, partial(self.online().outcomes, asked))

    async def decision(self, request: Request, decision_id: str) -> Response:
        """A recorded decision, exactly as it was answered."""
        return await self._answer(request, partial(self.online().decision, decision_id), "no such decision")

    async def release(self, request: Request) -> Response:
        """Which models and which policy answer now."""
        return await self._answer(request, self.online().release)

    async def livez(self, request: Request) -> Response:
        """The process runs."""
        return _json({"request_id": request.state.request_id, "live": True})

    async def readyz(self, request: Request) -> Response:
        """There is a release to answer with; no key needed, so the detail is for everybody."""
        ready, detail = await to_thread.run_sync(self.online().ready)
        if ready:
            return _json({"request_id": request.state.request_id, "ready": True, **detail})
        refused = Refused(503, "not_ready", "nothing can be answered yet")
        said = {**refused.body(request.state.request_id), "ready": False, **detail}
        return _json(said, refused.status, refused.headers)

    async def metrics(self) -> Response:
        """Counters for Prometheus."""
        return Response(self.meters.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, request: Request) -> Response:
        """This contract, for programs."""
        return _json(document(request.app))

    async def docs(self, request: Request) -> Response:
        """This contract, for people."""
        return Response(docs_page(document(request.app)), media_type="text/html", headers=SAFE_PAGE)

    async def _answer(
        self, request: Request, call: Callable[[], Reply | None], nothing: str = "no such customer"
    ) -> Response:
        content = await self.pool.run(partial(self._compute, request.state.request_id, call, nothing))
        return Response(content, media_type="application/json")

    def _compute(self, request_id: str, call: Callable[[], Reply | None], nothing: str) -> bytes:
        """Runs in a thread, JSON included: a thousand results are megabytes."""
        reply = call()
        if reply is None:
            raise Refused(404, "not_found", nothing)
        self.meters.count_results(reply)
        return _dumps({"request_id": request_id, **reply})


async def _read(request: Request, kind: type[Question]) -> Question:
    """Read a question, or say what is wrong with it without repeating it."""
    try:
        return kind.model_validate(orjson.loads(await request.body()))
    except orjson.JSONDecodeError:
        raise Refused(400, "not_json", "the body is not JSON in UTF-8 (NaN and Infinity are not JSON)") from None
    except ValidationError as invalid:
        raise refusal(kind, invalid) from None


def _says(reply: type[BaseModel], *others: int) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": reply}, **refusals(*others)}


def _says_rows(reply: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Say that a route answers with rows: as JSON, or as the file of a profile."""
    text = {"schema": {"type": "string"}}
    return _says(reply) | {200: {"model": reply, "content": {"text/csv": text, "text/plain": text}}}


def _dumps(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)  # NaN becomes null


def _json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_dumps(content), status, headers, media_type="application/json")


async def _refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    return _json(refused.body(request.state.request_id), refused.status, refused.headers)


async def _no_route(request: Request, error: Exception) -> Response:
    """An unknown path or method, in our words."""
    assert isinstance(error, HTTPException)
    known = {404: ("not_found", "no such route"), 405: ("method_not_allowed", "this route has other methods")}
    code, message = known.get(error.status_code, ("refused", "refused"))
    body = Refused(error.status_code, code, message).body(request.state.request_id)
    return _json(body, error.status_code, dict(error.headers or {}))


async def _fault(request: Request, error: Exception) -> Response:
    """A fault is told by its request id alone; the guard, where it goes next, logs where it happened."""
    body = Refused(500, "internal", "an internal error; quote the request id").body(request.state.request_id)
    return _json(body, 500)
