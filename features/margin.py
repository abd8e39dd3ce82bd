"""What is left of a shop's revenue once the goods are paid, as far as its lines say what they cost."""

import duckdb

from features.shop import Shop

LOOK_BACK_DAYS = 365


def margin_share(shop: Shop, day: int, look_back_days: int = LOOK_BACK_DAYS) -> float | None:
    """Give the margin of kept goods, as a share of what was paid for them, known before business day ``day``.

    Of the lines of the last ``look_back_days`` that name a cost; ``None`` where none does.
    """
    parts = [str(path) for path in shop.parts("order_lines")]
    with duckdb.connect() as con:
        row = con.execute(
            "SELECT sum(cost)::DOUBLE, sum(revenue)::DOUBLE FROM read_parquet(?, union_by_name = true)"
            " WHERE cost IS NOT NULL AND quantity > 0 AND revenue > 0 AND day >= ? AND day < ? AND known_on < ?",
            [parts, day - look_back_days, day, day],
        ).fetchone()
    if row is None or not row[1]:
        return None
    return float(min(1.0, max(0.0, round(1 - row[0] / row[1], 4))))
