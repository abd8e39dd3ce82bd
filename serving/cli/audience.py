"""`okaeri audience`: saved audiences from a proposal to the list that leaves the house."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serving.cli.output import now, show

if TYPE_CHECKING:
    from serving.audiences.approvals import Decision

audience = typer.Typer(help="Saved audiences: who gets a list, who approved it.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]
Name = Annotated[str, typer.Argument(help="The audience, as `audience list` names it.")]


@audience.command("list")
def list_(json: Json = False) -> None:
    """List the saved audiences with their states."""
    from features.home import Home
    from serving.audiences.approvals import listed

    rows = [
        {"audience": w.name, "state": state, "scenario": w.saved.scenario, "profile": w.saved.profile}
        for w, state in listed(Home.open())
    ]
    if json:
        show({"audiences": rows}, True)
    for row in [] if json else rows:
        typer.echo("  ".join(f"{value:<20}" for value in row.values()).rstrip())


@audience.command("show")
def show_(name: Name, json: Json = False) -> None:
    """Show who is meant in words, how many that are tonight, who is left out and why, and what was decided on it."""
    from collections import Counter

    from features.home import Home
    from features.shop import open_shop
    from serving.audiences.approvals import entries, state
    from serving.audiences.export import asked_of, for_profile
    from serving.audiences.members import audience as members_of
    from serving.audiences.proof import prospects
    from serving.audiences.saved import read_audience
    from serving.lists.profiles import profile_of
    from serving.policy.filter_words import words
    from serving.publication import current

    home = Home.open()
    written, night = read_audience(home, name), current(home)
    saved = written.saved
    told: dict[str, Any] = {"audience": name, "state": state(home, written), "sha256": written.sha256}
    told |= saved.model_dump(exclude={"audience", "filter"}, exclude_none=True)
    told |= {"who_en": words(saved.who, "en"), "who_ja": words(saved.who, "ja")}
    if night is not None:
        found = members_of(night, asked_of(saved))
        found = for_profile(found, profile_of(saved.profile), lambda: open_shop(home), night.day)
        reasons = Counter(code for codes in found.excluded.reasons for code in codes.split(","))
        cost = float(found.included["cost"].sum()) if "cost" in found.included else 0.0
        told |= {"night": night.manifest["score_date"], "included": len(found.included), "cost": round(cost, 2)}
        told |= {"excluded": len(found.excluded), "reasons": dict(sorted(reasons.items()))}
        told |= {"experiment": prospects(found, night.policy)}
    ledger = entries(home, name)
    show(told | ({"ledger": ledger} if json else {}), json)
    for entry in [] if json else ledger:
        typer.echo(f"ledger           {entry['when']} {entry['who']}: {entry['state']}: {entry['why']}".rstrip(": "))


@audience.command("propose")
def propose(
    file: Annotated[Path, typer.Argument(help="Strict YAML: audience, filter, scenario, budget, channel, profile.")],
    why: Annotated[str, typer.Option(help="For the ledger: what it is for.")] = "",
    json: Json = False,
) -> None:
    """Save an audience for approval; another file of the same name is replaced and waits for approval again."""
    from features.errors import BadInput
    from features.home import Home
    from serving.audiences.approvals import propose as save
    from serving.audiences.approvals import state
    from serving.audiences.export import expect_scenario
    from serving.audiences.saved import parse_audience
    from serving.publication import current

    if not file.is_file():
        raise BadInput(f"{file}: no such file")
    home, content = Home.open(), file.read_bytes()
    expect_scenario(current(home), parse_audience(content, str(file)).saved)
    written = save(home, content, str(file), _by(why))
    show({"audience": written.name, "state": state(home, written), "sha256": written.sha256}, json)


@audience.command("approve")
def approve(
    name: Name,
    why: Annotated[str, typer.Option(help="For the ledger: the reason, in a sentence.")],
    seen: Annotated[str | None, typer.Option(help="The sha256 that `show` gave, or how it begins.")] = None,
    json: Json = False,
) -> None:
    """Approve an audience as its file stands; an edit afterwards makes it a proposal again."""
    from features.home import Home
    from serving.audiences.approvals import approve as decide
    from serving.audiences.approvals import state

    home = Home.open()
    written = decide(home, name, _by(why), seen)
    show({"audience": name, "state": state(home, written), "sha256": written.sha256}, json)


@audience.command("export")
def export(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="A folder; default exports/DATE of the home.")] = None,
    json: Json = False,
) -> None:
    """Write the list of an approved audience for the newest night, the excluded beside it, and a `.done` marker."""
    from features.errors import BadInput
    from features.home import Home
    from features.shop import open_shop
    from serving.audiences.export import export as write
    from serving.audiences.recorded import JournalRecorder
    from serving.audiences.saved import read_audience
    from serving.publication import current

    home = Home.open()
    written, night = read_audience(home, name), current(home)
    if night is None:
        raise BadInput(f"{home.publications}: no night was published yet; run `okaeri nightly`")
    show(write(home, night, written, _by(""), out, JournalRecorder(home, open_shop(home), night)), json)


def _by(why: str) -> "Decision":
    from serving.audiences.approvals import Decision

    return Decision(getpass.getuser(), now().isoformat(), why)
