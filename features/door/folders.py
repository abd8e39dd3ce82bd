"""The files of a folder that may be read: regular, finished, and wanted by the mapping; the others are named."""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from features.door.names import fits
from features.errors import BadInput

DONE = ".done"  # `orders.csv.done` beside `orders.csv` says that its writer has finished
SETTLED = timedelta(minutes=1)  # a file untouched for longer is not watched
WATCHED_S = 1.0  # how long a younger one must keep its size


class Gathered(NamedTuple):
    """The files to read, those of them found in folders, and a note for each file passed over."""

    files: list[Path]
    dropped: dict[Path, str]  # with their names: the way to them from the folder
    notes: list[str]

    def name(self, path: Path) -> str:
        """Give what a file is known by, with its lines: in a folder the way to it, for two there may have one name."""
        return self.dropped.get(path, path.name)


def gather(paths: Sequence[Path], sources: Sequence[str], now: datetime) -> Gathered:
    """Replace folders by the files in them, in the order of their names, at any depth.

    A path the user typed is theirs and is taken as it is. In a folder only regular, readable files are, that no one
    is still writing: marked by a ``.done`` file, or unchanged for a second, or for a minute by ``now``.

    Raises
    ------
    BadInput
        If a path does not exist.
    """
    files: list[Path] = []
    notes: list[str] = []
    dropped: dict[Path, str] = {}
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise BadInput(f"{path}: no such file")
            if _wanted(path, sources, notes.append):
                files.append(path)
            continue
        found = [file for file in _regular(path, notes.append) if _wanted(file, sources, notes.append)]
        finished = _finished(found, now)
        notes += [f"{file}: skipped: still being written" for file in found if file not in finished]
        files += [file for file in found if file in finished]
        dropped |= {file: file.relative_to(path).as_posix() for file in finished}
    return Gathered(files, dropped, notes)


def _regular(folder: Path, note: Callable[[str], None]) -> Iterator[Path]:
    """Walk a folder without following links; hidden files and markers are left out in silence."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.name.startswith(".") or entry.name.endswith(DONE):
            continue
        if entry.is_symlink():
            note(f"{path}: skipped: a link; only regular files are read from a folder")
        elif entry.is_dir():
            yield from _regular(path, note)
        elif not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            note(f"{path}: skipped: no regular file")
        elif not entry.stat().st_mode & 0o444 or not os.access(path, os.R_OK):
            note(f"{path}: skipped: not readable")
        else:
            yield path


def _wanted(path: Path, sources: Sequence[str], note: Callable[[str], None]) -> bool:
    wanted = any(fits(path.name, source) for source in sources)
    if not wanted:
        note(f"{path}: ignored: matches no source of the mapping")
    return wanted


def _finished(files: Sequence[Path], now: datetime) -> set[Path]:
    """Tell which files nobody is writing any more."""
    first = {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}
    young = [
        path
        for path, (_, mtime_ns) in first.items()
        if not path.with_name(path.name + DONE).exists() and now - datetime.fromtimestamp(mtime_ns / 1e9, UTC) < SETTLED
    ]
    if young:
        time.sleep(WATCHED_S)
    return {
        path for path in files if path not in young or (path.stat().st_size, path.stat().st_mtime_ns) == first[path]
    }
