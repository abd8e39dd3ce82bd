"""`okaeri nightly`, `okaeri serve` and `okaeri status`: publish, answer, and see where things stand."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from serving.cli.output import day_of, now, say_on_stderr, show

Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]


def nightly(
    as_of: Annotated[str | None, typer.Option(help="Date; default the shop's own today.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Policy file; default the one that ships.")] = None,
    replace: Annotated[bool, typer.Option(help="Publish another revision of a published date.")] = False,
    force: Annotated[bool, typer.Option(help="Publish although the last day or tonight's inputs are unusual.")] = False,
    json: Json = False,
) -> None:
    """Take in what is new, answer for every customer, publish tables and features: whole or not at all."""
    from features.home import Home
    from serving.nightly import nightly as run
    from serving.policy.codes import read_codes
    from serving.policy.reading import DEFAULT, load_policy

    rules = load_policy(policy), (policy or DEFAULT).read_bytes()
    codes = read_codes(rules[0], (policy or DEFAULT).parent)
    told = say_on_stderr(json)
    show(run(Home.open(), day_of(as_of), now(), rules, codes, replace=replace, force=force, say=told), json)


def serve(
    host: Annotated[str | None, typer.Option(help="Address; another than loopback needs an API key.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; default 3000.")] = None,
) -> None:
    """Answer over HTTP: this process becomes `bentoml serve`."""
    from pydantic import ValidationError

    from features.errors import BadInput
    from features.home import Home
    from serving.service import serve_command

    try:
        command = serve_command(host, port)
    except ValidationError as error:
        raise BadInput("; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors())) from None
    os.environ.setdefault("BENTOML_HOME", str(Home.open().root / "bentoml"))
    sys.stdout.flush()
    os.execv(command[0], command)


def status(
    history: Annotated[bool, typer.Option("--history", help="Every night that was judged, a row each.")] = False,
    json: Json = False,
) -> None:
    """Say what this home holds: the shop, its rows, the champion, the last night, and what came of earlier ones."""
    from features import lake
    from features.arrivals import arrivals, late_tables
    from features.door.tables import TABLES
    from features.home import Home
    from features.shop import open_shop
    from serving.matured import history as judged
    from serving.matured import line
    from serving.publication import current

    home = Home.open()
    shop = open_shop(home)
    night, release, realised = current(home), lake.pointed(home.releases / "CURRENT.json"), judged(home)
    if history and not json:
        for one in realised:
            typer.echo(line(one))
        return
    show(
        {
            "shop": shop.name,
            "lake": shop.version,
            "loads": len(shop.loads),
            "tables": ", ".join(sorted(shop.tables & set(TABLES))),
            "late_tables": ", ".join(late_tables(shop.mapping, arrivals(home, shop.name), now())),
            "champion": release[0].name if release else None,
            "last_night": night.manifest["score_date"] if night else None,
            "counts": dict(night.manifest["counts"]) if night else {},
            "realised": (realised[-1] if json else line(realised[-1])) if realised else None,
            **({"history": realised} if history else {}),
        },
        json,
    )
