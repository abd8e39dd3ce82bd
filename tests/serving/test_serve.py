"""`okaeri serve` on a published home: one real server, asked as a caller would ask it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from features.home import Home
from serving.replies import AudienceReply, ErrorReply, RecommendReply, ScoreReply
from training.release import champion

from .conftest import copy_of

ROOT = Path(__file__).parents[2]
OKAERI = Path(sys.executable).with_name("okaeri")
JSON = {"content-type": "application/json"}
START_S = 90


class Server(NamedTuple):
    process: "subprocess.Popen[bytes]"
    port: int
    home: Home
    log: Path

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30)

    def post(self, path: str, body: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.post(f"http://127.0.0.1:{self.port}{path}", content=content, headers=JSON, timeout=30)

    def refusal(self, path: str, body: Any, status: int) -> Any:
        answer = self.post(path, body)
        assert answer.status_code == status, answer.text
        return ErrorReply.model_validate(answer.json()).error


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_taken(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def server(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    mine = copy_of(home, tmp_path_factory.mktemp("served") / "home")
    port, log = free_port(), mine.root / "server.log"
    environment = os.environ | {"OKAERI_HOME": str(mine.root)}
    with log.open("wb") as out:
        command = [OKAERI, "serve", "--port", str(port)]
        process = subprocess.Popen(command, cwd=mine.root, env=environment, stdout=out, stderr=out)
    running = Server(process, port, mine, log)
    try:
        await_ready(running)
        yield running
    finally:
        end(process)


def await_ready(server: Server) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if server.get("/readyz").status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"not ready within {START_S} s:\n{server.log.read_text()[-2000:]}")


def end(process: "subprocess.Popen[bytes]") -> None:
    """End the server and its workers by their ids, whatever state they are in."""
    if process.poll() is not None:
        return
    workers = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    process.kill()
    process.wait(5)
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


def test_it_listens_on_this_machine_alone(server: Server) -> None:
    family = [server.process, *psutil.Process(server.process.pid).children(recursive=True)]
    listening = {
        connection.laddr.ip
        for one in family
        for connection in psutil.Process(one.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_a_customer_is_scored(server: Server) -> None:
    answer = server.post("/v1/score", {"customer_ids": ["late"], "explain": "full", "lang": "en"})
    assert answer.status_code == 200
    reply = ScoreReply.model_validate(answer.json())
    assert reply.request_id == answer.headers["x-request-id"]
    result = reply.results[0]
    assert (result.status, result.lifecycle, result.served_from) == ("ok", "at_risk", "live")
    assert result.churn is not None and result.churn.horizon_days == 28
    assert reply.release.id == champion(server.home).name
    assert result.action is not None and result.action.scenario == "win_back"
    assert result.send is not None and result.send.allowed


def test_over_http_stands_what_the_service_said_inside(server: Server, score: Any) -> None:
    asked = {"customer_ids": ["weekly", "once", "refuses_mail", "nobody"], "explain": "brief", "lang": "ja"}
    reply = server.post("/v1/score", asked).json()
    inside = score(*asked["customer_ids"], explain="brief", lang="ja")
    assert reply["results"] == json.loads(json.dumps(inside["results"]))


def test_a_thousand_ids_are_answered_and_one_more_is_refused(server: Server) -> None:
    ids = [f"c{n:04d}" for n in range(1000)]
    answer = server.post("/v1/score", {"customer_ids": ids})
    assert answer.status_code == 200 and len(answer.json()["results"]) == 1000
    error = server.refusal("/v1/score", {"customer_ids": [*ids, "one more"]}, 422)
    assert error.path == "customer_ids" and "1000" in error.message.replace(",", "")


def test_one_bad_id_never_fails_the_others(server: Server) -> None:
    ids = ["", "../../etc/passwd", "x" * 9999, "\x1f__okaeri__", "NaN", "🍵", "weekly"]
    results = server.post("/v1/score", {"customer_ids": ids}).json()["results"]
    assert [result["status"] for result in results] == ["unknown_customer"] * 6 + ["ok"]
    assert [result["customer_id"] for result in results] == ids


@pytest.mark.parametrize(
    ("body", "status", "path", "words"),
    [
        pytest.param(b'{"customer_ids": ["a"], "n_items": NaN}', 400, None, "NaN", id="NaN is not JSON"),
        pytest.param(b'{"customer_ids": ["a"], "n_items": 1e999}', 400, None, "JSON", id="nor is 1e999"),
        pytest.param(b'{"customer_ids": [', 400, None, "JSON", id="half of it"),
        pytest.param({"custmer_ids": ["a"]}, 422, "custmer_ids", "did you mean customer_ids?", id="unknown field"),
        pytest.param(
            {"customer_ids": ["a"], "context": {"categry": "x"}}, 422, "context.categry", "did you mean category?",
            id="unknown field inside",
        ),
        pytest.param({"customer_ids": ["a", 1]}, 422, "customer_ids.1", "string", id="a number is no id"),
        pytest.param({"customer_ids": []}, 422, "customer_ids", "at least 1", id="nobody"),
        pytest.param({"customer_ids": ["a"], "lang": "jp"}, 422, "lang", "one of ja, en", id="no such language"),
        pytest.param(
            {"customer_ids": ["a"], "campaign_id": "win_bak"}, 422, "campaign_id", "did you mean win_back?",
            id="no such campaign",
        ),
        pytest.param(
            {"customer_ids": ["a"], "as_of": "2024-12-29T04:59:59+09:00"}, 422, "as_of", "2024-12-29T20:00:00",
            id="too early",
        ),
    ],
)  # fmt: skip
def test_a_wrong_question_is_refused_by_name(
    server: Server, body: Any, status: int, path: str | None, words: str
) -> None:
    error = server.refusal("/v1/score", body, status)
    assert error.path == path and words in error.message


def test_other_kinds_of_body_are_refused(server: Server) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/vnd.bentoml+pickle", "text/plain"):
        url = f"http://127.0.0.1:{server.port}/v1/score"
        answer = httpx.post(url, content=b'{"customer_ids": ["a"]}', headers={"content-type": kind}, timeout=30)
        assert answer.status_code == 415


def test_the_view_of_one_customer(server: Server) -> None:
    answer = server.get("/v1/customers/thrice")
    assert answer.status_code == 200
    view = answer.json()
    assert (view["customer_id"], view["currency"], len(view["orders"])) == ("thrice", "JPY", 3)
    assert view["result"]["f_stage"] == "F3plus"
    unknown = server.get("/v1/customers/nobody-of-this-name")
    assert unknown.status_code == 404
    error = ErrorReply.model_validate(unknown.json()).error
    assert error.code == "not_found" and "nobody" not in unknown.text


def test_products_are_recommended(server: Server) -> None:
    for question in ({"customer_id": "weekly"}, {"product_id": "p01"}, {"product_ids": ["p01", "p02"]}):
        answer = server.post("/v1/recommend", question | {"n_items": 5})
        reply = RecommendReply.model_validate(answer.json())
        assert [item.rank for item in reply.recommendations] == [1, 2, 3, 4, 5]
    assert server.refusal("/v1/recommend", {"customer_id": "a", "product_id": "b"}, 422).path == "customer_id"


def test_an_audience_is_told_and_leaves_as_a_file(server: Server) -> None:
    body: dict[str, Any] = {"filter": {"lifecycle": ["at_risk", "dormant"]}, "scenario": "win_back"}
    reply = AudienceReply.model_validate(server.post("/v1/audiences", body).json())
    assert reply.counts.included == len(reply.included) > 0 and reply.counts.excluded == len(reply.excluded) > 0
    file = server.post("/v1/audiences", body | {"profile": "excel-ja"})
    assert file.headers["content-type"] == "text/csv; charset=windows-31j"
    rows = file.content.decode("cp932").splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == [f'"\'{one.customer_id}"' for one in reply.included]
    assert server.refusal("/v1/audiences", body | {"filter": {"tir": 1}}, 422).path == "filter.tir"


def test_the_release_that_answers_is_told(server: Server) -> None:
    found = server.get("/v1/release").json()
    assert found["id"] == champion(server.home).name and found["models"]["method"] == "full"
    assert (found["facts"]["shop"], found["facts"]["trained_until_date"]) == ("cha", "2024-12-30")
    assert (found["publication"]["score_date"], found["publication"]["revision"]) == ("2024-12-30", 1)
    assert set(found["facts"]) == {"shop", "trained_until_date", "method", "n", "horizon_days", "feature_schema"}


def test_it_is_alive_ready_and_documented(server: Server) -> None:
    assert server.get("/livez").json()["live"] is True
    ready = server.get("/readyz").json()
    assert ready["ready"] is True and ready["features"] is True and ready["release"] == champion(server.home).name
    document = server.get("/openapi.json").json()
    assert {"/v1/score", "/v1/recommend", "/v1/customers/{customer_id}", "/v1/release"} <= set(document["paths"])
    page = server.get("/docs")
    assert page.headers["content-type"].startswith("text/html") and "/v1/score" in page.text
    assert not re.search(r"(src|href)=.?(https?:)?//", page.text)  # nothing is fetched from elsewhere
    metrics = server.get("/metrics").text
    assert 'route="/v1/score"' in metrics and not re.search("weekly|thrice|refuses_mail", metrics)


def test_no_customer_is_named_in_the_log(server: Server) -> None:
    server.get("/v1/customers/thrice")
    server.post("/v1/score", {"customer_ids": ["refuses_mail"]})
    assert not re.search("thrice|refuses_mail|weekly", server.log.read_text())


def test_sigterm_ends_it_and_frees_the_port(server: Server) -> None:
    """The last test of this server: it ends it."""
    workers = psutil.Process(server.process.pid).children(recursive=True)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == [] and not is_taken(server.port)


AUDIT = """
import sys, traceback, warnings
warnings.simplefilter("ignore")
unpickled = []

