"""The process that answers: BentoML runs the workers, our guard and our one app answer everything they hear.

The sole importer of bentoml, and only when a service is built: importing this module computes nothing.
BentoML starts, supervises, drains and stops. Its pages, routes, metrics and access logs are out of reach,
because every request goes to our guard before any of them.
"""

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from serving.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from serving.http import Answers

TARGET = "serving.service:OkaeriService"
DRAIN_S = 25  # faults.md, C21: out within 30 s of SIGTERM, requests in flight answered
QUIET = {"BENTOML_DO_NOT_TRACK": "true", "OTEL_SDK_DISABLED": "true"}  # literally "true", before the import


def serve_command(host: str | None = None, port: int | None = None, target: str = TARGET) -> list[str]:
    """Prepare this process to become the server and say what to exec: ``os.execv(command[0], command)``.

    The environment is prepared too, for BentoML reads its own part of it before any line of ours runs.

    Raises
    ------
    ValueError
        If strangers could reach the address and there is no API key, or a setting is wrong.
    """
    given: dict[str, Any] = {"host": host, "port": port}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    _be_quiet()
    os.environ.update(OKAERI_HOST=settings.host, OKAERI_PORT=str(settings.port))
    address = ["--host", settings.host, "--port", str(settings.port)]
    drain = ["--timeout-graceful-shutdown", str(DRAIN_S)]
    return [sys.executable, "-m", "bentoml", "serve", target, *address, *drain]


class Okaeri:
    """Who is slipping away, when each will buy again, and what is worth offering."""

    def __init__(self) -> None:
        _end_with_supervisor()
        logging.getLogger("uvicorn.access").disabled = True  # it writes paths, which name customers


def build(online_factory: "Callable[[Settings], Answers]") -> Any:
    """Build the BentoML service around whatever answers; the factory is called once in each worker, at start.

    Every request meets the guard first; BentoML keeps the start and the stop.
    """
    _be_quiet()
    settings = Settings()
    if settings.workers == 1:  # it counts for itself, not in a shared folder that another server may empty
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    import bentoml

    from serving.guard import Guard
    from serving.http import create_app

    @cache
    def online() -> "Answers":
        return online_factory(settings)

    app = create_app(online, settings)
    guard = Guard(app, settings, app.state.meters.observe)

    class Guarded(bentoml.Service):  # type: ignore[misc]  # BentoML loads it lazily, so its type is unknown
        def to_asgi(self, is_main: bool = True) -> "ASGIApp":
            _hang_up_on_the_slow(settings.request_deadline_s)
            return _in_front(guard, super().to_asgi(is_main))

    service = bentoml.service(
        name="okaeri",
        service_class=Guarded,
        workers=settings.workers,
        metrics={"enabled": False},
        logging={"access": {"enabled": False}},
        http={"host": settings.host, "port": settings.port},
    )(Okaeri)
    service.mount_asgi_app(app, path="/")
    return service


def __getattr__(name: str) -> Any:
    """``serving.service:OkaeriService`` comes to be when BentoML asks for it."""
    if name != "OkaeriService":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return build(_open)


def _open(settings: Settings) -> "Answers":
    """The real thing; imported by the workers alone, for it takes seconds."""
    from serving.online import Online

    return Online.open(lambda: datetime.now(UTC))  # noqa: TID251  the service's edge


def _in_front(guard: "ASGIApp", bento: "ASGIApp") -> "ASGIApp":
    async def app(scope: "Scope", receive: "Receive", send: "Send") -> None:
        await (bento if scope["type"] == "lifespan" else guard)(scope, receive, send)

    return app


def _hang_up_on_the_slow(head_s: float) -> None:
    """Give the uvicorn that BentoML is about to start our protocol; BentoML hands no such choice through."""
    from uvicorn.config import HTTP_PROTOCOLS

    from serving.patience import Impatient

    Impatient.head_s = head_s
    HTTP_PROTOCOLS["auto"] = "serving.patience:Impatient"


def _be_quiet() -> None:
    """No telemetry, and no tracing unless someone asked for it."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def _end_with_supervisor() -> None:
    """Let no worker go on answering after its supervisor was killed; on Linux the kernel sees to it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG
