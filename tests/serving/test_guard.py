"""What the door lets through and how it refuses: a request goes in by hand, message by message."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.types import Message, Receive, Scope, Send

from serving.callers import scope_of
from serving.guard import Guard
from serving.settings import Settings

JSON = {"content-type": "application/json"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any
    chunks_read: int


class Inner:
    """Stands where the app stands: echoes the size of a body, or does what the path says."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.gate = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append((await receive()).get("body", b""))
        if scope["path"] == "/slow":
            await asyncio.sleep(30)
        if scope["path"] == "/wait":
            await self.gate.wait()
        if scope["path"].startswith("/broken/"):
            raise KeyError(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"inner": true}'})


async def put(
    guard: Guard,
    method: str = "GET",
    path: str = "/v1/release",
    headers: Iterable[tuple[str, str]] = (),
    chunks: Iterable[bytes] = (),
    *,
    server: str = "127.0.0.1",
    pause_s: float = 0.0,
) -> Answer:
    """Ask once, counting how many chunks of the body were taken."""
    path, _, query = path.partition("?")
    named = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    if not any(name == b"host" for name, _ in named):
        named.append((b"host", b"localhost:3000"))
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": named}
    waiting, taken, sent = [*chunks], 0, []

    async def receive() -> Message:
        nonlocal taken
        await asyncio.sleep(pause_s)
        taken += 1
        chunk = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        sent.append(message)

    await guard({**scope, "server": (server, 3000)}, receive, send)
    headers_out = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers_out, json.loads(sent[1]["body"]), taken)


def ask(guard: Guard, *args: Any, **more: Any) -> Answer:
    return asyncio.run(put(guard, *args, **more))


def guarded(**settings: Any) -> Guard:
    return Guard(Inner(), Settings(**settings))


def hashed(scopes: str, key: str) -> str:
    return f"{scopes} {hashlib.sha256(key.encode()).hexdigest()}"


def refused(answer: Answer) -> str:
    """The code of a refusal, having checked its one shape."""
    assert set(answer.body) == {"error"}
    assert set(answer.body["error"]) == {"code", "message", "path", "request_id"}
    assert answer.body["error"]["request_id"] == answer.headers["x-request-id"]
    return str(answer.body["error"]["code"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param([], 200, id="our own name"),
        pytest.param([("Host", "LOCALHOST")], 200, id="names have no case"),
        pytest.param([("Host", "[::1]:3000")], 200, id="IPv6 with a port"),
        pytest.param([("Host", "evil.example")], 421, id="a name rebound to us"),
        pytest.param([("Host", "localhost.evil.example")], 421, id="a name that begins like ours"),
        pytest.param([("Host", "")], 421, id="no name"),
        pytest.param([("Host", "localhost"), ("Host", "localhost")], 421, id="two names"),
        pytest.param([("Origin", "http://localhost:3000")], 200, id="our own page"),
        pytest.param([("Origin", "http://evil.example")], 403, id="another site's page"),
        pytest.param([("Origin", "http://localhost:3001")], 403, id="another port's page"),
        pytest.param([("Origin", "null")], 403, id="a page without a site"),
        pytest.param([("Origin", "http://[")], 403, id="an origin that is none"),
    ],
)
def test_it_answers_only_under_its_own_names_and_to_its_own_pages(headers: list[tuple[str, str]], status: int) -> None:
    answer = ask(guarded(), headers=headers)
    assert answer.status == status
    assert status == 200 or refused(answer) in ("wrong_host", "cross_origin")


