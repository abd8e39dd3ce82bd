"""Whose history may be learnt from: those who refused it are in no training set, and judge no model either."""

import duckdb
import pandas as pd

from features.errors import Refused
from features.identity import others_of, persons, teach
from features.shop import Shop


def withheld(shop: Shop, day: int) -> frozenset[str]:
    """List the ids not to be learnt from, as known at the start of a business day: that of the training.

    A person's newest word on the purpose ``train`` counts, of two at once the refusal, for every id of theirs.
    Who never said anything is learnt from unless the mapping says ``train_consent: opt_in``. A shop without a
    consents table restricts nothing.

    Raises
    ------
    Refused
        If the shop asks for consent and nobody gave it.
    """
    if not shop.parts("consents"):
        return frozenset()
    agreed = _newest_words(shop, day)
    if shop.mapping.train_consent == "opt_out":
        return _every_id(shop, day, [person for person, yes in agreed.items() if not yes])
    allowed = _every_id(shop, day, [person for person, yes in agreed.items() if yes])
    if not allowed:
        raise Refused(f"{shop.name}: train_consent is opt_in and nobody has agreed to `train`; nothing can be learnt")
    with duckdb.connect() as con:
        known = con.execute(
            "SELECT DISTINCT customer_id FROM read_parquet(?)", [[str(path) for path in shop.parts("days")]]
        ).fetchall()
    return frozenset(row[0] for row in known) - allowed


def _newest_words(shop: Shop, day: int) -> dict[str, bool]:
    """Tell who agreed to be learnt from, by person."""
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        rows = con.execute(
            'SELECT person($day, customer_id) AS who, max(epoch_us("at") * 2 + (NOT granted)::BIGINT) % 2 = 0'
            " FROM read_parquet($parts) WHERE purpose = 'train' AND day < $day AND known_on < $day GROUP BY ALL",
            {"day": day, "parts": [str(path) for path in shop.parts("consents")]},
        ).fetchall()
    return {str(who): bool(yes) for who, yes in rows}


def _every_id(shop: Shop, day: int, people: list[str]) -> frozenset[str]:
    others = others_of(shop, day)
    return frozenset([*people, *(other for person in people for other in others.get(person, ()))])


def without(rows: pd.DataFrame, shop: Shop, ids: frozenset[str]) -> pd.DataFrame:
    """Leave out the rows (``as_of_day``, ``customer_id``, ...) of persons any of whose ids then is withheld."""
    if not ids:
        return rows
    merged = persons(shop, tuple(int(day) for day in rows.as_of_day.unique())).merged
    merged = merged[merged.customer_id.isin(ids)]
    theirs = pd.MultiIndex.from_frame(rows[["as_of_day", "customer_id"]]).isin(
        pd.MultiIndex.from_arrays([merged.as_of_day, merged.person])
    )
    kept: pd.DataFrame = rows[~(rows.customer_id.isin(ids) | theirs)].reset_index(drop=True)
    return kept
