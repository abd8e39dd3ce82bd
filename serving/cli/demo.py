"""`okaeri demo`: the main job on a shop, from order lines to a scored customer over HTTP."""

from typing import Annotated

import typer


def demo(
    shop: Annotated[
        str, typer.Option(help="complete_journey (real), or hananone (simulated, with every table).")
    ] = "complete_journey",
) -> None:
    """Take a shop through the whole chain: tables, features, models, release, night, one HTTP answer."""
    from serving.demo import run

    run(shop, typer.echo)