KEYS = ";".join([hashed("read", "reader"), hashed("decide,read", "decider"), hashed("read", "reader-2")])


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        pytest.param("GET", "/v1/release", [], 401, id="no key"),
        pytest.param("GET", "/v1/release", [("X-API-Key", "wrong")], 401, id="a wrong key"),
        pytest.param("GET", "/v1/release", [("X-API-Key", "")], 401, id="an empty key"),
        pytest.param("GET", "/v1/release", [("Authorization", "Basic reader")], 401, id="another scheme"),
        pytest.param("GET", "/v1/release?api_key=reader", [], 401, id="a key in the URL"),
        pytest.param("GET", "/v1/release?KEY=reader", [("X-API-Key", "reader")], 401, id="one in both places"),
        pytest.param("GET", "/v1/release", [("X-API-Key", hashed("", "reader").strip())], 401, id="the hash itself"),
        pytest.param("GET", "/v1/release", [("X-API-Key", "reader")], 200, id="a live key"),
        pytest.param("GET", "/v1/release", [("Authorization", "Bearer reader-2")], 200, id="the next key"),
        pytest.param("POST", "/v1/score", [("X-API-Key", "reader")], 403, id="a key that may not decide"),
        pytest.param("POST", "/v1/score", [("X-API-Key", "decider")], 200, id="a key that may"),
        pytest.param("DELETE", "/v1/customers/C1", [("X-API-Key", "decider")], 403, id="but not erase"),
        pytest.param("GET", "/metrics", [], 401, id="metrics are not for everybody"),
        pytest.param("GET", "/docs", [], 401, id="nor is the contract"),
        pytest.param("GET", "/livez", [], 200, id="a probe has no key"),
        pytest.param("GET", "/readyz", [], 200, id="nor has the other"),
    ],
)
def test_a_key_opens_what_its_scopes_name(method: str, path: str, headers: list[tuple[str, str]], status: int) -> None:
    answer = ask(guarded(api_key_hashes=KEYS), method, path, [*headers, *JSON.items()])
    assert answer.status == status


def test_wrong_and_missing_and_misplaced_keys_are_told_apart_by_nobody() -> None:
    guard = guarded(api_key_hashes=KEYS)
    answers = [
        ask(guard),
        ask(guard, headers=[("X-API-Key", "no")]),
        ask(guard, path="/v1/release?key=reader"),
    ]
    for answer in answers:
        answer.body["error"].pop("request_id")
    assert answers[0].body == answers[1].body == answers[2].body
    assert all(answer.headers["www-authenticate"] == "Bearer" for answer in answers)


def test_without_a_key_only_this_machine_is_answered() -> None:
    assert ask(guarded(), server="192.0.2.7").status == 403
    assert ask(guarded(), server="::ffff:127.0.0.1").status == 200
    assert ask(guarded(api_key_hashes=KEYS), headers=[("X-API-Key", "reader")], server="192.0.2.7").status == 200


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/vnd.bentoml+pickle",
        "application/json; charset=utf-16",
        "application/jsonp",
    ],
)
def test_another_content_type_is_refused_before_the_body_is_read(kind: str) -> None:
    answer = ask(guarded(), "POST", "/v1/score", [("Content-Type", kind), ("Content-Length", "2")], [b"{}"])
    assert (answer.status, refused(answer), answer.chunks_read) == (415, "unsupported_media_type", 0)
    assert answer.headers["connection"] == "close"


def test_a_compressed_body_is_refused() -> None:
    headers = [*JSON.items(), ("Content-Encoding", "gzip"), ("Content-Length", "2")]
    assert ask(guarded(), "POST", "/v1/score", headers, [b"{}"]).status == 415


def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    answer = ask(guarded(), "POST", "/v1/score", [*JSON.items(), ("Content-Length", "1000001")], [b"x"])
    assert (answer.status, answer.chunks_read, answer.headers["connection"]) == (413, 0, "close")


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_chunked_body_is_read_only_as_far_as_the_limit(method: str) -> None:
    guard = guarded()
    chunks = [b"x" * 100_000] * 1000  # 100 MB
    answer = ask(guard, method, "/v1/score", [*JSON.items(), ("Transfer-Encoding", "chunked")], chunks)
    assert (answer.status, answer.chunks_read, answer.headers["connection"]) == (413, 11, "close")
    assert guard.buffered == 0


def test_a_body_arrives_whole() -> None:
    inner = Inner()
    guard = Guard(inner, Settings())
    ask(guard, "POST", "/v1/score", [*JSON.items(), ("Content-Length", "4")], [b'{"', b'a"', b"}"])
    assert inner.bodies == [b'{"a"}']


@pytest.mark.parametrize("length", ["-1", "1e3", "x", "²"])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    assert ask(guarded(), "POST", "/v1/score", [*JSON.items(), ("Content-Length", length)]).status == 400


