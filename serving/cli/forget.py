"""`okaeri forget`: a customer removed from the whole home, with a receipt."""

from typing import Annotated

import typer

from serving.cli.output import now, say_on_stderr, show

Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]


def forget(
    customer_id: Annotated[str, typer.Argument(help="Any id of the customer; those merged with it go too.")],
    shop: Annotated[str | None, typer.Option(help="A shop that was ingested; default the first one.")] = None,
    json: Json = False,
) -> None:
    """Remove a customer everywhere: tables, features, published nights, exports, logs; a receipt stays."""
    from features.home import Home
    from serving.forget import forget as remove

    receipt = remove(Home.open(), customer_id, now(), shop, say_on_stderr(json))
    if json:
        show(receipt, True)
        return
    removed = {
        place: ", ".join(f"{name} {n}" for name, n in rows.items()) or "nothing"
        for place, rows in receipt["rows_removed"].items()
    }
    stays = {entry["what"]: entry["why"] for entry in receipt["stays"]}
    show({"customer": receipt["customer"], "rows removed": removed, "stays": stays}, False)
