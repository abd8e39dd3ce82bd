"""Where a delimited file's records begin and end, and which of them are broken: one pass over its bytes (RFC 4180).

A quote opens a quoted field only at the field's start; two quotes inside one are a quote. A record is broken if it
has another number of fields than the header, holds a NUL, or a quote that is never closed or is followed by other
text; reading goes on at the next line, so that one stray quote does not swallow the rest of the file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

LONGEST = 1 << 20  # bytes of one record; a quote open for longer was never closed
NEWLINE, RETURN, QUOTE, NUL, DELETE = 10, 13, 34, 0, 127
CODES = ("", "BAD_ROW", "BROKEN_QUOTE", "NUL")
LONG_FIELD = 64  # bytes, so at most as many characters

# Marks of a column: what is anywhere in its fields. Faults that need a mark are not looked for where it is absent.
CONTROL, AT, PLUS, LONG, SPACE, DASH = 1, 2, 4, 8, 16, 32
EVERY = CONTROL | AT | PLUS | LONG | SPACE | DASH
_STOP = 128  # a byte that may end a field
_KINDS = np.zeros(256, np.uint8)
_KINDS[[*range(32), DELETE]] = CONTROL
_KINDS[[QUOTE, NEWLINE, RETURN, NUL]] = _STOP
_KINDS[ord("@")], _KINDS[ord("+")], _KINDS[ord("-")] = AT, PLUS, DASH
_KINDS[[ord(" "), "　".encode()[0]]] = SPACE  # the first byte of every space that `BAD_ID` minds
_EVENTS = 1 << 16  # noted before a chunk is handed back: broken records and line jumps

# What a chunk is summed up in; see `_scan`.
_GOOD, _LINE, _N_BAD, _N_JUMPS, _ENDS, _WRITTEN = range(6)


@dataclass(frozen=True)
class Broken:
    """A record that cannot be read: its physical line (from 1), why, and the beginning of its text."""

    line: int
    code: str
    text: str


@dataclass
class Records:
    """What one pass found. Good records are numbered from 0, the header not among them."""

    good: int = 0
    broken: list[Broken] = field(default_factory=list)
    marks: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))  # of each column
    is_plain: bool = True  # one kind of line end throughout, no broken and no blank record
    first_line: int = 1
    _jumps: list[NDArray[np.int64]] = field(default_factory=list)

    def lines(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the physical lines on which good records begin."""
        jumps = np.concatenate(self._jumps) if self._jumps else np.empty((0, 2), np.int64)
        passed = np.concatenate([[0], np.cumsum(jumps[:, 1])])
        return np.asarray(self.first_line + numbers + passed[np.searchsorted(jumps[:, 0], numbers, side="right")])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _quoted(data: Any, i: int, end: int, limit: int, kinds: Any) -> tuple[int, bool, int, int, int, bool]:
    """Walk a quoted field from behind its quote: where it ends, closed?, line ends in it, the first, marks, NUL?"""
    lines, first_end, marks, nul = 0, -1, 0, False
    while i < limit:
        byte = data[i]
        if byte == QUOTE:
            if i + 1 < end and data[i + 1] == QUOTE:
                i += 1
            else:
                return i, True, lines, first_end, marks, nul
        elif byte == NEWLINE or byte == RETURN:  # noqa: SIM109
            marks |= CONTROL
            if byte == NEWLINE or not (i + 1 < end and data[i + 1] == NEWLINE):
                lines += 1
                if first_end < 0:
                    first_end = i
        elif byte == NUL:
            nul = True
        else:
            marks |= kinds[byte] & (_STOP - 1)
        i += 1
    return i, False, lines, first_end, marks, nul


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _record(
    data: Any, at: int, end: int, final: bool, delimiter: int, width: int, kinds: Any, marks: Any
) -> tuple[int, bool, int, int, int, int]:
    """Walk one record: where it stops, ended by a line end?, its fields, code, line ends within, the first of them."""
    i, fields, code, lines, first_end = at, 1, 0, 0, -1
    begun, done, limit = at, False, min(end, at + LONGEST)
    while i < limit:
        byte = data[i]
        column = min(fields, width) - 1
        if not kinds[byte] & _STOP:
            seen = kinds[byte]
            i += 1
            while i < limit and not kinds[data[i]] & _STOP:
                seen |= kinds[data[i]]
                i += 1
            marks[column] |= seen
            continue
        if byte == QUOTE and i == begun:
            i, closed, within, first, seen, nul = _quoted(data, i + 1, end, limit, kinds)
            marks[column] |= seen
            lines += within
            first_end = first if first_end < 0 else first_end
            code = 3 if nul else code
            if not closed:
                code = 2 if final else code
                break
            i += 1
            if i < end and data[i] != delimiter and data[i] != NEWLINE and data[i] != RETURN:
                code = 2
                break
            continue
        if byte == delimiter or byte == NEWLINE or byte == RETURN:  # noqa: SIM109
            if i - begun > LONG_FIELD:
                marks[column] |= LONG
            if byte != delimiter:
                done = True
                break
            fields += 1
            begun = i + 1
        elif byte == NUL:
            code = 3
        i += 1
    if not done and i - begun > LONG_FIELD:
        marks[min(fields, width) - 1] |= LONG
    if not done and limit <= i < end:
        code = 2
    return i, done, fields, code, lines, first_end


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _scan(
    data: Any,
    end: int,
    final: bool,
    delimiter: int,
    kinds: Any,
    marks: Any,
    sums: Any,
    bad: Any,
    jumps: Any,
    out: Any,
) -> int:
    """Walk the records of ``data[:end]`` and give how many bytes are done; the rest waits for more.

    ``marks`` has a place per column, ``sums`` holds the counts over all chunks; ``bad`` rows are (start, end, line,
    code), ``jumps`` (number of the next good record, lines more than one per record). Good records are copied to
    ``out`` unless it is empty.
    """
    at, width = 0, len(marks)
    sums[_N_BAD] = sums[_N_JUMPS] = sums[_WRITTEN] = 0
    while at < end and sums[_N_BAD] < len(bad) and sums[_N_JUMPS] < len(jumps) - 1:
        i, done, fields, code, lines, first_end = _record(data, at, end, final, delimiter, width, kinds, marks)
        if code == 2:  # begin again after the record's first line
            lines = 0
            i = first_end if first_end >= 0 else i
            while i < end and data[i] != NEWLINE and data[i] != RETURN:
                i += 1
            done = i < end
        if not done and not final:
            return at
        if done and data[i] == RETURN and i + 1 == end and not final:
            return at  # a line feed may follow
        stop, after = i, i
        if done:
            is_pair = data[i] == RETURN and i + 1 < end and data[i + 1] == NEWLINE
            after = i + 2 if is_pair else i + 1
            sums[_ENDS] |= 2 if is_pair else (1 if data[i] == NEWLINE else 4)
        if code == 0 and fields != width:
            code = 1
        jumped = lines
        if stop == at:  # a blank line is no record
            sums[_ENDS] |= 8
            jumped = 1
        elif code > 0:
            row = sums[_N_BAD]
            bad[row, 0], bad[row, 1], bad[row, 2], bad[row, 3] = at, stop, sums[_LINE], code
            sums[_N_BAD] += 1
            jumped = 1 + lines
        else:
            if len(out) > 0:
                written = sums[_WRITTEN]
                out[written : written + stop - at] = data[at:stop]
                out[written + stop - at] = NEWLINE
                sums[_WRITTEN] = written + stop - at + 1
            sums[_GOOD] += 1
        if jumped > 0:
            jumps[sums[_N_JUMPS], 0], jumps[sums[_N_JUMPS], 1] = sums[_GOOD], jumped
            sums[_N_JUMPS] += 1
        sums[_LINE] += 1 + lines
        at = after
    return at


