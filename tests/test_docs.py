"""The documents against the code: what they say exists, and what they show runs."""

import itertools
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import click
import pytest
import typer
import yaml

from features import catalog
from features.door.mapping_file import parse_mapping
from features.errors import OkaeriError
from features.frame import feature_frame
from serving.audiences.saved import parse_audience
from serving.cli import app
from serving.http import create_app
from serving.policy.examine.check import check
from serving.policy.examine.findings import Setting
from serving.policy.guards import GUARDS
from serving.policy.reading import parse_policy
from serving.settings import Settings
from tests.worlds import Toy, at, instant

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.ja.md")
DOCUMENTS = (*READMES, "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "THIRD_PARTY.md")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
MADE = {"releases/CURRENT.json", "releases/ledger.jsonl", "publications/CURRENT.json", "mlruns/mlflow.db"}


def text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, language: str) -> list[str]:
    """Give a document's fenced blocks of one language, in order."""
    return [body for kind, body in FENCE.findall(text(document)) if kind == language]


def without_comments(block: str) -> str:
    """Drop what a translation may say otherwise: comments, and the space before them."""
    return "\n".join(re.sub(r"(^|\s+)#.*$", "", line) for line in block.splitlines())


def commands(document: str) -> list[str]:
    """List the shell commands a document shows, continued lines joined."""
    joined = "\n".join(map(without_comments, blocks(document, "sh"))).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip()]


def okaeri_commands(document: str) -> Iterator[list[str]]:
    """Give the words after `okaeri` of each command shown, in blocks, in crontab lines and in the text."""
    shown = [*commands(document), *blocks(document, "text"), *re.findall(r"`([^`\n]+)`", text(document))]
    for line in itertools.chain.from_iterable(block.splitlines() for block in shown):
        if found := re.search(r"(?:^|[\s/])okaeri\s+([a-z][^|>]*)", line):
            yield shlex.split(found[1])


def headings(document: str) -> list[int]:
    """Give the depth of each heading, in order."""
    prose = FENCE.sub("", text(document))
    return [len(hashes) for hashes in re.findall(r"^(#+) ", prose, re.M)]


def test_both_readmes_have_the_same_sections() -> None:
    assert headings(READMES[0]) == headings(READMES[1])


@pytest.mark.parametrize("language", ["sh", "python", "yaml"])
def test_both_readmes_show_the_same_commands_and_code(language: str) -> None:
    english, japanese = (list(map(without_comments, blocks(readme, language))) for readme in READMES)
    assert english == japanese
    assert english


def test_both_readmes_show_the_same_figures() -> None:
    """Intervals and amounts are copied from one run, so that neither text can go stale alone."""
    figure = re.compile(r"\[[+-]?\d+\.\d+, [+-]?\d+\.\d+\]")
    english, japanese = (figure.findall(text(readme)) for readme in READMES)
    assert english == japanese
    assert english


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_okaeri_command_shown_exists_with_its_options(document: str) -> None:
    for words in okaeri_commands(document):
        _expect_command(words)


def _expect_command(words: list[str]) -> None:
    """Walk the command line's own tree; nothing is run."""
    command: click.Command = typer.main.get_command(app)  # type: ignore[assignment]
    rest = list(words)
    while hasattr(command, "commands") and rest:
        assert rest[0] in command.commands, f"okaeri {' '.join(words)}: no command {rest[0]}"
        command = command.commands[rest.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    used = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert used <= known, f"okaeri {' '.join(words)}: no option {sorted(used - known)}"


@pytest.mark.parametrize("words", [["fly"], ["train", "--fast"], ["release", "burn"]])
def test_a_command_that_is_not_there_would_be_noticed(words: list[str]) -> None:
    with pytest.raises(AssertionError, match=r"no (command|option)"):
        _expect_command(words)


def test_the_readmes_show_every_command() -> None:
    shown = {words[0] for readme in READMES for words in okaeri_commands(readme)}
    there = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert there - {"demo"} <= shown  # `make demo` shows that one


def test_every_entry_point_of_mlflow_is_a_command_with_its_options() -> None:
    entries = yaml.safe_load(text("MLproject"))["entry_points"]
    assert set(entries) == {"train", "backtest", "tune"}
    for entry in entries.values():
        given = {name: str(parameter["default"]) for name, parameter in entry["parameters"].items()}
        words = shlex.split(entry["command"].format(**given))
        assert words[0] == "okaeri"
        _expect_command(words[1:])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_named_exists(document: str) -> None:
    prose = FENCE.sub("", text(document))
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", prose)
    quoted = re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:md|toml|lock|yaml))`", prose)
    ours = {"features", "feature_repo", "training", "serving", "tests", "mlruns"}
    named = [path for path in quoted if path.split("/")[0] in ours or "/" not in path]
    yet_to_be_made = {"shop.yaml", "feature_repo/data", "friday.py", *MADE}
    absent = [p for p in (*linked, *named) if p not in yet_to_be_made and not (ROOT / p).exists()]
    assert not absent


@pytest.mark.parametrize("readme", READMES)
def test_every_route_shown_is_served(readme: str) -> None:
    def nobody() -> None:
        raise AssertionError("nothing is asked")

    served = create_app(nobody, Settings())  # type: ignore[arg-type]
    templates = [route.path.partition("{")[0] for route in served.routes]  # type: ignore[attr-defined]
    shown = re.findall(r"(?::3000|`(?:GET |POST )?)(/(?:v1/)?[a-z.]+(?:/\w+)?)", text(readme))
    assert shown
    for path in shown:
        assert any(path == t or (t.endswith("/") and path.startswith(t)) for t in templates), path