@pytest.mark.parametrize("pause_s", [0.0, 0.2])
def test_who_is_slow_is_told_so_in_time(pause_s: float) -> None:
    headers = [*JSON.items(), ("Transfer-Encoding", "chunked")]
    answer = ask(guarded(request_deadline_s=0.1), "POST", "/slow", headers, [b"{", b"}"], pause_s=pause_s)
    assert (answer.status, refused(answer), answer.headers["retry-after"]) == (503, "deadline", "1")
    assert ("connection" in answer.headers) == (pause_s > 0)  # an unread body ends the connection


def test_one_too_many_is_told_to_come_back_but_health_is_not() -> None:
    async def crowd() -> list[int]:
        inner = Inner()
        guard = Guard(inner, Settings(max_concurrency=2))
        waiting = [asyncio.create_task(put(guard, path="/wait")) for _ in range(2)]
        await asyncio.sleep(0.01)
        busy = [await put(guard), await put(guard, path="/livez"), await put(guard, path="/metrics")]
        assert refused(busy[0]) == "too_many_requests" and busy[0].headers["retry-after"] == "1"
        inner.gate.set()
        done = await asyncio.gather(*waiting)
        return [answer.status for answer in (*busy, *done, await put(guard))]

    assert asyncio.run(crowd()) == [429, 200, 200, 200, 200, 200]


def test_slow_senders_share_a_bounded_memory() -> None:
    async def crowd() -> set[int]:
        guard = guarded(max_body_bytes=10, max_concurrency=2, request_deadline_s=0.2)
        headers = [*JSON.items(), ("Transfer-Encoding", "chunked")]
        senders = (put(guard, "POST", "/v1/score", headers, [b"x" * 9, b"x"], pause_s=0.05) for _ in range(8))
        statuses = {answer.status for answer in await asyncio.gather(*senders)}
        assert guard.buffered == 0
        return statuses

    assert asyncio.run(crowd()) == {200, 429}


def test_a_fault_shows_neither_to_the_caller_nor_in_the_log_what_it_was_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = ask(guarded(), path="/broken/C42")
    assert (answer.status, refused(answer)) == (500, "internal")
    assert "C42" not in json.dumps(answer.body) + caplog.text
    assert answer.headers["x-request-id"] in caplog.text and "KeyError" in caplog.text


def test_a_web_socket_is_closed_at_once() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(guarded()({"type": "websocket", "path": "/"}, asyncio.Event().wait, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_what_is_not_known_to_be_harmless_needs_the_scope_to_write() -> None:
    assert scope_of("POST", "/v1/outcomes") == scope_of("PATCH", "/v1/score/x") == "write"
    assert scope_of("POST", "/v1/release/promote") == "release"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        pytest.param({"host": "0.0.0.0"}, "needs an API key", id="strangers and no key"),
        pytest.param({"host": "::"}, "needs an API key", id="strangers over IPv6"),
        pytest.param({"host": "shop.example"}, "must be an IP address", id="a name to listen on"),
        pytest.param({"api_key_hashes": "decide secret"}, "64 hexadecimal digits", id="a key in clear"),
        pytest.param({"api_key_hashes": hashed("admin", "k")}, "unknown scope admin", id="an unknown scope"),
        pytest.param({"api_key_hashes": " ; "}, "none is listed", id="keys meant, none given"),
        pytest.param({"api_keys_file": "/nonexistent"}, "cannot read", id="a file that is not there"),
    ],
)
def test_it_does_not_start_unsafe(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as told:
        Settings(**settings)
    assert "secret" not in str(told.value)


def test_a_keys_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# the shop's mail tool\n{hashed('decide', 'k')}\n")
    file.chmod(0o640)
    with pytest.raises(ValueError, match="chmod 0600"):
        Settings(api_keys_file=file)
    file.chmod(0o600)
    assert Settings(api_keys_file=file, host="0.0.0.0").keys[0].scopes == {"decide"}


def test_the_environment_names_hosts_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OKAERI_ALLOWED_HOSTS", "Shop.Example, 192.0.2.7")
    monkeypatch.setenv("OKAERI_HOME", "anywhere")
    assert Settings().allowed_hosts == ("shop.example", "192.0.2.7")