def scan(chunks: Iterable[bytes], delimiter: str, width: int, first_line: int) -> Records:
    """Find the records of a file's UTF-8 bytes after its header.

    Parameters
    ----------
    chunks
        The bytes, in pieces of any size.
    delimiter, width
        One ASCII character, and how many fields the header has.
    first_line
        The physical line the first of these bytes stands on.
    """
    found = Records(first_line=first_line)
    for _ in _walk(found, chunks, delimiter, width, first_line, copy=False):
        pass
    return found


def clean(chunks: Iterable[bytes], delimiter: str, width: int) -> Iterator[bytes]:
    """Give the good records alone, each ended by one line feed."""
    return _walk(Records(), chunks, delimiter, width, 1, copy=True)


def _walk(
    found: Records, chunks: Iterable[bytes], delimiter: str, width: int, first_line: int, copy: bool
) -> Iterator[bytes]:
    sums, found.marks = np.zeros(6, np.int64), np.zeros(width, np.uint8)
    sums[_LINE] = first_line
    kinds = _KINDS.copy()
    kinds[ord(delimiter)] |= _STOP
    bad, jumps = np.empty((_EVENTS, 4), np.int64), np.empty((_EVENTS, 2), np.int64)
    rest = b""
    for chunk, final in _with_last(chunks):
        rest += chunk
        while rest:
            data = np.frombuffer(rest, np.uint8)
            out = np.empty(len(data) + 1 if copy else 0, np.uint8)
            done = _scan(data, len(data), final, ord(delimiter), kinds, found.marks, sums, bad, jumps, out)
            _note(found, rest, sums, bad, jumps)
            if copy:
                yield out[: sums[_WRITTEN]].tobytes()
            rest = rest[done:]
            if done == 0:
                break
    found.good = int(sums[_GOOD])
    found.is_plain = int(sums[_ENDS]) in (0, 1, 2) and not found.broken


def _note(found: Records, rest: bytes, sums: Any, bad: Any, jumps: Any) -> None:
    """Keep what a chunk's pass noted."""
    for start, end, line, code in bad[: sums[_N_BAD]]:
        text = rest[start : min(end, start + 400)].decode("utf-8", "ignore")
        found.broken.append(Broken(int(line), CODES[code], text))
    if sums[_N_JUMPS]:
        found._jumps.append(jumps[: sums[_N_JUMPS]].copy())


def _with_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Give each piece and whether it is the last; an empty last one if there were none."""
    before = b""
    for chunk in chunks:
        if before:
            yield before, False
        before = chunk
    yield before, True
