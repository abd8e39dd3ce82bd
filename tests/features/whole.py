"""Toy shops that also say what scenarios and guards ask for: birthdays, points, tags, campaigns and channels."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from features.identity import persons
from features.shop import Shop
from tests.worlds import COLUMNS, HEAD, LINKS, Tables, Toy, lake_rows, write_csv

ALL = (
    COLUMNS
    | {
        "products": "product_id category tags",
        "customers": "customer_id signed_up_at birth_month_day points_expire_on member_no line_user_id known_at",
        "contacts": (
            "contact_id decision_id customer_id campaign_id scenario offer_id channel at cost withheld known_at"
        ),
        "responses": "customer_id contact_id decision_id campaign_id kind at known_at",
    }
    | LINKS
)


class Whole(Toy):
    """A toy shop whose mapping has all these columns; ``head`` may say another time zone or start of the day."""

    def __init__(self, folder: Path, tables: Iterable[str] = ALL, head: str = HEAD) -> None:
        blocks = []
        for table in tables:
            columns = ", ".join(f"{name}: {name}" for name in ALL[table].split())
            repeats = "    repeats: keep\n" if table in ("responses", "events") else ""
            blocks.append(f"  {table}:\n    source: {table}*.csv\n{repeats}    columns: {{{columns}}}\n")
        super().__init__(folder, tables, (head + "".join(blocks)).encode())

    def files(self, rows: Tables) -> list[Path]:
        folder = self.folder / f"files-{next(self.count)}"
        folder.mkdir()
        given = [(table, list(rows.get(table, ()))) for table in self.tables]
        return [write_csv(folder / f"{t}.csv", ALL[t].split(), found) for t, found in given if found]


def rows_of(shop: Shop, day: int, table: str) -> list[dict[str, Any]]:
    """Read all rows of a table with persons for ids, as merged at a day's start; ``own_id`` is what the shop wrote."""
    merged = persons(shop, (day,)).merged.set_index("customer_id").person.to_dict()
    rows = lake_rows(shop, table, "ALL").to_dict("records")
    ids = [row.get("customer_id") for row in rows]
    return [row | {"own_id": i, "customer_id": merged.get(i, i)} for row, i in zip(rows, ids, strict=True)]
