"""The command line: what it prints where, and how it ends when something is wrong."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from features import lake
from features.home import Home
from serving.cli import main
from serving.publication import current
from training.evaluation.uplift import judge_uplift
from training.release import champion

from . import shop as told
from .conftest import NOT_OURS
from .test_shadow import gloomier

no_noise = pytest.mark.filterwarnings(*(f"ignore:{words}" for words in NOT_OURS))
OKAERI = Path(sys.executable).with_name("okaeri")


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        """The one line that `--json` prints."""
        assert self.out.count("\n") == 1 and self.out.endswith("\n"), self.out
        found: dict[str, object] = json.loads(self.out)
        return found


Okaeri = Callable[..., Ended]


@pytest.fixture
def okaeri(monkeypatch: pytest.MonkeyPatch) -> Okaeri:
    """Run a command in a home, as the installed script does, and see how it ends."""

    def run(home: Home | Path, *words: object) -> Ended:
        root = home.root if isinstance(home, Home) else home
        monkeypatch.setenv("OKAERI_HOME", str(root))
        monkeypatch.setattr(sys, "argv", ["okaeri", *map(str, words)])
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return run


def refused(ended: Ended, code: int, *words: str) -> None:
    """Check that a command ended with a message on stderr alone."""
    assert ended.code == code, ended
    assert ended.out == "" and "Traceback" not in ended.err
    for word in words:
        assert word in ended.err, ended.err


# ---- light


def test_help_takes_less_than_half_a_second_of_cpu() -> None:
    """User and system time of the process, the least of three: the machine may be busy, the contract is not."""
    took = []
    for _ in range(3):
        process = subprocess.Popen([OKAERI, "--help"], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process.stdout:
            said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0 and "slipping away" in said
        took.append(usage.ru_utime + usage.ru_stime)
    assert min(took) < 0.5


def test_help_names_every_command(okaeri: Okaeri, tmp_path: Path) -> None:
    ended = okaeri(tmp_path, "--help")
    commands = (
        "demo",
        "ingest",
        "features",
        "train",
        "backtest",
        "release",
        "nightly",
        "serve",
        "status",
        "forget",
        "report",
    )
    assert ended.code == 0 and all(command in ended.out for command in commands)
    assert list(tmp_path.iterdir()) == []  # nothing was made


# ---- right


def test_status_says_where_things_stand(okaeri: Okaeri, home: Home) -> None:
    found = okaeri(home, "status", "--json").json
    assert (found["shop"], found["last_night"], found["loads"]) == ("cha", "2024-12-30", 1)
    assert found["champion"] == champion(home).name
    people = okaeri(home, "status")
    assert people.code == 0 and "last_night       2024-12-30" in people.out and people.err == ""


def test_a_published_night_is_said_in_one_line(okaeri: Okaeri, copied: Home) -> None:
    found = okaeri(copied, "nightly", "--json")
    assert (found.code, found.err) == (0, "")
    assert set(found.json) == {"score_date", "revision", "path", "manifest_sha256", "state", "counts"}
    assert (found.json["state"], found.json["score_date"]) == ("already_published", "2024-12-30")


def test_progress_goes_to_stderr(okaeri: Okaeri, copied: Home) -> None:
    ended = okaeri(copied, "nightly")
    assert ended.code == 0 and "taking in what is new" in ended.err and "taking in" not in ended.out


def test_releases_are_listed_shown_and_verified(okaeri: Okaeri, home: Home) -> None:
    name = champion(home).name
    listed = okaeri(home, "release", "list", "--json").json["releases"]
    assert isinstance(listed, list)
    assert [(one["id"], one["champion"], one["method"]) for one in listed] == [(name, True, "full")]
    assert name in okaeri(home, "release", "list").out
    shown = okaeri(home, "release", "show", name)
    assert shown.code == 0 and name in shown.out and "BG/NBD" in shown.out  # with its baselines
    verified = okaeri(home, "release", "verify")
    assert verified.code == 0 and name in verified.out


@no_noise
def test_a_release_is_promoted_rolled_back_and_pruned(okaeri: Okaeri, copied: Home) -> None:
    """By hand, whatever the gate said: with a reason, which the ledger keeps."""
    first, other = champion(copied).name, gloomier(copied).name
    refused(okaeri(copied, "release", "promote", other), 2, "--why")
    refused(okaeri(copied, "release", "rollback", "--why", "too early"), 2, "no champion before this one")
    promoted = okaeri(copied, "release", "promote", other, "--why", "a hard winter", "--json")
    assert (promoted.code, promoted.json) == (0, {"champion": other, "before": first})
    shown = okaeri(copied, "release", "show")
    assert "aliases          champion" in shown.out and "promote: a hard winter" in shown.out
    back = okaeri(copied, "release", "rollback", "--why", "a mild one")
    assert back.code == 0 and champion(copied).name == first and "next start" in back.err
    assert okaeri(copied, "release", "prune", "--json").json == {"removed": []}
    (copied.releases / other / "golden.npz").unlink()
    for command in (["shadow", other], ["promote", other, "--why", "again"]):
        ended = okaeri(copied, "release", *command)
        assert ended.code == 1 and "golden.npz" in ended.err  # a damaged release answers nothing


def test_train_ends_with_four_and_the_reason_when_the_champion_stays(
    okaeri: Okaeri, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def kept(*given: object) -> dict[str, object]:
        asked.append(given[-1])
        told = {"release": "c0ffee", "method": "full", "version": "2", "run_id": "r", "verdict": "kept_champion"}
        return told | {
            "kind": "worse",
            "season": {"seen": False, "why": "never seen"},
            "reasons": ["churn auc: worse"],
            "report": [],
            "skipped": [],
            "champion": "cafe",
            "effects": None,
            "why_no_effects": "no contacts are known",
        }

    monkeypatch.setattr("training.train.train", kept)
    settings = tmp_path / "parameters.yaml"
    settings.write_text("churn: {trees: 2}")
    ended = okaeri(home, "train", "--models", "value,churn", "--parameters", settings)
    assert ended.code == 4 and "gate: churn auc: worse" in ended.err and "kept_champion" in ended.out
    assert "season           never seen" in ended.out
    assert asked[0].parts == ("churn", "value") and asked[0].parameters.churn.trees == 2
    assert okaeri(home, "train", "--json").json["reasons"] == ["churn auc: worse"]
    refused(okaeri(home, "train", "--models", "chrun"), 2, "no such model; did you mean churn?")
    refused(okaeri(home, "train", "--gate", tmp_path / "no.yaml"), 2, "no.yaml")
    settings.write_text("churn: {tress: 2}")
    refused(okaeri(home, "train", "--parameters", settings), 2, "churn.tress: unknown key; did you mean trees?")


def test_what_is_known_of_a_customer_is_unpacked_by_name(
    okaeri: Okaeri, home: Home, frame: "object", scores: "object"
) -> None:
    found = okaeri(home, "features", "show", "weekly", "--json").json
    features = found["features"]
    assert isinstance(features, dict) and found["customer_id"] == "weekly"
    assert features["n_order_days (days)"] == 27 and features["consent_train (yes/no)"] is None
    refused(okaeri(home, "features", "show", "nobody"), 2, "'nobody'", "not in the online store")


# ---- the door


def orders(folder: Path, text: str, name: str = "orders.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_bytes(told.MAPPING)
    return path


GOOD = told.ORDERS + "o1,a,2024-05-01 12:00:00,p1,1,100,,\n"


def test_rows_taken_in_are_counted(okaeri: Okaeri, mapping: Path, tmp_path: Path) -> None:
    ended = okaeri(
        tmp_path / "home", "ingest", "--shop", mapping, orders(tmp_path, GOOD + GOOD[len(told.ORDERS) :]), "--json"
    )
    assert (ended.code, ended.err) == (0, "")
    counts = {"rows_in": 2, "accepted": 1, "set_aside": 0, "duplicates": 1, "quarantined": 0, "reasons": {}}
    notes = {"order_lines.guest_lines": 0, "order_lines.return_lines": 0}
    assert ended.json == counts | {"notes": notes, "warnings": []}


def test_quarantined_rows_end_with_three(okaeri: Okaeri, mapping: Path, tmp_path: Path) -> None:
    path = orders(tmp_path, GOOD + "o2,b,2024-02-30 12:00:00,p1,1,100,,\n")
    ended = okaeri(tmp_path / "home", "ingest", "--shop", mapping, path, "--json")
    assert ended.code == 3
    assert (ended.json["quarantined"], ended.json["reasons"]) == (1, {"order_lines.BAD_DATE": 1})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param(b"order_id: o", b"order_idd: o", ("order_idd", "did you mean order_id?"), id="misspelt column"),
        pytest.param(b"currency:", b"curency:", ("curency", "did you mean currency?"), id="misspelt key"),
        pytest.param(
            b"lookback_days:", b"look_back_days:", ("look_back_days", "did you mean lookback_days?"), id="inside"
        ),
        pytest.param(b"  order_lines:", b"  order_line:", ("order_lines is required",), id="misspelt table"),
        pytest.param(b"Asia/Tokyo", b"Asia/Tokio", ("Asia/Tokio",), id="no such zone"),
        pytest.param(b"shop: cha", b"shop: [", ("not YAML",), id="not YAML"),
    ],
)
def test_a_wrong_mapping_is_named_with_what_would_be_right(
    okaeri: Okaeri, tmp_path: Path, old: bytes, new: bytes, words: tuple[str, ...]
) -> None:
    path = tmp_path / "shop.yaml"
    path.write_bytes(told.MAPPING.replace(old, new))
    refused(okaeri(tmp_path / "home", "ingest", "--shop", path, orders(tmp_path, GOOD)), 2, str(path), *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(GOOD.replace("o,c,t", "o,kunde,t"), ("orders.csv", "no column c"), id="no customer column"),
        pytest.param("", ("orders.csv",), id="empty"),
        pytest.param(told.ORDERS, ("orders.csv", "--allow-empty"), id="a header alone"),
        pytest.param(GOOD.replace("2024", "2090"), ("orders.csv", "future"), id="all in the future"),
    ],
)
def test_a_file_that_cannot_be_right_is_named(
    okaeri: Okaeri, mapping: Path, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    ended = okaeri(tmp_path / "home", "ingest", "--shop", mapping, orders(tmp_path, text))
    refused(ended, 2, *words)
    assert not (tmp_path / "home" / "lake" / "cha" / "CURRENT.json").exists()


def test_a_file_that_is_not_there_is_named(okaeri: Okaeri, mapping: Path, tmp_path: Path) -> None:
    refused(
        okaeri(tmp_path / "home", "ingest", "--shop", mapping, tmp_path / "orders.csv"), 2, "orders.csv", "no such file"
    )
    refused(okaeri(tmp_path / "home", "ingest", "--shop", mapping), 2, "orders*.csv")
    refused(okaeri(tmp_path / "home", "ingest", "--shop", tmp_path / "shpo.yaml"), 2, "shpo.yaml", "complete_journey")


# ---- what is not there, or wrong


@pytest.mark.parametrize(
    "command", [["status"], ["nightly"], ["train"], ["features", "build"], ["features", "show", "x"]]
)
def test_before_anything_was_taken_in_the_first_step_is_named(
    okaeri: Okaeri, tmp_path: Path, command: list[str]
) -> None:
    refused(okaeri(tmp_path / "home", *command), 2, "okaeri ingest")


def test_an_unknown_release_is_answered_with_those_there_are(okaeri: Okaeri, home: Home) -> None:
    for command in ("show", "verify"):
        refused(okaeri(home, "release", command, "0123abcd"), 2, "0123abcd", champion(home).name)


def test_an_unknown_question_is_answered_with_those_there_are(okaeri: Okaeri, home: Home, files: Path) -> None:
    ended = okaeri(home, "backtest", "chrun", "--shop", files / "shop.yaml", "--cutoffs", "2024-10-01")
    refused(ended, 2, "chrun: no such question; did you mean churn?")
    refused(okaeri(home, "backtest", "churn", "--shop", files / "shop.yaml"), 2, "--cutoffs")


def test_uplift_needs_a_table_and_the_other_questions_a_shop(okaeri: Okaeri, home: Home) -> None:
    refused(okaeri(home, "backtest", "uplift"), 2, "--table", "--treatment", "--control", "--outcome")
    refused(okaeri(home, "backtest", "uplift", "--table", "mail.csv", "--treatment", "segment"), 2, "--control")
    refused(okaeri(home, "backtest", "uplift", "--shop", "told", "--table", "mail.csv"), 2, "does not read --table")
    refused(okaeri(home, "backtest", "churn", "--outcome", "visit"), 2, "churn: does not read --outcome")
    refused(okaeri(home, "backtest", "churn"), 2, "churn: give --shop")
    asked = ("--treatment", "segment", "--control", "none", "--outcome", "visit")
    refused(okaeri(home, "backtest", "uplift", "--table", "mail.csv", *asked), 2, "mail.csv")


def test_uplift_on_a_table_says_what_was_found(
    okaeri: Okaeri, copied: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.backtest.judge_uplift", partial(judge_uplift, repeats=1))
    rng = np.random.default_rng(2026)
    frame = pd.DataFrame({"orders": rng.poisson(3, 400), "segment": rng.choice(["mail", "none"], 400)})
    frame.assign(visit=rng.integers(0, 2, 400), spend=0).to_csv(tmp_path / "mail.csv", index=False)
    asked = ("--treatment", "segment", "--control", "none", "--outcome", "visit", "--ignore", "spend")
    found = okaeri(copied, "backtest", "uplift", "--table", tmp_path / "mail.csv", *asked, "--json").json
    assert (found["question"], found["shop"], found["protocol"]) == ("uplift", None, "cross-fitting")
    assert isinstance(found["rows"], list) and isinstance(found["notes"], list)
    keys = {"question", "method", "cutoff", "slice", "metric", "value", "low", "high", "n"}
    assert all(set(row) == keys for row in found["rows"])
    assert {row["metric"] for row in found["rows"]} >= {"qini", "auuc", "uplift_at_30pct"}
    assert "mail: no reliable heterogeneity" in found["notes"][0]
    assert found["notes"][0] in okaeri(copied, "backtest", "uplift", "--table", tmp_path / "mail.csv", *asked).out


def test_an_unknown_protocol_is_answered_with_those_there_are(okaeri: Okaeri, home: Home, files: Path) -> None:
    asked = ("--shop", files / "shop.yaml", "--cutoffs", "2024-10-01", "--protocol", "next-baskt")
    refused(okaeri(home, "backtest", "recommender", *asked), 2, "next-baskt", "rolling-origin, next-basket")
    refused(okaeri(home, "backtest", "churn", *asked[:-1], "next-basket"), 2, "churn knows rolling-origin")


@pytest.mark.parametrize("words", [["--as-of", "tomorrow"], ["--as-of", "2024-02-30"], ["--as-off", "2024-12-30"]])
def test_a_wrong_option_is_refused(okaeri: Okaeri, home: Home, words: list[str]) -> None:
    refused(okaeri(home, "nightly", *words), 2, words[1] if words[0] == "--as-of" else "--as-off")


def test_a_wrong_policy_is_refused_before_anything_happens(okaeri: Okaeri, home: Home, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(told.POLICY[1].replace(b"window_days:", b"window_day:"))
    refused(okaeri(home, "nightly", "--policy", path), 2, str(path), "did you mean window_days?")


def test_a_night_that_runs_already_ends_with_four(okaeri: Okaeri, copied: Home) -> None:
    with lake.locked(copied.root / ".night.lock", "the night"):
        refused(okaeri(copied, "nightly", "--json"), 4, "the night is locked by pid", str(os.getpid()))


def test_damage_ends_with_one_and_names_the_file(okaeri: Okaeri, copied: Home) -> None:
    found = current(copied)
    assert found is not None
    with (found.path / "rejects.parquet").open("ab") as file:
        file.write(b"x")
    for command in (["nightly"], ["status"]):
        ended = okaeri(copied, *command)
        assert ended.code == 1 and "rejects.parquet" in ended.err and "Traceback" not in ended.err
    (champion(copied) / "churn.txt").write_bytes(b"tree\n")
    ended = okaeri(copied, "release", "verify")
    assert ended.code == 1 and "churn.txt" in ended.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])
def test_without_a_key_nobody_else_is_served(okaeri: Okaeri, home: Home, host: str) -> None:
    refused(okaeri(home, "serve", "--host", host), 2, "needs an API key", "OKAERI_API_KEYS_FILE")


def test_a_host_is_an_address(okaeri: Okaeri, home: Home) -> None:
    refused(okaeri(home, "serve", "--host", "shop.example"), 2, "must be an IP address")


# ---- forgotten


def test_an_erasure_ends_with_its_receipt_and_an_unknown_id_with_two(okaeri: Okaeri, copied: Home) -> None:
    refused(okaeri(copied, "forget", "no such customer"), 2, "no table knows")
    with lake.locked(copied.root / ".night.lock", "the night"):
        refused(okaeri(copied, "forget", "weekly"), 4, "locked by")
    done = okaeri(copied, "forget", "weekly", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["rows_removed"]["publications"]["customer_scores"] == 1
    assert "weekly" not in done.out
    people = okaeri(copied, "forget", "weekly")
    assert people.code == 0 and "publications" in people.out and "nothing" in people.out
    refused(okaeri(copied, "features", "show", "weekly"), 2, "not in the online store")


def test_an_audience_goes_from_a_proposal_to_a_list(okaeri: Okaeri, copied: Home, tmp_path: Path) -> None:
    file = tmp_path / "winter.yaml"
    file.write_text("audience: winter\nfilter: {lifecycle: [at_risk]}\nscenario: win_back\nprofile: excel-ja\n")
    proposed = okaeri(copied, "audience", "propose", file, "--json").json
    assert proposed["state"] == "proposed"
    refused(okaeri(copied, "audience", "export", "winter"), 4, "not approved yet")
    shown = okaeri(copied, "audience", "show", "winter", "--json").json
    assert shown["sha256"] == proposed["sha256"] and shown["who_ja"] == "ステージが離脱予兆"
    refused(
        okaeri(copied, "audience", "approve", "winter", "--why", "x", "--seen", "abc"), 4, "look at it, then decide"
    )
    approved = okaeri(
        copied, "audience", "approve", "winter", "--why", "looks right", "--seen", shown["sha256"], "--json"
    )
    assert approved.json["state"] == "approved"
    done = okaeri(copied, "audience", "export", "winter", "--out", tmp_path / "out", "--json").json
    assert done["rows"] == shown["included"] and done["excluded"] == shown["excluded"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["winter.csv", "winter.done", "winter.excluded.csv"]
    assert "exported" in okaeri(copied, "audience", "list").out
    assert "looks right" in okaeri(copied, "audience", "show", "winter").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "winter"), "no such audience"),
        (("propose", "nowhere.yaml"), "no such file"),
    ],
)
def test_an_audience_that_is_not_there_is_named(okaeri: Okaeri, home: Home, words: tuple[str, ...], said: str) -> None:
    refused(okaeri(home, "audience", *words), 2, said)


def test_an_audience_with_a_scenario_nobody_knows_is_refused(okaeri: Okaeri, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "winter.yaml"
    file.write_text("audience: winter\nfilter: {}\nscenario: win_bak\n")
    refused(okaeri(home, "audience", "propose", file), 2, "did you mean win_back?")