@pytest.mark.parametrize("readme", READMES)
def test_every_guard_is_explained(readme: str) -> None:
    assert set(GUARDS) <= set(re.findall(r"`([A-Z_]+)`", text(readme)))


def yaml_of(readme: str, key: str) -> str:
    """Give the one YAML block that begins with a key."""
    (shown,) = [block for block in blocks(readme, "yaml") if block.startswith(f"{key}:")]
    return shown


@pytest.mark.parametrize("readme", READMES)
def test_the_mapping_shown_is_accepted(readme: str) -> None:
    shown = yaml_of(readme, "shop")
    mapping = parse_mapping(shown.encode(), readme)
    assert {"order_lines", "consents"} == set(mapping.tables)
    with pytest.raises(OkaeriError, match="did you mean"):
        parse_mapping(shown.replace("timezone", "timezon").encode(), readme)


@pytest.mark.parametrize("readme", READMES)
def test_nothing_is_wrong_with_the_policy_shown(readme: str) -> None:
    shown = yaml_of(readme, "policy").encode()
    codes = {"cpn_500": ("HANA0001",)}
    assert check(shown, Setting(date(2026, 11, 21), currency="JPY", codes=codes)) == []
    with pytest.raises(OkaeriError, match="did you mean"):
        parse_policy(shown.replace(b"pressure", b"presure"), readme)


@pytest.mark.parametrize("readme", READMES)
def test_the_audience_shown_is_accepted_and_of_a_scenario_of_the_policy_shown(readme: str) -> None:
    saved = parse_audience(yaml_of(readme, "audience").encode(), readme).saved
    policy = parse_policy(yaml_of(readme, "policy").encode(), readme)
    assert saved.scenario in [scenario.id for scenario in policy.scenarios]
    assert saved.channel in policy.channels


def test_the_feature_of_the_contributing_guide_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (family,) = blocks("CONTRIBUTING.md", "python")
    path = tmp_path / "friday.py"
    path.write_text(family, encoding="utf-8")
    features = runpy.run_path(str(path))["FEATURES"]
    monkeypatch.setattr(catalog, "CATALOG", catalog.CATALOG | {feature.name: feature for feature in features})

    def order(number: int, customer: str, day: int) -> dict[str, object]:
        row = {"order_id": f"o{number}", "customer_id": customer, "product_id": "p1", "quantity": 1, "revenue": "10"}
        return row | {"ordered_at": at(day), "line_no": 0}

    # The toy world's day 0 is a Monday, so that its Fridays are days 4, 11, 18, ...; day 25 is not over yet.
    days = {"a": [4, 11, 12, 25], "b": [0, 1], "c": [18]}
    told = [(customer, day) for customer, on in days.items() for day in on]
    toy = Toy(tmp_path, ["order_lines"])
    toy.load({"order_lines": [order(n, customer, day) for n, (customer, day) in enumerate(told)]})
    frame = feature_frame(toy.shop, instant(25)).set_index("customer_id")

    assert frame.friday_order_days.to_dict() == {"a": 2, "b": 0, "c": 1}
    assert frame.friday_share.to_dict() == pytest.approx({"a": 2 / 3, "b": 0, "c": 1})
    names = catalog.stored_names(toy.shop.tables)
    columns = {name: frame[name].to_numpy() for name in names}
    again = catalog.derive(columns, float(toy.shop.calendar.day(instant(25))), toy.shop.tables)["friday_share"]
    assert (again == frame.friday_share.to_numpy()).all()  # the service's NumPy and the night's Ibis
    assert "friday_order_days" in names
    assert "friday_share" in catalog.model_inputs(toy.shop.tables)


def test_the_lock_names_packages_and_versions_only() -> None:
    lines = text("requirements.lock").splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []


def test_the_newest_change_is_of_this_version() -> None:
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert re.findall(r"^## \[([^\]]+)\]", text("CHANGELOG.md"), re.M)[0] == version


def test_every_dependency_has_its_licence_told() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *itertools.chain.from_iterable(project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted}
    told = set(re.findall(r"^\| ([\w-]+) \|", text("THIRD_PARTY.md"), re.M)) - {"package"}
    assert names == told


def test_the_licence_is_apache_2_in_full() -> None:
    licence = text("LICENSE")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
