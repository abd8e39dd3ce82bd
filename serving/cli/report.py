"""`okaeri report`: what messages brought, beside customers left alone."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from serving.cli.output import day_of, now, show

Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]


class Lang(StrEnum):
    """The languages that words are kept in."""

    ja = "ja"
    en = "en"


def report(
    as_of: Annotated[str | None, typer.Option(help="Date; default the shop's own today.")] = None,
    lang: Annotated[Lang | None, typer.Option(help="Default the shop's.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Policy file; default that of the current night.")] = None,
    window_days: Annotated[int | None, typer.Option(min=1, help="Days in which orders count.")] = None,
    control_share: Annotated[
        list[str] | None, typer.Option(help="EXPERIMENT=SHARE as it was planned, such as win_back=0.2; repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Tell what came of every campaign that has a control group: orders, profit, intervals, and whether it paid."""
    from features.home import Home
    from features.margin import margin_share
    from features.shop import open_shop
    from serving.nightly import shop_day
    from serving.policy.guards.control import in_control
    from serving.policy.reading import load_policy
    from serving.publication import current
    from serving.report import assumptions, shown
    from serving.report import report as tell
    from serving.words import Language

    shares = dict(_share(text) for text in control_share or [])
    home = Home.open()
    shop = open_shop(home)
    night = current(home) if policy is None else None
    rules = load_policy(policy) if night is None else night.policy
    today = day_of(as_of) or shop_day(shop, now())
    how = assumptions(rules, shares, window_days, margin_share(shop, today))
    words: Language = lang.value if lang else shop.mapping.language
    found = tell(
        shop,
        day_of(as_of) or shop_day(shop, now()),
        how,
        words,
        partial(in_control, share=rules.control.global_share, salt=rules.control.salt),
    )
    if json:
        show(found, True)
    else:
        typer.echo(shown(found))


def _share(text: str) -> tuple[str, float]:
    """Read EXPERIMENT=SHARE."""
    name, _, share = text.rpartition("=")
    try:
        value = float(share)
    except ValueError:
        value = float("nan")
    if not name or not 0 < value < 1:
        raise typer.BadParameter(f"--control-share {text}: write it as win_back=0.2, a share between 0 and 1")
    return name, value
