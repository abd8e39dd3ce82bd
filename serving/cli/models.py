"""`okaeri train`, `okaeri backtest` and `okaeri release`: learning, judging, and what answers now."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from serving.cli.output import day_of, now, say_on_stderr, show

release = typer.Typer(help="The releases that answer.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]
Shop = Annotated[str | None, typer.Option(help="A shop that was ingested; default the first one.")]


def train(
    as_of: Annotated[str | None, typer.Option(help="Learn from what was known before this date.")] = None,
    force: Annotated[bool, typer.Option(help="Learn although the last days' volume is unusual.")] = False,
    json: Json = False,
) -> None:
    """Judge on held-back customers, fit a release, track it in MLflow and make it the champion."""
    from features.home import Home
    from features.shop import open_shop
    from features.volume import expect_usual_volume

    home = Home.open()
    shop = open_shop(home)  # before ten seconds of imports
    from training.dataset import observation_end
    from training.report import shown
    from training.train import train as learn

    until = day_of(as_of) or observation_end(shop)
    if not force:
        expect_usual_volume(shop, until - 1)  # the lake's last day may not be over
    result = learn(home, shop, until, getpass.getuser(), now().isoformat(), say_on_stderr(json))
    if json:
        show(result, True)
    else:
        typer.echo(shown(result["report"], result["skipped"]))
        show({name: result[name] for name in ("release", "method", "version", "run_id")}, False)


def backtest(
    question: Annotated[str, typer.Argument(help="churn, next-purchase, value or recommender.")],
    shop: Annotated[Path, typer.Option(help="A ready mapping's name or a shop.yaml; ingested first if need be.")],
    files: Annotated[list[Path] | None, typer.Argument(help="Files, if it was not ingested yet.")] = None,
    cutoffs: Annotated[str | None, typer.Option(help="Dates, comma-separated; default the mapping's.")] = None,
    protocol: Annotated[
        str, typer.Option(help="rolling-origin; or next-basket, of the recommender: every last basket is left out.")
    ] = "rolling-origin",
    json: Json = False,
) -> None:
    """Judge one question at past cut-offs, beside its baselines, with intervals."""
    from features.door.ingest import ingest
    from features.door.mapping import load_mapping, mapping_path
    from features.home import Home
    from features.shop import open_shop
    from training.backtest import backtest as judge
    from training.report import shown

    home, path = Home.open(), mapping_path(shop)
    mapping = load_mapping(path)
    if not (home.lake(mapping.shop) / "CURRENT.json").exists():
        ingest(home, mapping, path.read_bytes(), files or [], now())
    days = None if cutoffs is None else [day for text in cutoffs.split(",") if (day := day_of(text)) is not None]
    rows = judge(open_shop(home, mapping.shop), question, days, protocol)
    if json:
        show({"question": question, "shop": mapping.shop, "protocol": protocol, "rows": rows}, True)
    else:
        typer.echo(shown(rows, []))


@release.command("list")
def list_(json: Json = False) -> None:
    """List the releases of this home."""
    from features.home import Home
    from training.release import list_releases

    found = list_releases(Home.open())
    if json:
        show({"releases": found}, True)
    for facts in [] if json else found:
        typer.echo("  ".join(f"{name} {value}" for name, value in facts.items()))


@release.command("show")
def show_(release_id: Annotated[str | None, typer.Argument(help="Default the champion.")] = None) -> None:
    """Show one release: what it was trained on and how it did beside its baselines."""
    from training.release import open_release
    from training.report import shown

    opened = open_release(_path(release_id))
    facts = {k: v for k, v in opened.facts.items() if not isinstance(v, list | dict)}
    show({"id": opened.id, **facts}, False)
    typer.echo(shown(opened.report(), []))


@release.command("verify")
def verify(release_id: Annotated[str | None, typer.Argument(help="Default the champion.")] = None) -> None:
    """Check every file of a release and let it answer its golden rows again in a process of its own."""
    from training.release import probe

    path = _path(release_id)
    probe(path)
    typer.echo(f"{path.name}: every checksum and every golden answer is right")


def _path(release_id: str | None) -> Path:
    from features.errors import BadInput
    from features.home import Home
    from training.release import champion, list_releases

    home = Home.open()
    if release_id is None:
        return champion(home)
    known = [facts["id"] for facts in list_releases(home)]
    if release_id not in known:
        raise BadInput(f"{release_id}: no such release; there are {', '.join(known) or 'none'}")
    return home.releases / release_id
