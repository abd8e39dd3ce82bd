"""`okaeri release`: the releases there are, what the gate said of them, and who answers now."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from serving.cli.output import day_of, now, say_on_stderr, show

release = typer.Typer(help="The releases that answer.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]
Id = Annotated[str, typer.Argument(help="The release, as `release list` names it.")]
Why = Annotated[str, typer.Option(help="For the ledger: the reason, in a sentence.")]


@release.command("list")
def list_(json: Json = False) -> None:
    """List the releases of this home, the oldest first, with their aliases and the gate's word."""
    from features.home import Home
    from training.ledger import list_releases

    found = list_releases(Home.open())
    if json:
        show({"releases": found}, True)
    for facts in [] if json else found:
        told = facts | {"aliases": ",".join(facts["aliases"]) or "-", "gate": facts["gate"] or "-"}
        typer.echo("  ".join(f"{name} {value}" for name, value in told.items() if name != "champion"))


@release.command("show")
def show_(release_id: Annotated[str | None, typer.Argument(help="Default the champion.")] = None) -> None:
    """Show one release: what it was trained on, how it did beside its baselines, what the gate said, its ledger."""
    from features.home import Home
    from training.ledger import aliases, entries
    from training.release import open_release
    from training.report import shown

    home, opened = Home.open(), open_release(_path(release_id))
    facts = {k: v for k, v in opened.facts.items() if not isinstance(v, list | dict)}
    named = ", ".join(alias for alias, name in aliases(home).items() if name == opened.id) or "-"
    if season := opened.facts.get("season"):
        facts["season"] = season["why"]
    show({"id": opened.id, "aliases": named, **facts}, False)
    typer.echo(shown(opened.report(), []))
    gate = opened.gate()
    typer.echo(f"gate             {gate.get('summary', '-')}")
    for reason in gate.get("reasons", ()):
        typer.echo(f"  {reason}")
    for entry in entries(home):
        if entry["release"] == opened.id:
            typer.echo(f"ledger           {entry['when']} {entry['who']}: {entry['kind']}: {entry['why']}")


@release.command("verify")
def verify(release_id: Annotated[str | None, typer.Argument(help="Default the champion.")] = None) -> None:
    """Check every file of a release and let it answer its golden rows again in a process of its own."""
    from training.release import probe

    path = _path(release_id)
    probe(path)
    typer.echo(f"{path.name}: every checksum and every golden answer is right")


@release.command("promote")
def promote(release_id: Id, why: Why, json: Json = False) -> None:
    """Make a release the champion whatever the gate said; it is verified first, and the ledger says who and why."""
    from features.home import Home
    from training.ledger import answering
    from training.ledger import promote as make_champion

    home, path = Home.open(), _path(release_id)
    before = answering(home)[0]
    make_champion(home, path, getpass.getuser(), now().isoformat(), why, "promote", expected=before)
    _moved(home.root, path.name, before, json)


@release.command("rollback")
def rollback(why: Why, json: Json = False) -> None:
    """Go back to the champion before this one, verified first. One step: a second call undoes the first."""
    from features.home import Home
    from training.ledger import rollback as go_back

    home = Home.open()
    champion, before = go_back(home, getpass.getuser(), now().isoformat(), why)
    _moved(home.root, champion, before, json)


@release.command("prune")
def prune(json: Json = False) -> None:
    """Remove old releases: the newest five, the champion, the one before it and a challenger stay."""
    from features.home import Home
    from serving.publication import current
    from training.ledger import prune as remove

    home = Home.open()
    night = current(home)
    gone = remove(home, [night.manifest["inputs"]["release"]] if night else [])
    show({"removed": gone} if json else {"removed": ", ".join(gone) or "nothing"}, json)


@release.command("shadow")
def shadow(
    release_id: Id,
    as_of: Annotated[str | None, typer.Option(help="Date; default that of the current night.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Policy file; default that of the current night.")] = None,
    json: Json = False,
) -> None:
    """Answer for one night's customers with a release and with the champion, and show where they differ."""
    from features.home import Home
    from serving.policy.reading import load_policy
    from serving.shadow import shadow as compare
    from serving.shadow import shown

    home = Home.open()
    rules = load_policy(policy) if policy else None
    found = compare(home, _path(release_id), day_of(as_of), now(), rules, say_on_stderr(json))
    if json:
        show(found, True)
    else:
        typer.echo(shown(found))


def _moved(root: Path, champion: str, before: str | None, json: bool) -> None:
    """Mirror the move in MLflow and say what answers from the service's next start on."""
    from features.home import Home
    from training import registry
    from training.ledger import aliases

    home = Home.open(root)
    registry.mirror(home, aliases(home))
    show({"champion": champion, "before": before}, json)
    if not json:
        typer.echo("the service answers with it from its next start on", err=True)


def _path(release_id: str | None) -> Path:
    from features.errors import BadInput
    from features.home import Home
    from training.ledger import folders
    from training.release import champion

    home = Home.open()
    if release_id is None:
        return champion(home)
    known = [path.name for path in folders(home)]
    if release_id not in known:
        raise BadInput(f"{release_id}: no such release; there are {', '.join(known) or 'none'}")
    return home.releases / release_id
