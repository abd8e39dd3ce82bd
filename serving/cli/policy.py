"""`okaeri policy`: is a policy sound, and what would another one change."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serving.cli.output import day_of, now, show

if TYPE_CHECKING:
    import pandas as pd

    from features.home import Home
    from features.shop import Shop
    from serving.words import Language

policy = typer.Typer(help="The rules by which offers are made.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]
Lang = Annotated[str | None, typer.Option(help="ja or en; default the shop's.")]


@policy.command("check")
def check(
    file: Annotated[Path | None, typer.Argument(help="Policy file; default the current night's, else ours.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Date from which offers must be valid; default the shop's.")] = None,
    lang: Lang = None,
    json: Json = False,
) -> None:
    """Name every mistake of a policy with its line, and what can never happen or is hardly meant."""
    from serving.policy.codes import read_codes
    from serving.policy.examine.check import check as examine
    from serving.policy.examine.check import is_refused, report
    from serving.policy.reading import policy_bytes
    from serving.policy.text.mistakes import look

    shop = _shop()
    named = file or _current_policy()
    text = policy_bytes(named)
    setting = _setting(shop, as_of)
    looked = look(text).policy
    if file is not None and looked is not None:  # a published night has its codes in a table
        setting = replace(setting, codes=read_codes(looked, file.parent))
    found = examine(text, setting)
    if json:
        rows = [
            {"level": f.level, "line": f.line, "path": f.path, "code": f.code, "ja": f.said[0], "en": f.said[1]}
            for f in found
        ]
        counts = {f"{level}s": sum(f.level == level for f in found) for level in ("mistake", "warning")}
        show({"file": str(named), **counts, "findings": rows}, True)
    else:
        language = _language(lang, shop)
        for line in report(found, str(named), language) or [CLEAN[language].format(file=named)]:
            typer.echo(line)
    if is_refused(found):
        raise typer.Exit(2)


CLEAN = {"ja": "{file}: 問題はありません", "en": "{file}: nothing wrong was found"}
NO_NIGHT = {
    "ja": "公開済みの夜間処理がないため、今夜の配信への影響は示せません",
    "en": "no night was published yet: what it does to tonight's list is not known",
}


@policy.command("diff")
def diff(
    files: Annotated[list[Path], typer.Argument(help="OLD and NEW; NEW alone is compared with the current night's.")],
    rules_only: Annotated[bool, typer.Option("--rules-only", help="Leave out what it does to tonight's list.")] = False,
    lang: Lang = None,
    json: Json = False,
) -> None:
    """Say in plain words what changed between two policies, and what that does to tonight's list."""
    from features.home import Home
    from serving.policy.examine.changes import changes
    from serving.policy.examine.compared import compare, told
    from serving.policy.reading import parse_policy, policy_bytes

    if len(files) > 2:
        raise typer.BadParameter("give OLD and NEW, or NEW alone")
    shop = _shop()
    paths = files if len(files) == 2 else [_current_policy(), *files]
    texts = [policy_bytes(path) for path in paths]
    old, new = (parse_policy(text, str(path)) for text, path in zip(texts, paths, strict=True))
    currency = None if shop is None else shop.mapping.currency
    found, language = changes(old, new, currency), _language(lang, shop)
    effect = None
    if shop is not None and not rules_only and _has_night():
        effect = compare(*(tonight(Home.open(), text) for text in texts))
    if json:
        rows = [{"path": change.path, "ja": change.said[0], "en": change.said[1]} for change in found]
        show({"old": old.hash, "new": new.hash, "changes": rows, "tonight": effect and effect.as_dict()}, True)
        return
    for line in [change.text(language) for change in found] or [SAME_RULES[language]]:
        typer.echo(line)
    if effect is not None:
        for line in told(effect, language, currency):
            typer.echo(line)
    elif not rules_only:
        typer.echo(NO_NIGHT[language], err=True)


SAME_RULES = {"ja": "規則は変わりません", "en": "the rules are the same"}


def tonight(home: "Home", text: bytes) -> "pd.DataFrame":
    """Answer tonight under a policy without publishing: the table of allocations."""
    from serving.preview import preview

    return preview(home, text, now())


def _shop() -> "Shop | None":
    """Open the home's shop, ``None`` where nothing was ingested yet."""
    from features.home import Home
    from features.shop import open_shop

    home = Home.open()
    return open_shop(home) if "default_shop" in home.facts() else None


def _has_night() -> bool:
    from features.home import Home
    from serving.publication import current_path

    return current_path(Home.open()) is not None


def _current_policy() -> Path:
    """Name the policy of the current night, or the one that ships where there is none."""
    from features.home import Home
    from serving.policy.reading import DEFAULT
    from serving.publication import POLICY, current_path

    night = current_path(Home.open())
    return DEFAULT if night is None else night / POLICY


def _setting(shop: "Shop | None", as_of: str | None) -> Any:
    """Give what a check knows of the shop: its day, how its days run, its currency."""
    from datetime import date, timedelta

    from features.calendar import EPOCH, day_number
    from features.margin import margin_share
    from serving.policy.examine.findings import Setting
    from serving.policy.rules import MARGIN_SHARE

    day = day_of(as_of)
    if shop is None:
        return Setting(now().date() if day is None else EPOCH + timedelta(days=day))
    from serving.nightly import shop_day

    found: date = shop.calendar.date(shop_day(shop, now()) if day is None else day)
    measured = margin_share(shop, day_number(found))
    return Setting(found, (shop.calendar,), shop.mapping.currency, MARGIN_SHARE if measured is None else measured)


def _language(asked: str | None, shop: "Shop | None") -> "Language":
    if asked not in (None, "ja", "en"):
        raise typer.BadParameter(f"{asked!r} is neither ja nor en")
    return "ja" if asked == "ja" or (asked is None and shop is not None and shop.mapping.language == "ja") else "en"
