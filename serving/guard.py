"""The door of the service: who may ask, how much, for how long. The outermost ASGI layer.

A stranger learns nothing here. Every refusal has the one shape, the same words for every wrong key, and never
repeats what was sent. A fault inside is a plain 500 with a request id; its log line says where it happened,
not its message, which could name a customer.
"""

import asyncio
import logging
import secrets
import traceback
from collections.abc import Callable
from time import perf_counter

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.callers import HEALTH, Asked, check_host, check_key
from serving.schemas import Refused
from serving.settings import Settings

Observe = Callable[[str, int, float], None]  # route template, status, seconds

UNQUEUED = HEALTH | {"/metrics"}  # and must hear the truth under load
log = logging.getLogger("okaeri.guard")


class Guard:
    """Lets through what is allowed, in full, in time, and not too much of it at once.

    Bodies are read here, before anything else works on them, and only as far as ``max_body_bytes``. Those
    still being read share ``max_body_bytes * max_concurrency`` bytes, so that many slow senders take neither
    the memory nor the places of those who have asked already.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, observe: Observe = lambda route, status, seconds: None
    ) -> None:
        self.app, self.settings, self.observe = app, settings, observe
        self.answering = 0  # requests inside now
        self.buffered = 0  # bytes of bodies held now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, answer = perf_counter(), _Answer(send)
        scope.setdefault("state", {})["request_id"] = answer.request_id
        try:
            async with asyncio.timeout(self.settings.request_deadline_s) as deadline:
                await self._answer(Asked(scope, receive), answer)
        except Refused as refused:
            await answer.refuse(refused)
        except Exception as error:
            await answer.refuse(self._fault(error, deadline.expired(), answer.request_id))
        route = getattr(scope.get("route"), "path_format", "unrouted")
        self.observe(route, answer.status, perf_counter() - started)

    async def _answer(self, asked: Asked, answer: "_Answer") -> None:
        """Check, read, then let the app answer; each check costs less than the next."""
        answer.closes = asked.has_body
        check_host(asked, self.settings)
        if asked.path not in HEALTH:
            check_key(asked, self.settings)
        check_body(asked, self.settings)
        body = await self._read(asked)
        if body is None:
            return
        answer.closes = False
        if asked.path not in UNQUEUED and self.answering >= self.settings.max_concurrency:
            raise Refused(429, "too_many_requests", "busy; try again shortly")
        self.answering += 1
        try:
            await self.app(asked.scope, _replay(body, asked.receive), answer.send)
        finally:
            self.answering -= 1

    async def _read(self, asked: Asked) -> bytes | None:
        """Read the body as far as it may go; None if the caller went away."""
        if not asked.has_body:
            return b""
        body, most = bytearray(), self.settings.max_body_bytes
        try:
            while True:
                message = await asked.receive()
                if message["type"] == "http.disconnect":
                    return None
                chunk = message.get("body", b"")
                body += chunk
                self.buffered += len(chunk)
                if len(body) > most:
                    raise _too_large(most)
                if self.buffered > most * self.settings.max_concurrency:
                    raise Refused(429, "too_many_requests", "too many requests are being sent; try again shortly")
                if not message.get("more_body", False):
                    return bytes(body)
        finally:
            self.buffered -= len(body)

    def _fault(self, error: Exception, expired: bool, request_id: str) -> Refused:
        """Name a fault for the caller; for us, log where it happened."""
        if expired and isinstance(error, TimeoutError):
            return Refused(503, "deadline", f"no answer within {self.settings.request_deadline_s:g} seconds")
        log_fault(error, request_id)
        return Refused(500, "internal", "an internal error; quote the request id")


class _Answer:
    """One request's reply: adds what every reply carries, and refuses only while nothing has been said."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.request_id = secrets.token_hex(8)
        self.status = 0
        self.closes = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._common()]
        await self._send(message)

    async def refuse(self, refused: Refused) -> None:
        if self.status:
            return
        content = orjson.dumps(refused.body(self.request_id))
        fixed = {"content-type": "application/json", "content-length": str(len(content))}
        headers = [(name.encode(), value.encode()) for name, value in (fixed | refused.headers).items()]
        await self.send({"type": "http.response.start", "status": refused.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": content})

    def _common(self) -> list[tuple[bytes, bytes]]:
        closing = [(b"connection", b"close")] if self.closes else []
        return [
            (b"x-request-id", self.request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            *closing,
        ]


def check_body(asked: Asked, settings: Settings) -> None:
    """Refuse by the head alone what would not be read anyway."""
    if asked.method in ("POST", "PUT", "PATCH"):
        kind, _, rest = asked.header(b"content-type").lower().partition(";")
        if kind.strip() != "application/json" or rest.strip() not in ("", "charset=utf-8", 'charset="utf-8"'):
            raise Refused(415, "unsupported_media_type", "send application/json in UTF-8")
        if asked.header(b"content-encoding").lower() not in ("", "identity"):
            raise Refused(415, "unsupported_media_type", "send the body uncompressed")
    length = asked.header(b"content-length")
    if length and not (length.isascii() and length.isdigit()):
        raise Refused(400, "invalid_length", "Content-Length must be a number of bytes")
    if length and int(length[:20]) > settings.max_body_bytes:
        raise _too_large(settings.max_body_bytes)


def log_fault(error: BaseException, request_id: str) -> None:
    """Write where a fault happened: its type and the lines of code, never its message or any value."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("request %s: %s\n%s", request_id, type(error).__name__, where)


def _too_large(most: int) -> Refused:
    return Refused(413, "too_large", f"a body may have at most {most:,} bytes")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hand the body over as one message; later calls hear whether the caller is still there."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed
