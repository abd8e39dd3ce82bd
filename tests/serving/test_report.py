"""`okaeri report`: the simulated shop from its export to the report, in both languages and as JSON."""

import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from features.simulate.orders import WINDOW_DAYS
from serving.cli import app
from serving.words import PROOF, VERDICTS

run = CliRunner()
NUMBERS = ("value", "low", "high")


@pytest.fixture(scope="module")
def hana(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a simulated shop of 8,000 customers, taken in by the command line; its export lies beside."""
    folder = tmp_path_factory.mktemp("hana")
    out = folder / "export"
    ended = run.invoke(app, ["simulate", "--customers", "8000", "--seed", "5", "--days", "400", "--out", str(out)])
    assert ended.exit_code == 0
    files = [str(path) for path in sorted(out.glob("*.parquet")) if path.stem not in ("events", "loyalty_events")]
    ended = run.invoke(app, ["ingest", "--shop", "hananone", *files], env={"OKAERI_HOME": str(folder / "home")})
    assert ended.exit_code == 0, ended.output
    return folder


def report(hana: Path, *words: str) -> str:
    ended = run.invoke(app, ["report", *words], env={"OKAERI_HOME": str(hana / "home")})
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def as_json(hana: Path, *words: str) -> dict:
    out = report(hana, "--json", "--window-days", str(WINDOW_DAYS), "--control-share", "win_back=0.2", *words)
    assert out.count("\n") == 1
    found: dict = json.loads(out)
    return found


def test_the_intervals_cover_the_simulated_truth(hana: Path) -> None:
    (row,) = duckdb.sql(
        "SELECT avg(p_order_care_tips + p_order_pts_300 + p_order_ship_free + p_order_cpn_500) / 4"
        " - avg(p_order_without)"
        f" FROM (FROM '{hana}/export/contacts.parquet' c JOIN '{hana}/export/truth/contacts.parquet' t"
        " ON t.contact_id = c.配信番号 QUALIFY row_number() OVER (PARTITION BY 顧客番号 ORDER BY 配信日時) = 1)"
    ).fetchall()
    (found,) = as_json(hana)["experiments"]
    for reading in ("anytime", "fixed"):
        each, total = (found["orders"][f"{grain}_{reading}"] for grain in ("per_customer", "total"))
        assert each["low"] < row[0] < each["high"]
        n = found["arms"]["treatment"]["counted"]
        assert [total[name] for name in NUMBERS] == pytest.approx([n * each[name] for name in NUMBERS], rel=1e-3)
    assert found["split"] == {
        "planned_control_share": 0.2,
        "p_value": found["split"]["p_value"],
        "is_off": found["split"]["p_value"] < 0.001,
    }
    assert not found["split"]["is_off"]


def test_json_says_for_each_experiment_what_is_known_and_what_it_could_show(hana: Path) -> None:
    found = as_json(hana, "--lang", "en", "--as-of", "2026-10-01")
    assert (found["as_of"], found["window_days"], found["currency"]) == ("2026-10-01", WINDOW_DAYS, "JPY")
    (one,) = found["experiments"]
    assert one["experiment"] == "win_back" and one["verdict"] in VERDICTS
    assert one["verdict_text"] == VERDICTS[one["verdict"]][1]
    assert set(one["arms"]) == {"treatment", "control"}
    for arm in one["arms"].values():
        assert arm["assigned"] >= arm["counted"] > arm["buyers"] > 0
    assert one["plan"]["anytime"]["smallest_effect"] > one["plan"]["fixed"]["smallest_effect"] > 0
    newer = as_json(hana)["experiments"][0]
    assert newer["arms"]["treatment"]["counted"] > one["arms"]["treatment"]["counted"]


def test_the_table_has_the_words_of_the_glossary_in_both_languages(hana: Path) -> None:
    ja, en = report(hana), report(hana, "--lang", "en")
    assert all(word in ja for word in ("純増利益(対照群比)", "対照群", "配信群", "判定", "円"))
    assert all(word in en for word in ("Incremental profit", "Control", "Treatment", "Verdict", "Win-back"))
    assert any(words[0] in ja and words[1] in en for words in VERDICTS.values())
    assert report(hana) == ja


def test_before_any_window_is_over_there_are_too_few_to_tell(hana: Path) -> None:
    (one,) = as_json(hana, "--as-of", "2026-01-20", "--lang", "ja")["experiments"]
    assert one["verdict_text"] == "判定できません" and one["arms"]["treatment"]["counted"] == 0
    assert one["orders"]["total_anytime"] == dict.fromkeys(NUMBERS) and one["plan"] == {}
    assert "判定できません" in report(hana, "--as-of", "2026-01-20", "--lang", "ja")


def test_before_any_contact_there_is_nothing_to_report(hana: Path) -> None:
    assert as_json(hana, "--as-of", "2025-12-01")["experiments"] == []
    assert PROOF["nothing"][1] in report(hana, "--as-of", "2025-12-01", "--lang", "en")


def test_a_split_that_is_off_is_said(hana: Path) -> None:
    assert "対照群10.0%" in report(hana, "--control-share", "win_back=0.1")


@pytest.mark.parametrize(
    "words",
    [["--control-share", "0.2"], ["--control-share", "win_back=2"], ["--lang", "fr"], ["--as-of", "yesterday"]],
)
def test_wrong_options_end_with_2(hana: Path, words: list[str]) -> None:
    assert run.invoke(app, ["report", *words], env={"OKAERI_HOME": str(hana / "home")}).exit_code == 2


def test_a_home_without_a_shop_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from features.errors import BadInput

    ended = run.invoke(app, ["report"], env={"OKAERI_HOME": str(tmp_path)})
    assert isinstance(ended.exception, BadInput)
