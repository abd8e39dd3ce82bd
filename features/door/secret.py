"""The shop's own key, and pseudonyms made with it: who lacks the key cannot go back from one to an address."""

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from features import lake
from features.errors import BadInput, Refused
from features.home import Home

VARIABLE, FILE = "OKAERI_SHOP_KEY", "shop.key"
KEY_BYTES = 32  # as long as SHA-256's own output: RFC 2104, section 3
BLOCK = 64  # bytes in one block of SHA-256


def shop_key(home: Home) -> bytes:
    """Read the shop's key: ``$OKAERI_SHOP_KEY``, else ``shop.key`` of the home, made at first need.

    Either holds at least 64 hexadecimal digits. Whoever loses it cannot match old pseudonyms with new ones.

    Raises
    ------
    BadInput
        If the key is too short or not hexadecimal; its text is never repeated.
    Refused
        If others than its owner can read the file.
    """
    path = home.root / FILE
    if text := os.environ.get(VARIABLE):
        return _decoded(text, f"${VARIABLE}")
    if not path.exists():
        _create(path)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refused(f"{path}: others than its owner can read it; `chmod 600 {path}`, and change the key if they did")
    return _decoded(path.read_text(encoding="ascii", errors="replace"), str(path))


def _create(path: Path) -> None:
    """Write a new key unless another process was first: a link, unlike a rename, never replaces one."""
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # what lake.sweep takes for left over
    lake.write_bytes(staged, secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n")
    try:
        os.link(staged, path)
    except FileExistsError:
        pass
    finally:
        staged.unlink()
    lake.sync(path.parent)


def _decoded(text: str, named: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        raise BadInput(f"{named}: not hexadecimal; expected at least {2 * KEY_BYTES} digits 0-9 a-f") from None
    if len(key) < KEY_BYTES:
        raise BadInput(f"{named}: {2 * len(key)} hexadecimal digits; a key has at least {2 * KEY_BYTES}")
    return key


def pseudonym(key: bytes, text: str) -> str:
    """Give the pseudonym of an address or number however it was typed: HMAC-SHA256, 64 hexadecimal digits.

    >>> pseudonym(bytes(32), " Hana@Example.jp ") == pseudonym(bytes(32), "hana@example.jp")
    True
    """
    return keyed(key, text.strip().lower())


def keyed(key: bytes, text: str) -> str:
    """Give the HMAC-SHA256 of a text exactly as it stands (ids that differ in case are two), in hexadecimal."""
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def sql_keyed(key: bytes, text: str) -> str:
    """Write :func:`keyed` as DuckDB SQL over a ``VARCHAR`` expression (RFC 2104, section 2)."""
    block = (key if len(key) <= BLOCK else hashlib.sha256(key).digest()).ljust(BLOCK, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block).hex() for pad in (0x36, 0x5C))
    return f"sha256(unhex('{outer}') || unhex(sha256(unhex('{inner}') || encode({text}))))"
