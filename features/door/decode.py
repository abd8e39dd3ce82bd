"""A file's bytes as UTF-8, decoded strictly: a byte that does not belong is named, never replaced."""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from features.errors import BadInput

CHUNK = 1 << 22
LOOKED_AT = 1 << 16  # characters of each piece that are searched for garbled text
RATIO = 200  # a gzip file that grows more than this is no table; order exports grow 5 to 20 times
# Longer marks first: UTF-32 begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What Windows and EC tools write as "Shift_JIS" is Microsoft's superset: with it ① and 髙 are letters, not errors.
SUPERSETS = {"shift_jis": "cp932", "shift-jis": "cp932", "sjis": "cp932", "windows-31j": "cp932", "ms932": "cp932"}
# Text that was decoded wrongly before it reached us: UTF-8 read as Latin-1 or as cp932, or letters given up.
GARBLED = re.compile("�|Ã[-¿]|â€|ã[-¿]|縺[ｦ-ﾟ一-鿿]|[繝繧][ｦ-ﾟ一-鿿]")


@dataclass
class Decoded:
    """A text file: its encoding, whether its bytes are plain UTF-8 already, and what looked garbled in it."""

    path: Path
    encoding: str
    mark: int = 0  # bytes of the byte order mark
    garbled: str | None = None
    called: Path | None = None  # the file it was written from

    @property
    def named(self) -> Path:
        """Give what people know the file by."""
        return self.called or self.path

    @property
    def is_utf8(self) -> bool:
        """Tell whether another reader can take the file as it stands."""
        return self.encoding == "utf-8" and not self.mark and not is_gzip(self.path)

    def chunks(self) -> Iterator[bytes]:
        """Give the file as UTF-8 without a byte order mark, in pieces.

        Raises
        ------
        BadInput
            Naming the byte offset and line where the encoding is broken, or a gzip file that is damaged or a bomb.
        """
        decoder = codecs.getincrementaldecoder(self.encoding)("strict")
        fed, line, first = 0, 1, True
        for chunk, final in _pieces(self.path):
            piece = chunk[self.mark :] if first and self.encoding == "utf-8" else chunk
            fed, first = fed + (len(chunk) - len(piece)), False
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(piece, final)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(self.encoding, "ignore")
                wrong = error.object[error.start : error.start + 1].hex()
                raise BadInput(
                    f"{self.path}: not {self.encoding}: byte 0x{wrong} at offset {fed - pending + error.start}, line"
                    f" {line + before.count(chr(10))}; give the file's `encoding:` in the mapping, or save it again"
                ) from None
            except UnicodeError as error:  # UTF-16 without the mark that says which of the two
                raise BadInput(
                    f"{self.path}: not {self.encoding}: {error}; utf-16-le and utf-16-be need no byte order mark"
                ) from None
            fed += len(piece)
            line += text.count("\n")
            if not self.garbled and not text.isascii() and (seen := GARBLED.search(text, 0, LOOKED_AT)):
                self.garbled = text[max(0, seen.start() - 10) : seen.end() + 10].replace("\n", " ")
            yield piece if self.encoding == "utf-8" else text.encode()


def decoded(path: Path, declared: str) -> Decoded:
    """Find a file's encoding: its byte order mark's, else the one declared.

    Raises
    ------
    BadInput
        If no encoding has the declared name.
    """
    name = SUPERSETS.get(declared.lower(), declared.lower())
    try:
        "".encode(name)  # raises for codecs that are of no text, such as hex
        name = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise BadInput(
            f"encoding: {declared!r} is unknown; utf-8, cp932, euc_jp and utf-16 are among the known"
        ) from None
    with _opened(path) as file:
        head = file.read(4)
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return Decoded(path, encoding, len(mark))
    return Decoded(path, name)


def is_gzip(path: Path) -> bool:
    """Tell whether a file's name says gzip."""
    return path.suffix.lower() == ".gz"


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path, "rb") if is_gzip(path) else path.open("rb")


def _pieces(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Read a file in pieces, each with whether it is the last."""
    allowed, read = RATIO * path.stat().st_size + CHUNK, 0
    try:
        with _opened(path) as file:
            chunk = file.read(CHUNK)
            while True:
                after = file.read(CHUNK) if chunk else b""
                read += len(chunk)
                if is_gzip(path) and read > allowed:
                    raise BadInput(f"{path}: grows more than {RATIO} times when unpacked; that is no table")
                yield chunk, not after
                if not after:
                    return
                chunk = after
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path}: damaged gzip: {error}") from None
