"""A real server on a free loopback port: what only a process can show. Whatever a test starts, it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest

from serving.service import TARGET, serve_command
from tests.serving.fake_service import KNOWN

ROOT = Path(__file__).parents[2]
FAKE = "tests.serving.fake_service:FakeService"
HEAD = b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
DEADLINE_S = 2.0


class Server(NamedTuple):
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def worker(self) -> int:
        """The process that answers."""
        return int(httpx.get(f"{self.url}/v1/release").json()["process"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = _start(tmp_path_factory.mktemp("bento"))
    try:
        yield running
    finally:
        _end(running)


def _start(home: Path) -> Server:
    """Start `bentoml serve` as the command line does, and wait until it answers."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(home))
        patch.setenv("OKAERI_REQUEST_DEADLINE_S", str(DEADLINE_S))
        command = serve_command("127.0.0.1", port, FAKE)
        log = home / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    running = Server(process, port, log)
    try:
        _wait(lambda: httpx.get(f"{running.url}/readyz").status_code == 200, 60)
    except BaseException:
        _end(running)
        raise
    return running


def _end(running: Server) -> None:
    """End it and its workers, whatever state they are in."""
    workers = _workers(running)
    running.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        running.process.wait(15)
    running.process.kill()
    running.process.wait(5)
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.kill()


def _workers(running: Server) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(running.process.pid).children(recursive=True)
    return []


def _wait(true: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(httpx.TransportError):
            if true():
                return
        time.sleep(0.1)
    raise AssertionError(f"not so within {seconds} s")


def _memory_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _refuses_connections(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_it_answers(server: Server) -> None:
    answer = httpx.post(f"{server.url}/v1/score", json={"customer_ids": [KNOWN, "x"]})
    assert [result["status"] for result in answer.json()["results"]] == ["ok", "unknown_customer"]
    assert "server" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/docs.json", "/schema.json", "/healthz", "/static_content/index.css"])
def test_nothing_of_bentoml_is_reachable(server: Server, path: str) -> None:
    answer = httpx.get(server.url + path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_health_and_metrics_are_ours(server: Server) -> None:
    assert httpx.get(f"{server.url}/livez").json()["live"] is True
    assert httpx.get(f"{server.url}/readyz").json()["release"] == "r1"
    metrics = httpx.get(f"{server.url}/metrics").text
    assert 'okaeri_requests_total{route="/livez",status="200"}' in metrics
    assert "bentoml" not in metrics


def test_no_path_reaches_the_log(server: Server) -> None:
    httpx.get(f"{server.url}/v1/customers/log-secret")
    httpx.get(f"{server.url}/log-secret")
    httpx.post(f"{server.url}/v1/score", json={"customer_ids": ["broken-log-secret"]})
    _wait(lambda: "KeyError" in server.log.read_text(), 5)  # written just after the answer
    assert "log-secret" not in server.log.read_text()


@pytest.mark.parametrize("chunked", [True, False])
def test_a_hundred_megabytes_are_refused_while_they_come_and_cost_no_memory(server: Server, chunked: bool) -> None:
    worker = server.worker()
    before_kb = _memory_kb(worker)
    piece = b"x" * 65_536
    head = HEAD + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 100000000\r\n\r\n")
    sent = 0
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as caller:
        caller.sendall(head)
        with suppress(ConnectionError):
            while sent < 100_000_000:
                caller.sendall(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
                sent += len(piece)
        answer = caller.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert sent < 30_000_000  # what the kernel's buffers swallow, at most
    assert _memory_kb(worker) - before_kb < 20_000


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        pytest.param(b"", b"", id="who says nothing"),
        pytest.param(HEAD, b"", id="who never ends the head"),
        pytest.param(HEAD + b"Content-Length: 10\r\n\r\n{", b"HTTP/1.1 503 ", id="who never ends the body"),
    ],
)
def test_who_is_slow_is_hung_up_on(server: Server, head: bytes, answer: bytes) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S + 5)) as caller:
        started = time.monotonic()
        caller.sendall(head)
        told = b""
        while chunk := caller.recv(4096):
            told += chunk
        assert DEADLINE_S - 0.5 < time.monotonic() - started < DEADLINE_S + 3
    assert told.startswith(answer) and bool(told) == bool(answer)


def test_a_connection_may_be_used_again_after_a_while(server: Server) -> None:
    with httpx.Client(base_url=server.url) as caller:
        for pause_s in (0.0, DEADLINE_S + 0.5, 0.0):
            time.sleep(pause_s)
            assert caller.get("/livez").status_code == 200


def test_a_worker_that_dies_is_replaced(server: Server) -> None:
    before = server.worker()
    os.kill(before, signal.SIGKILL)
    _wait(lambda: server.worker() != before, 60)


def test_a_supervisor_that_is_killed_leaves_nobody_on_the_port(tmp_path: Path) -> None:
    running = _start(tmp_path)
    workers = _workers(running)
    try:
        running.process.kill()
        _wait(lambda: _refuses_connections(running.port), 15)
    finally:
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        _end(running)


def test_sigterm_answers_who_has_asked_and_frees_the_port(server: Server) -> None:
    """The last test of this server: it ends it."""
    body = b'{"customer_ids": ["slow"]}'
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as caller:
        caller.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert caller.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert server.process.wait(30) == 0
    assert _refuses_connections(server.port)


def test_the_command_is_safe_and_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OKAERI_HOST", "OKAERI_PORT", "BENTOML_DO_NOT_TRACK", "OTEL_SDK_DISABLED"):
        monkeypatch.setenv(name, "")  # so that what the command sets is taken back
        monkeypatch.delenv(name)
    command = serve_command("localhost", 4000)
    assert command[:4] == [sys.executable, "-m", "bentoml", "serve"]
    assert command[4:] == [
        TARGET,
        "--host",
        "127.0.0.1",
        "--port",
        "4000",
        "--timeout-graceful-shutdown",
        "25",
    ]
    assert os.environ["OTEL_SDK_DISABLED"] == os.environ["BENTOML_DO_NOT_TRACK"] == "true"
    with pytest.raises(ValueError, match="needs an API key"):
        serve_command("0.0.0.0")


def test_importing_the_service_imports_no_bentoml() -> None:
    code = "import sys, serving.service; sys.exit('bentoml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_importing_the_night_imports_neither_feast_nor_mlflow() -> None:
    """Feast takes five CPU-seconds, and only publishing needs it."""
    code = "import sys, serving.nightly; sys.exit(sorted({'feast', 'mlflow', 'implicit'} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True)
