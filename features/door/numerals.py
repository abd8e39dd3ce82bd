"""Numbers as a mapping allows them to be written, in SQL."""

from features.door.mapping import Numbers
from features.sql import literal

DIGITS = "[+-]?[0-9]+([.][0-9]+)?"
FULL_WIDTH = ("０１２３４５６７８９．，－＋　", "0123456789.,-+ ")


def sql_plain(text: str, numbers: Numbers) -> str:
    """Write the forms of numbers the mapping allows as plain digits; other texts stay as they are."""
    if numbers.full_width:
        text = f"translate({text}, {literal(FULL_WIDTH[0])}, {literal(FULL_WIDTH[1])})"
    for sign in numbers.strip:
        text = f"replace({text}, {literal(sign)}, '')"
    if numbers.strip:
        text = f"trim({text})"
    if numbers.thousands is not None:
        mark = "[.]" if numbers.thousands == "." else numbers.thousands
        grouped = f"[+-]?[0-9]{{1,3}}({mark}[0-9]{{3}})+([{numbers.decimal}][0-9]+)?"
        text = (
            f"CASE WHEN regexp_full_match({text}, {literal(grouped)})"
            f" THEN replace({text}, {literal(numbers.thousands)}, '') ELSE {text} END"
        )
    if numbers.decimal == ",":  # a full stop is no decimal sign here
        text = f"CASE WHEN contains({text}, '.') THEN 'x' ELSE replace({text}, ',', '.') END"
    return text
