"""The coupon codes a policy names: a file of them beside the policy, one a line."""

from collections.abc import Mapping
from pathlib import Path

from features.errors import BadInput
from serving.policy.rules import Policy, Pool

Codes = Mapping[str, tuple[str, ...]]  # of each offer with a pool, in the order of its file

HEADS = ("code", "coupon_code")  # a first line that is none


def read_codes(policy: Policy, folder: Path) -> dict[str, tuple[str, ...]]:
    """Read the codes of every offer with a pool; a file that is not there holds none, so nobody gets that offer.

    Raises
    ------
    BadInput
        If a file names a code twice, or is not UTF-8.
    """
    return {
        name: _codes(folder / offer.code.pool, name)
        for name, offer in policy.offers.items()
        if isinstance(offer.code, Pool)
    }


def _codes(path: Path, offer: str) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    try:
        lines = [line.split(",")[0].strip().strip('"') for line in path.read_text("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: offers.{offer}.code: not UTF-8 at byte {error.start}") from None
    found = [code for nth, code in enumerate(lines) if code and not (nth == 0 and code.lower() in HEADS)]
    seen: set[str] = set()
    for nth, code in enumerate(found, start=1):
        if code in seen:
            raise BadInput(f"{path}: offers.{offer}.code: code {nth} stands more than once; each goes to one customer")
        seen.add(code)
    return tuple(found)
