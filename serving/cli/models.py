"""`okaeri train`, `okaeri tune` and `okaeri backtest`: learning and judging."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serving.cli.output import day_of, now, say_on_stderr, show

if TYPE_CHECKING:
    from features.home import Home
    from features.shop import Shop as OpenedShop
    from training.backtest import Backtested

Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]
Shop = Annotated[str | None, typer.Option(help="A shop that was ingested; default the first one.")]


def train(
    as_of: Annotated[str | None, typer.Option(help="Learn from what was known before this date.")] = None,
    models: Annotated[str, typer.Option(help="all, or some of churn,next-purchase,value,recommender.")] = "all",
    parameters: Annotated[Path | None, typer.Option(help="How models are set, as `okaeri tune` writes it.")] = None,
    gate: Annotated[Path | None, typer.Option(help="Your own gate.yaml; default the one that ships.")] = None,
    force: Annotated[bool, typer.Option(help="Learn although the last days' volume is unusual.")] = False,
    json: Json = False,
) -> None:
    """Judge on held-back customers, fit a release, track it, and make it the champion if the gate says so."""
    from features.home import Home
    from features.shop import open_shop
    from features.volume import expect_usual_volume

    home = Home.open()
    shop = open_shop(home)  # before ten seconds of imports
    from training.dataset import observation_end
    from training.gate import load_rules
    from training.models.parameters import AS_FOUND, Parameters
    from training.report import shown, shown_effects
    from training.strict import read_strict
    from training.train import Asked
    from training.train import train as learn

    found = AS_FOUND if parameters is None else read_strict(parameters, Parameters)
    asked = Asked(_parts(models), found, load_rules(gate))
    until = day_of(as_of) or observation_end(shop)
    if not force:
        expect_usual_volume(shop, until - 1)  # the lake's last day may not be over
    result = learn(home, shop, until, getpass.getuser(), now().isoformat(), say_on_stderr(json), asked)
    if json:
        show(result, True)
    else:
        typer.echo(shown(result["report"], result["skipped"]))
        typer.echo(shown_effects(result["effects"], result["why_no_effects"]))
        show({name: result[name] for name in ("release", "method", "version", "run_id", "verdict", "kind")}, False)
        show({"season": result["season"]["why"]}, False)
    if not json:
        for reason in result["reasons"]:
            typer.echo(f"gate: {reason}", err=True)
    if result["verdict"] == "kept_champion":
        raise typer.Exit(4)


def _parts(models: str) -> tuple[str, ...]:
    """Name the questions whose models are asked for."""
    from features.door.mapping import nearest
    from training.evaluation import QUESTIONS

    asked = [part.strip() for part in models.split(",")]
    for part in asked:
        if part not in (*QUESTIONS, "all"):
            raise typer.BadParameter(f"--models {part}: no such model{nearest(part, [*QUESTIONS, 'all'])}")
    return QUESTIONS if "all" in asked else tuple(part for part in QUESTIONS if part in asked)


def tune(
    question: Annotated[str, typer.Argument(help="churn, next-purchase or value.")],
    trials: Annotated[int, typer.Option(min=1, help="How many settings are tried, the shipped ones first.")] = 40,
    as_of: Annotated[str | None, typer.Option(help="Look at what was known before this date.")] = None,
    out: Annotated[Path, typer.Option(help="Where the best settings go.")] = Path("parameters.yaml"),
    json: Json = False,
) -> None:
    """Try settings of one model at cut-offs before the held-back ones; write the best for `train --parameters`."""
    from features.home import Home
    from features.shop import open_shop

    shop = open_shop(Home.open())
    from features.lake import write_bytes
    from training.dataset import observation_end
    from training.tune import as_yaml
    from training.tune import tune as search

    until = day_of(as_of) or observation_end(shop)
    found = search(shop, until, question, trials, say_on_stderr(json))
    write_bytes(out, as_yaml(found).encode())
    show({"question": question, **found.as_dict(), "written": str(out)}, json)


def backtest(
    question: Annotated[str, typer.Argument(help="churn, next-purchase, second-order, value, recommender or uplift.")],
    shop: Annotated[
        Path | None, typer.Option(help="A ready mapping's name or a shop.yaml; ingested first if need be.")
    ] = None,
    files: Annotated[list[Path] | None, typer.Argument(help="Files, if it was not ingested yet.")] = None,
    cutoffs: Annotated[str | None, typer.Option(help="Dates, comma-separated; default the mapping's.")] = None,
    protocol: Annotated[
        str, typer.Option(help="rolling-origin; churn also own-rhythm, recommender also next-basket.")
    ] = "rolling-origin",
    table: Annotated[
        Path | None, typer.Option(help="uplift: an experiment, a row per customer (CSV, Parquet).")
    ] = None,
    treatment: Annotated[str | None, typer.Option(help="uplift: the column of who was treated how.")] = None,
    control: Annotated[str | None, typer.Option(help="uplift: the value of that column that means not at all.")] = None,
    outcome: Annotated[str | None, typer.Option(help="uplift: the column of what they did after, a number.")] = None,
    ignore: Annotated[
        str, typer.Option(help="uplift: columns not to learn from, comma-separated; all known only after.")
    ] = "",
    json: Json = False,
) -> None:
    """Judge one question at past cut-offs, or uplift on an experiment, beside its baselines, with intervals."""
    from features.home import Home
    from training.evaluation.rows import as_rows
    from training.report import shown

    home = Home.open()
    if question == "uplift":
        name, found = _judged_uplift(home, shop, files or [], cutoffs, (table, treatment, control, outcome, ignore))
        told: dict[str, Any] = {"question": question, "shop": name, "protocol": "cross-fitting"}
    else:
        of_a_table = {"--table": table, "--treatment": treatment, "--control": control, "--outcome": outcome}
        _expect_none(question, {**of_a_table, "--ignore": ignore})
        name, found = _judged_shop(home, question, shop, files or [], cutoffs, protocol)
        told = {"question": question, "shop": name, "protocol": protocol, "season": found.season}
    rows = as_rows(found.rows)
    if json:
        notes = {"notes": list(found.notes)} if found.notes else {}
        show({**told, "rows": rows, "skipped": list(found.skipped), **notes}, True)
        return
    typer.echo(shown(rows, found.skipped))
    for note in found.notes:
        typer.echo(note)
    for cutoff, one in found.season.items():
        typer.echo(f"season {cutoff}: {one['why']}")


def _expect_none(question: str, given: dict[str, object]) -> None:
    """Refuse options that a question does not read: ignoring them would answer something else than was asked."""
    from features.errors import BadInput

    if read := [name for name, value in given.items() if value]:
        raise BadInput(f"{question}: does not read {', '.join(read)}; `okaeri backtest --help` says what does")


def _judged_uplift(
    home: "Home",
    shop: Path | None,
    files: list[Path],
    cutoffs: str | None,
    of_a_table: tuple[Path | None, str | None, str | None, str | None, str],
) -> tuple[str | None, "Backtested"]:
    """Judge uplift on the shop's own contacts, or on the flat table of an experiment; with the shop's name."""
    if shop is None:
        _expect_none("uplift", {"FILES": files, "--cutoffs": cutoffs})
        return None, _judged_table(home, *of_a_table)
    from training.backtest import backtest_contacts

    options = ("--table", "--treatment", "--control", "--outcome", "--ignore")
    _expect_none("uplift --shop", {"--cutoffs": cutoffs, **dict(zip(options, of_a_table, strict=True))})
    opened = _opened(home, "uplift", shop, files)
    return opened.name, backtest_contacts(home, opened)


def _opened(home: "Home", question: str, shop: Path | None, files: list[Path]) -> "OpenedShop":
    """Open a shop by its mapping, ingested first if need be."""
    from features.door.ingest import ingest
    from features.door.mapping_file import load_mapping, mapping_path
    from features.errors import BadInput
    from features.shop import open_shop

    if shop is None:
        raise BadInput(f"{question}: give --shop, a ready mapping's name or a shop.yaml")
    path = mapping_path(shop)
    mapping = load_mapping(path)
    if not (home.lake(mapping.shop) / "CURRENT.json").exists():
        ingest(home, mapping, path.read_bytes(), files, now())
    return open_shop(home, mapping.shop)


def _judged_shop(
    home: "Home", question: str, shop: Path | None, files: list[Path], cutoffs: str | None, protocol: str
) -> tuple[str, "Backtested"]:
    """Judge a question on a shop's history, with the shop's name."""
    from training.backtest import backtest as judge

    opened = _opened(home, question, shop, files)
    days = None if cutoffs is None else [day for text in cutoffs.split(",") if (day := day_of(text)) is not None]
    return opened.name, judge(home, opened, question, days, protocol)


def _judged_table(
    home: "Home", table: Path | None, treatment: str | None, control: str | None, outcome: str | None, ignore: str
) -> "Backtested":
    """Judge uplift on the flat table of an experiment."""
    from features.errors import BadInput
    from training.backtest import backtest_table
    from training.experiment import Table

    if table is None or treatment is None or control is None or outcome is None:
        raise BadInput(
            "uplift: give --shop for the shop's own contacts, or --table FILE --treatment COLUMN --control VALUE"
            " --outcome COLUMN, all of one experiment"
        )
    ignored = tuple(name.strip() for name in ignore.split(",") if name.strip())
    return backtest_table(home, Table(table, treatment, control, outcome, ignored))
