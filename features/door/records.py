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
NEWLINE, RETURN, QUOTE, NUL, DELETE, AT_SIGN, PLUS_SIGN = 10, 13, 34, 0, 127, 64, 43
CODES = ("", "BAD_ROW", "BROKEN_QUOTE", "NUL")
CONTROL, AT, PLUS, LONG = 1, 2, 4, 8  # marks: a control character, @, +, a field longer than any id may be
LONG_FIELD = 64  # bytes, so at most as many characters
_SPECIAL = np.array([code < 32 or code in (QUOTE, DELETE, AT_SIGN, PLUS_SIGN) for code in range(256)])
_EVENTS = 1 << 16  # noted before a chunk is handed back: broken records and line jumps

# What a chunk is summed up in; see `_scan`.
_GOOD, _LINE, _N_BAD, _N_JUMPS, _ENDS, _MARKS, _WRITTEN = range(7)


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
    marks: int = 0  # which of CONTROL, AT, PLUS and LONG are anywhere in it: what is absent need not be looked for
    is_plain: bool = True  # one kind of line end throughout, no broken and no blank record
    first_line: int = 1
    _jumps: list[NDArray[np.int64]] = field(default_factory=list)

    def lines(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the physical lines on which good records begin."""
        jumps = np.concatenate(self._jumps) if self._jumps else np.empty((0, 2), np.int64)
        passed = np.concatenate([[0], np.cumsum(jumps[:, 1])])
        return np.asarray(self.first_line + numbers + passed[np.searchsorted(jumps[:, 0], numbers, side="right")])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _scan(
    data: Any,
    end: int,
    final: bool,
    delimiter: int,
    width: int,
    special: Any,
    sums: Any,
    bad: Any,
    jumps: Any,
    out: Any,
) -> int:
    """Walk the records of ``data[:end]`` and give how many bytes are done; the rest waits for more.

    ``sums`` holds the counts over all chunks; ``bad`` rows are (start, end, line, code), ``jumps`` (number of the
    next good record, lines more than one per record). Good records are copied to ``out`` unless it is empty.
    """
    at = 0
    sums[_N_BAD] = sums[_N_JUMPS] = sums[_WRITTEN] = 0
    while at < end and sums[_N_BAD] < len(bad) and sums[_N_JUMPS] < len(jumps) - 1:
        i, fields, code, lines, first_end = at, 1, 0, 0, -1
        at_field_start, done, limit = True, False, min(end, at + LONGEST)
        while i < limit:
            byte = data[i]
            if not special[byte]:
                at_field_start = False
                begun = i
                i += 1
                while i < limit and not special[data[i]]:
                    i += 1
                if i - begun > LONG_FIELD:
                    sums[_MARKS] |= LONG
                continue
            if byte == QUOTE and at_field_start:
                i += 1
                begun, closed = i, False
                while i < limit:
                    byte = data[i]
                    if byte == QUOTE:
                        if i + 1 < end and data[i + 1] == QUOTE:
                            i += 1
                        else:
                            closed = True
                            break
                    elif byte == NEWLINE or (byte == RETURN and not (i + 1 < end and data[i + 1] == NEWLINE)):
                        lines += 1
                        if first_end < 0:
                            first_end = i
                    elif byte == NUL:
                        code = 3
                    elif byte < 32 or byte == DELETE:
                        sums[_MARKS] |= CONTROL
                    elif byte == AT_SIGN or byte == PLUS_SIGN:  # noqa: SIM109
                        sums[_MARKS] |= AT if byte == AT_SIGN else PLUS
                    i += 1
                if not closed:
                    code = 2 if final else code
                    break
                if i - begun > LONG_FIELD:
                    sums[_MARKS] |= LONG
                i += 1
                if i < end and data[i] != delimiter and data[i] != NEWLINE and data[i] != RETURN:
                    code = 2
                    break
                at_field_start = False
                continue
            at_field_start = False
            if byte == delimiter:
                fields += 1
                at_field_start = True
            elif byte == NEWLINE or byte == RETURN:  # noqa: SIM109
                done = True
                break
            elif byte == NUL:
                code = 3
            elif byte == AT_SIGN or byte == PLUS_SIGN:  # noqa: SIM109
                sums[_MARKS] |= AT if byte == AT_SIGN else PLUS
            elif byte != QUOTE:
                sums[_MARKS] |= CONTROL
            i += 1
        if not done and limit <= i < end:
            code = 2
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
        if lines > 0:
            sums[_MARKS] |= CONTROL
        if stop == at:  # a blank line is no record
            sums[_ENDS] |= 8
            jumps[sums[_N_JUMPS], 0], jumps[sums[_N_JUMPS], 1] = sums[_GOOD], 1
            sums[_N_JUMPS] += 1
        else:
            if code == 0 and fields != width and width > 0:
                code = 1
            if code > 0:
                row = sums[_N_BAD]
                bad[row, 0], bad[row, 1], bad[row, 2], bad[row, 3] = at, stop, sums[_LINE], code
                sums[_N_BAD] += 1
                jumps[sums[_N_JUMPS], 0], jumps[sums[_N_JUMPS], 1] = sums[_GOOD], 1 + lines
                sums[_N_JUMPS] += 1
            else:
                if len(out) > 0:
                    written = sums[_WRITTEN]
                    out[written : written + stop - at] = data[at:stop]
                    out[written + stop - at] = NEWLINE
                    sums[_WRITTEN] = written + stop - at + 1
                sums[_GOOD] += 1
                if lines > 0:
                    jumps[sums[_N_JUMPS], 0], jumps[sums[_N_JUMPS], 1] = sums[_GOOD], lines
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
    sums = np.zeros(7, np.int64)
    sums[_LINE] = first_line
    special = _SPECIAL.copy()
    special[ord(delimiter)] = True
    bad, jumps = np.empty((_EVENTS, 4), np.int64), np.empty((_EVENTS, 2), np.int64)
    rest = b""
    for chunk, final in _with_last(chunks):
        rest += chunk
        while rest:
            data = np.frombuffer(rest, np.uint8)
            out = np.empty(len(data) + 1 if copy else 0, np.uint8)
            done = _scan(data, len(data), final, ord(delimiter), width, special, sums, bad, jumps, out)
            _note(found, rest, sums, bad, jumps)
            if copy:
                yield out[: sums[_WRITTEN]].tobytes()
            rest = rest[done:]
            if done == 0:
                break
    found.good = int(sums[_GOOD])
    found.marks = int(sums[_MARKS])
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
