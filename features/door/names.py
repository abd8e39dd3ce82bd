"""Names of columns and files as they are compared: macOS writes ガ in two characters, others in one (UAX 15)."""

import unicodedata
from fnmatch import fnmatch


def composed(name: str) -> str:
    """Give a name as most systems write it (NFC).

    >>> len("カ\\u3099"), len(composed("カ\\u3099"))
    (2, 1)
    """
    return unicodedata.normalize("NFC", name)


def fits(name: str, pattern: str) -> bool:
    """Tell whether a file's name is the one meant, or one of those."""
    return fnmatch(composed(name), composed(pattern))