def hook(event, arguments):
    if event == "pickle.find_class":
        frames = [frame.filename for frame in traceback.extract_stack()]
        numbas_own = any("numba/core/caching.py" in name for name in frames)  # compiled code, in __pycache__
        unpickled.extend([] if numbas_own else [(arguments[0], arguments[1], frames[-3:])])

sys.addaudithook(hook)
from datetime import UTC, datetime
from serving import online as door
from serving.online import Online
from serving.schemas import RecommendRequest, ScoreRequest

door.probe = lambda path: None  # it loads the release in a process of its own, which is not this one
online = Online.open(lambda: datetime(2026, 1, 1, tzinfo=UTC))
reply = online.score(ScoreRequest(customer_ids=["weekly", "late", "nobody"], explain="full"))
assert [result["status"] for result in reply["results"]] == ["ok", "ok", "unknown_customer"], reply
assert online.recommend(RecommendRequest(customer_id="weekly"))["recommendations"]
assert online.customer("late")
sys.exit(f"unpickled: {unpickled}" if unpickled else 0)
"""


def test_no_pickle_is_loaded_to_answer(home: Home) -> None:
    environment = os.environ | {"OKAERI_HOME": str(home.root)}
    command = [sys.executable, "-c", AUDIT]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_nothing_that_is_kept_is_a_pickle(home: Home) -> None:
    """Files begin with what their names say; a pickle begins with 0x80 and its protocol."""
    begin = {".parquet": b"PAR1", ".npz": b"PK\x03\x04", ".json": b"{", ".jsonl": b"{", ".txt": b"tree"}
    kept = [path for path in home.root.rglob("*") if path.is_file() and path.stat().st_size]
    for path in kept:
        first = path.read_bytes()[:4]
        assert not re.match(rb"\x80[\x02-\x05]", first), path
        assert path.suffix not in (".pkl", ".pickle", ".joblib")
        if home.mlruns not in path.parents and path.suffix in begin:
            assert first.startswith(begin[path.suffix]), path
    assert {".parquet", ".npz", ".json", ".txt"} <= {path.suffix for path in kept}
