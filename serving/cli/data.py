"""`okaeri ingest` and `okaeri features`: a shop's files in, what is known of a customer out."""

from pathlib import Path
from typing import Annotated

import typer

from serving.cli.output import day_of, now, say_on_stderr, show

features = typer.Typer(help="What is known about customers.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]


def ingest(
    files: Annotated[list[Path] | None, typer.Argument(help="Files and folders the mapping's sources match.")] = None,
    shop: Annotated[Path | None, typer.Option(help="The shop's mapping, or the name of a ready one.")] = None,
    infer: Annotated[bool, typer.Option("--infer", help="Take nothing in: look and propose a mapping.")] = False,
    out: Annotated[Path | None, typer.Option(help="With --infer: a new file for the proposal, else stdout.")] = None,
    allow_empty: Annotated[bool, typer.Option(help="Accept files with a header and no rows.")] = False,
    requeue: Annotated[bool, typer.Option(help="The files are quarantines whose rows you have corrected.")] = False,
    json: Json = False,
) -> None:
    """Take a shop's files in. Nothing is lost: every row is accepted, set aside, a duplicate or quarantined."""
    if infer:
        propose(files or [], out)
        return
    if shop is None:
        raise typer.BadParameter("give the shop's mapping with --shop, or --infer to have one proposed")
    if out is not None:
        raise typer.BadParameter("--out goes with --infer")
    from features.door.ingest import ingest as take_in
    from features.door.mapping_file import load_mapping, mapping_path
    from features.home import Home

    path = mapping_path(shop)
    ledger = take_in(
        Home.open(),
        load_mapping(path),
        path.read_bytes(),
        files or [],
        now(),
        allow_empty=allow_empty,
        requeue=requeue,
        say=say_on_stderr(json),
    )
    for warning in ledger.warnings if not json else ():
        typer.echo(f"warning: {warning}", err=True)
    show({name: value for name, value in ledger.as_dict().items() if json or name != "warnings"}, json)
    if ledger.quarantined:
        raise typer.Exit(3)


def propose(files: list[Path], out: Path | None) -> None:
    """Print the proposed mapping, or write it to a new file; exit 2 where a person must decide something first."""
    from features.door.infer import infer
    from features.errors import BadInput
    from features.lake import write_bytes

    if not files:
        raise typer.BadParameter("--infer looks at files: name them")
    if out is not None and out.exists():
        raise BadInput(f"{out}: exists already; give a new file with --out")
    proposal = infer(files)
    if out is None:
        print(proposal.text, end="")  # noqa: T201
    else:
        write_bytes(out, proposal.text.encode())
    if proposal.todo:
        raise BadInput("\n".join(["to be decided before this mapping can be used:", *proposal.todo]))


@features.command("build")
def build(
    as_of: Annotated[str | None, typer.Option(help="Date; default the shop's clock.")] = None, json: Json = False
) -> None:
    """Compute and keep the feature snapshot of one date for training."""
    from feature_repo.store import Store
    from features.catalog import absent
    from features.frame import feature_frame
    from features.home import Home
    from features.shop import open_shop
    from serving.nightly import shop_day

    home = Home.open()
    shop = open_shop(home)
    day = day_of(as_of) or shop_day(shop, now())
    frame = feature_frame(shop, shop.calendar.start(day))
    Store.open(home, shop).write_snapshot(frame)
    lacking = {table: len(names) for table, names in absent(shop.tables).items()}
    shown = {"as_of": shop.calendar.date(day).isoformat(), "customers": len(frame), "features": frame.shape[1] - 2}
    show({**shown, "absent": lacking}, json)


@features.command("show")
def show_features(customer_id: str, json: Json = False) -> None:
    """Show what the online store knows of one person, feature by feature, and what made their ids one."""
    from feature_repo.store import Store
    from features.catalog import CATALOG
    from features.errors import BadInput
    from features.home import Home
    from features.identity import others_of
    from features.links import changes_of
    from features.shop import open_shop

    home = Home.open()
    shop = open_shop(home)
    store = Store.open(home, shop)
    night = store.generation()
    day = 0 if night is None else shop.calendar.day(night.as_of)
    others = others_of(shop, day)
    person = next((one for one, rest in others.items() if customer_id in rest), customer_id)
    latest = store.latest([person])
    if not latest.found[0]:
        raise BadInput(f"{customer_id!r}: not in the online store; unknown, or no night was published yet")
    values = {name: float(column[0]) for name, column in latest.columns.items()}
    told = {f"{name} ({CATALOG[name].unit})": None if value != value else value for name, value in values.items()}
    joined = {"merged_from": others.get(person, []), "identity_changes": changes_of(shop, person, day)}
    show({"customer_id": person, **joined, "as_of": str(latest.as_of[0]), "features": told}, json)
