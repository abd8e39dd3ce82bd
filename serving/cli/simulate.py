"""`okaeri simulate`: a shop that does not exist, with the truths a real shop never knows."""

from pathlib import Path
from typing import Annotated

import typer

from serving.cli.output import show

Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]


def simulate(
    customers: Annotated[int, typer.Option(help="How many.")] = 12_000,
    seed: Annotated[int, typer.Option(help="Another seed is another shop.")] = 1,
    out: Annotated[Path, typer.Option(help="A new folder.")] = Path("hananone"),
    until: Annotated[str, typer.Option(help="Nothing happens on this day or later.")] = "2026-11-21",
    days: Annotated[int, typer.Option(help="How many days before it.")] = 730,
    json: Json = False,
) -> None:
    """Write a simulated shop's export, and its truths in a folder that no mapping reads."""
    from datetime import date

    from features.simulate import simulate as write

    try:
        end = date.fromisoformat(until)
    except ValueError:
        raise typer.BadParameter(f"{until!r} is no date such as 2026-11-21") from None
    counts = write(out, customers, seed, until=end, days=days)
    show({"path": str(out), "rows": counts}, json)
    if not json:
        print(f"\nnext: okaeri ingest --shop hananone {out}/*.parquet")  # noqa: T201
