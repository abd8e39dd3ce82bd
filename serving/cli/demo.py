"""`okaeri demo`: the main job on a real shop, from order lines to a scored customer over HTTP."""

import typer


def demo() -> None:
    """Take a real shop through the whole chain: tables, features, models, release, night, one HTTP answer."""
    from serving.demo import run

    run(typer.echo)
