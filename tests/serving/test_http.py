"""What each route reads and says, with the guard in front and a shop of one customer behind."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.docs import fields
from serving.guard import Guard
from serving.http import create_app
from serving.replies import ErrorReply, ScoreReply
from serving.schemas import AudienceRequest, OutcomesRequest, RecommendRequest, ScoreRequest
from serving.settings import Settings
from tests.serving.fake_service import KNOWN, FakeOnline

SCORE = "/v1/score"


class Client:
    """A caller inside the process: the guard, the app and one event loop, without a network."""

    def __init__(self, online: FakeOnline, settings: Settings) -> None:
        self.online = online
        app = create_app(lambda: online, settings)
        guard = Guard(app, settings, app.state.meters.observe)
        transport = httpx.ASGITransport(guard, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://localhost")
        self.loop = asyncio.Runner()

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.loop.run(self.http.request(method, path, **more))

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)


@pytest.fixture(scope="module")
def online() -> FakeOnline:
    return FakeOnline()


@pytest.fixture(scope="module")
def client(online: FakeOnline) -> Iterator[Client]:
    client = Client(online, Settings())
    with client.loop:
        yield client


def post(client: Client, body: Any, path: str = SCORE) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.request("POST", path, content=content, headers={"content-type": "application/json"})


def error(answer: httpx.Response) -> dict[str, Any]:
    """The refusal, having checked its one shape."""
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = ErrorReply.model_validate(answer.json()).error.model_dump()
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


def test_a_question_is_answered_in_the_order_asked(client: Client) -> None:
    answer = post(client, {"customer_ids": ["x", KNOWN, "x"]})
    assert answer.status_code == 200
    reply = answer.json()
    assert [result["customer_id"] for result in reply["results"]] == ["x", KNOWN, "x"]
    assert reply["request_id"] == answer.headers["x-request-id"] != ""
    assert reply["share"] is None  # NaN is not JSON


def test_defaults_follow_the_contract(client: Client, online: FakeOnline) -> None:
    post(client, {"customer_ids": ["a"], "as_of": "2026-11-21T09:00:00+09:00"})
    one = online.asked[-1]
    assert (one.explain, one.record, one.purpose, one.n_items) == ("brief", False, "marketing", 10)
    assert one.as_of.isoformat() == "2026-11-21T00:00:00+00:00"
    post(client, {"identifiers": [{"type": "member_no", "value": "7"}] * 2, "campaign_id": "win_back"})
    assert (online.asked[-1].explain, online.asked[-1].record) == ("none", True)


@pytest.mark.parametrize(
    ("body", "path", "hint"),
    [
        pytest.param({}, "customer_ids", "either customer_ids or identifiers", id="nobody"),
        pytest.param({"customer_ids": []}, "customer_ids", "at least 1", id="an empty list"),
        pytest.param({"customer_ids": ["a"] * 10_000}, "customer_ids", "at most 1000", id="C2 ten thousand"),
        pytest.param({"customer_ids": None}, "customer_ids", "must not be null", id="C4 null"),
        pytest.param({"customer_ids": "a"}, "customer_ids", "valid list", id="C4 a string for a list"),
        pytest.param({"customer_ids": ["a", "b", "c", 4]}, "customer_ids.3", "valid string", id="C4 a number"),
        pytest.param({"customer_ids": ["a"], "lang": None}, "lang", "must not be null", id="null for optional"),
        pytest.param({"customer_ids": ["a"], "campaign_id": ""}, "campaign_id", "at least 1", id="C4 empty"),
        pytest.param({"custmer_ids": ["a"]}, "custmer_ids", "did you mean customer_ids?", id="C4 a typo"),
        pytest.param({"customer_ids": ["a"], "purpose": "marketng"}, "purpose", "mean marketing?", id="a word"),
        pytest.param({"customer_ids": ["a"], "include": ["chrun"]}, "include.0", "mean churn?", id="a block"),
        pytest.param({"customer_ids": ["a"], "n_items": 51}, "n_items", "less than or equal to 50", id="many"),
        pytest.param({"customer_ids": ["a"], "n_items": True}, "n_items", "valid integer", id="true is not 1"),
        pytest.param({"customer_ids": ["a"], "n_items": 2**64}, "n_items", "valid integer", id="a huge number"),
        pytest.param({"customer_ids": ["a"], "as_of": "2026-11-21T09:00:00"}, "as_of", "offset", id="no offset"),
        pytest.param({"customer_ids": ["a"], "as_of": "0001-01-01T00:00:00+09:00"}, "as_of", "offset", id="year 0"),
        pytest.param({"customer_ids": ["a"], "as_of": 1763683200}, "as_of", "RFC 3339", id="an epoch"),
        pytest.param({"customer_ids": ["a"], "identifiers": []}, "identifiers", "at least 1", id="both, one empty"),
        pytest.param({"customer_ids": ["a"] * 21, "explain": "full"}, "explain", "at most 20", id="full for many"),
        pytest.param(
            {"identifiers": [{"type": "device", "valu": "x"}]},
            "identifiers.0.valu",
            "mean value?",
            id="inside",
        ),
        pytest.param({"customer_ids": ["a"], "context": {"categry": "x"}}, "context.categry", "category?", id="deep"),
        pytest.param([], None, "must be a JSON object", id="a list"),
        pytest.param("a", None, "must be a JSON object", id="a string"),
    ],
)
def test_a_broken_contract_names_the_path_and_the_nearest_word(
    client: Client, body: Any, path: str | None, hint: str
) -> None:
    answer = post(client, body)
    assert answer.status_code == 422
    assert error(answer)["path"] == path
    assert hint in error(answer)["message"]


def test_exactly_one_thing_is_recommended_for(client: Client) -> None:
    assert post(client, {"customer_id": KNOWN}, "/v1/recommend").status_code == 200
    assert post(client, {"product_ids": ["p", "q"], "n_items": 50}, "/v1/recommend").status_code == 200
    for body in ({}, {"customer_id": "a", "product_id": "p"}, {"product_id": "p", "n_items": 0}):
        assert post(client, body, "/v1/recommend").status_code == 422


CLICK = {"contact_id": "m1", "kind": "click", "at": "2026-11-21T09:00:00Z"}
BY_DAY = {"campaign_id": "spring", "customer_id": KNOWN, "day": "2026-11-21"}


@pytest.mark.parametrize(
    ("outcome", "path", "hint"),
    [
        pytest.param({}, "kind", "required", id="nothing"),
        pytest.param(CLICK | {"kind": "clik"}, "kind", "did you mean click?", id="a word"),
        pytest.param(CLICK | {"amont": 1}, "amont", "did you mean amount?", id="a typo"),
        pytest.param(CLICK | {"decision_id": "d1"}, "contact_id", "exactly one of", id="two ways to name one"),
        pytest.param(CLICK | BY_DAY, "contact_id", "exactly one of", id="two ways, a day among them"),
        pytest.param({"kind": "open", "at": CLICK["at"]}, "contact_id", "exactly one of", id="no message"),
        pytest.param(
            {"kind": "open", "at": CLICK["at"], "campaign_id": "spring", "day": "2026-11-21"},
            "contact_id",
            "exactly one of",
            id="a campaign without a customer",
        ),
        pytest.param(CLICK | {"at": "2026-11-21"}, "at", "RFC 3339", id="a day for an instant"),
        pytest.param(
            BY_DAY | {"day": "2026-11-31", "kind": "open", "at": CLICK["at"]}, "day", "must be a day", id="31"
        ),
        pytest.param(CLICK | {"amount": "12"}, "amount", "valid number", id="a number as text"),
        pytest.param(CLICK | {"amount": 1e13}, "amount", "less than", id="too much"),
        pytest.param(CLICK | {"contact_id": "x" * 65}, "contact_id", "at most 64", id="a long id"),
        pytest.param(CLICK | {"contact_id": "a\nb"}, "contact_id", "pattern", id="an id of two lines"),
        pytest.param(CLICK | {"order_id": None}, "order_id", "must not be null", id="null"),
    ],
)
def test_a_broken_outcome_names_its_place(client: Client, outcome: dict[str, Any], path: str, hint: str) -> None:
    answer = post(client, {"outcomes": [CLICK, outcome]}, "/v1/outcomes")
    assert answer.status_code == 422
    said = error(answer)
    assert said["path"] == f"outcomes.1.{path}"
    assert hint in said["message"]


def test_outcomes_are_told_a_thousand_at_a_time(client: Client, online: FakeOnline) -> None:
    ways = [CLICK, BY_DAY | {"kind": "redeem", "at": CLICK["at"], "amount": 12, "order_id": "o1"}]
    assert post(client, {"outcomes": ways * 500}, "/v1/outcomes").json()["accepted"] == 1_000
    assert [str(one.day) for one in online.asked[-1].outcomes[:2]] == ["None", "2026-11-21"]
    assert post(client, {"outcomes": ways * 501}, "/v1/outcomes").status_code == 422
    assert post(client, {"outcomes": []}, "/v1/outcomes").status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="half"),
        pytest.param(b'{"customer_ids": ["a"], "n_items": NaN}', id="C5 NaN"),
        pytest.param(b'{"customer_ids": ["a"], "n_items": -Infinity}', id="C5 Infinity"),
        pytest.param(b'{"customer_ids": ["a"], "n_items": 1e999}', id="C5 beyond double"),
        pytest.param(b'{"customer_ids": ["\xff"]}', id="C8 bad UTF-8"),
        pytest.param(b'{"customer_ids": ["\\ud800"]}', id="C8 half a surrogate pair"),
        pytest.param(b"[" * 100_000, id="C8 a deep nest"),
        pytest.param(b'{"a":' * 5_000 + b"1" + b"}" * 5_000, id="C8 a deep nest of objects"),
        pytest.param(b"\xef\xbb\xbf{}", id="C8 a byte order mark"),
        pytest.param(b"\x80\x04\x95.", id="C7 a pickle that says it is JSON"),
    ],
)
def test_what_is_not_json_is_told_so(client: Client, body: bytes) -> None:
    answer = post(client, body)
    assert (answer.status_code, error(answer)["code"]) == (400, "not_json")


@pytest.mark.parametrize(
    "one",
    [
        "",
        " ",
        "x" * 65,
        "../../etc/passwd",
        "' OR 1=1 --",
        "a\r\nSet-Cookie: b",
        "{{7*7}}",
        "\x00",
        "NA",
        "猫",
    ],
)
def test_any_text_is_an_id_and_nothing_more(client: Client, one: str) -> None:
    answer = post(client, {"customer_ids": [one, KNOWN]})
    assert [result["status"] for result in answer.json()["results"]] == ["unknown_customer", "ok"]
    assert "set-cookie" not in answer.headers


def test_an_id_of_a_megabyte_is_too_large(client: Client) -> None:
    assert post(client, {"customer_ids": ["x" * 1_000_000]}).status_code == 413


def test_nothing_sent_comes_back_in_a_refusal(client: Client) -> None:
    secret = "otome@example.jp"
    for body in (
        {"customer_ids": [secret], "purpose": secret},
        {"customer_ids": [secret], secret: 1},
        {"customer_ids": [{secret: 1}]},
        {"identifiers": [{"type": "email_hash", "value": secret * 20}]},
    ):
        assert secret not in post(client, body).text
    assert secret not in client.get(f"/v1/customers/{secret}").text
    assert secret not in client.get(f"/{secret}").text


def test_a_refusal_by_the_answers_keeps_its_words(client: Client) -> None:
    answer = post(client, {"customer_ids": ["refused"]})
    assert (answer.status_code, error(answer)["path"]) == (422, "campaign_id")


def test_a_fault_is_told_by_its_request_id_alone(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    answer = post(client, {"customer_ids": ["broken-C42"]})
    assert (answer.status_code, error(answer)["code"]) == (500, "internal")
    assert "C42" not in answer.text + caplog.text
    assert answer.headers["x-request-id"] in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/v1/customers/{KNOWN}", 200),
        ("GET", "/v1/customers/A%2FB", 200),
        ("GET", "/v1/customers/nobody", 404),
        ("GET", "/v1/release", 200),
        ("GET", "/v1/decisions/d1", 200),
        ("GET", "/v1/decisions/d2", 404),
        ("GET", "/v1/outcomes", 405),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/", 404),
        ("GET", "/docs.json", 404),
        ("GET", "/v1/score/", 404),
        ("GET", "/v1/score", 405),
        ("DELETE", "/v1/release", 405),
    ],
)
def test_a_route_says_what_it_is(client: Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    if status >= 400:
        error(answer)


def test_a_service_without_a_release_lives_but_is_not_ready(client: Client, online: FakeOnline) -> None:
    online.is_ready = False
    try:
        answer = client.get("/readyz")
        assert client.get("/livez").status_code == 200
    finally:
        online.is_ready = True
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] == "not_ready"


def test_an_erasure_is_answered_with_its_receipt(client: Client) -> None:
    known, unknown = (client.request("DELETE", f"/v1/customers/{one}") for one in (KNOWN, "nobody"))
    assert (known.status_code, known.json()["customer"]) == (200, "a pseudonym")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")
    assert "delete" in client.get("/openapi.json").json()["paths"]["/v1/customers/{customer_id}"]


def test_metrics_count_routes_and_results_but_name_nobody(client: Client) -> None:
    post(client, {"customer_ids": ["metric-secret"]})
    client.get("/v1/customers/metric-secret")
    client.get("/metric-secret")
    page = client.get("/metrics").text
    assert 'okaeri_requests_total{route="/v1/customers/{customer_id}",status="404"}' in page
    assert 'okaeri_requests_total{route="unrouted",status="404"}' in page
    assert 'okaeri_results_total{status="unknown_customer"}' in page
    assert 'okaeri_request_seconds_bucket{le="0.001",route="/v1/score"}' in page
    assert "metric-secret" not in page


def test_health_answers_while_every_thread_works_and_the_rest_are_told_to_come_back() -> None:
    client = Client(FakeOnline(), Settings(threads=1, max_queue_s=0.1))

    async def crowd() -> list[int]:
        slow = asyncio.create_task(client.http.post(SCORE, json={"customer_ids": ["slow"]}))
        await asyncio.sleep(0.05)
        started = time.perf_counter()
        healthy = [await client.http.get("/livez"), await client.http.get("/readyz")]
        assert time.perf_counter() - started < 0.2
        late = await client.http.post(SCORE, json={"customer_ids": [KNOWN]})
        return [answer.status_code for answer in (*healthy, late, await slow)]

    with client.loop:
        assert client.loop.run(crowd()) == [200, 200, 429, 200]
        assert post(client, {"customer_ids": [KNOWN]}).status_code == 200


def test_work_that_outlives_its_deadline_keeps_its_place_until_it_is_done() -> None:
    client = Client(FakeOnline(), Settings(threads=1, max_queue_s=0.05, request_deadline_s=0.1))
    with client.loop:
        assert post(client, {"customer_ids": ["slow"]}).status_code == 503
        assert post(client, {"customer_ids": [KNOWN]}).status_code == 429
        client.loop.run(asyncio.sleep(0.6))
        assert post(client, {"customer_ids": [KNOWN]}).status_code == 200


@pytest.mark.parametrize(
    ("more", "path", "hint"),
    [
        ({"filter": None}, "filter", "valid dictionary"),
        ({"budget": -1}, "budget", "greater than or equal to 0"),
        ({"budget": None}, "budget", "must not be null"),
        ({"profile": "exel-ja"}, "profile", "did you mean excel-ja?"),
        ({"limit": 10_001}, "limit", "less than or equal to 10000"),
        ({"budgt": 1}, "budgt", "did you mean budget?"),
    ],
)
def test_an_audience_is_asked_for_as_strictly(client: Client, more: dict[str, Any], path: str, hint: str) -> None:
    answer = post(client, {"filter": {}, "scenario": "win_back"} | more, "/v1/audiences")
    found = error(answer)
    assert (answer.status_code, found["path"]) == (422, path) and hint in found["message"]


def test_a_profile_comes_as_a_file_of_its_own_encoding(client: Client) -> None:
    answer = post(client, {"filter": {}, "scenario": "win_back", "profile": "excel-ja"}, "/v1/audiences")
    assert answer.headers["content-type"] == "text/csv; charset=windows-31j" and answer.headers["x-request-id"]
    assert answer.headers["content-disposition"] == 'attachment; filename="audience.csv"'
    assert answer.content.decode("cp932") == "顧客番号\r\n"
    contract = client.get("/openapi.json").json()["paths"]["/v1/audiences"]["post"]["responses"]["200"]["content"]
    assert set(contract) == {"application/json", "text/csv", "text/plain"}


def test_the_contract_documents_every_field_and_refusal(client: Client) -> None:
    contract = client.get("/openapi.json").json()
    score = contract["paths"]["/v1/score"]["post"]
    assert {"200", "400", "401", "403", "413", "415", "421", "422", "429", "500", "503"} == set(score["responses"])
    schemas = contract["components"]["schemas"]
    assert schemas["ScoreRequest"]["properties"]["customer_ids"]["maxItems"] == 1000
    assert "anyOf" not in json.dumps(schemas["ScoreRequest"])
    described = {name: meaning for name, _, meaning in fields(schemas["ScoreReply"], schemas)}
    assert "results[].churn.probability" in described and "results[].send.from" in described
    assert [name for name in described if name.count(".") == 2 and not described[name]] == []
    assert "404" in contract["paths"]["/v1/customers/{customer_id}"]["get"]["responses"]


def test_every_reference_of_the_contract_leads_somewhere(client: Client) -> None:
    text = client.get("/openapi.json").text
    known = json.loads(text)["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(known)
    assert "#/$defs" not in text


def test_the_page_for_people_asks_nothing_of_other_hosts(client: Client) -> None:
    answer = client.get("/docs")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text and "//cdn" not in answer.text
    assert set(re.findall(r"(?:src|href)=\"([^\"]*)\"", answer.text)) == {"/openapi.json"}
    for path in (
        "/v1/score",
        "/v1/recommend",
        "/v1/audiences",
        "/v1/customers/{customer_id}",
        "/v1/release",
        "/readyz",
    ):
        assert path in answer.text
    assert "curl -X POST http://127.0.0.1:3000/v1/score" in answer.text
    assert "results[].churn.silence_ratio" in answer.text


def test_the_example_of_the_contract_is_valid(client: Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for path, name in (
        (SCORE, "ScoreRequest"),
        ("/v1/recommend", "RecommendRequest"),
        ("/v1/audiences", "AudienceRequest"),
    ):
        assert post(client, schemas[name]["examples"][0], path).status_code == 200


def test_a_reply_with_a_field_nobody_documented_is_found() -> None:
    with pytest.raises(ValueError, match="surprise"):
        ScoreReply.model_validate({"surprise": 1})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
names = st.sampled_from(
    [
        *ScoreRequest.model_fields,
        *RecommendRequest.model_fields,
        *AudienceRequest.model_fields,
        *OutcomesRequest.model_fields,
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(names, anything, max_size=4) | anything,
    path=st.sampled_from([SCORE, "/v1/recommend", "/v1/audiences", "/v1/outcomes"]),
)
def test_no_json_makes_it_fail(client: Client, body: Any, path: str) -> None:
    answer = post(client, body, path)
    assert answer.status_code in (200, 422)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_no_bytes_make_it_fail(client: Client, body: bytes) -> None:
    assert post(client, body).status_code in (400, 422)
