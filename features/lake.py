"""Folders that are whole or absent: written aside, sealed with checksums, renamed into place, pointed at."""

import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import Damaged, Refused

MANIFEST = "MANIFEST.json"


def sha256_file(path: Path) -> str:
    """Give a file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: object) -> str:
    """Give the sha256 of a JSON value, whatever the order of its keys.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(encode_json(value)).hexdigest()


def encode_json(value: object) -> bytes:
    """Write a JSON value always the same way: sorted keys, two spaces, a final newline."""
    return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def sync(path: Path) -> None:
    """Force a file or a folder's names to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file in one step: a reader sees the old bytes or the new, a crash leaves one of them."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    sync(path.parent)


def write_json(path: Path, value: object) -> None:
    """Replace a JSON file in one step."""
    write_bytes(path, encode_json(value))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of ours.

    Raises
    ------
    Damaged
        If the file is not a JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise Damaged(f"{path}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise Damaged(f"{path}: expected a JSON object")
    return value


@contextmanager
def staging(final: Path) -> Iterator[Path]:
    """Give a folder to write in beside ``final``; it never outlives the block unless published."""
    sweep(final.parent)
    staged = final.with_name(f".staging-{final.name}-{os.getpid()}")
    staged.mkdir(parents=True, mode=0o700)
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove what a killed run left half-written. Call it under the lock of ``parent``'s owner."""
    for left in parent.glob(".staging-*"):
        shutil.rmtree(left, ignore_errors=True)
    for temporary in parent.glob(".*.tmp"):
        temporary.unlink(missing_ok=True)


def seal(folder: Path, **facts: object) -> str:
    """Write the manifest of a finished folder, last of all its files, and give the manifest's sha256.

    It holds only what is deterministic: ``files: {name: sha256}`` and the given facts.
    """
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        path.chmod(0o600)
        sync(path)
        files[path.relative_to(folder).as_posix()] = sha256_file(path)
    write_json(folder / MANIFEST, {"files": files, **facts})
    return sha256_file(folder / MANIFEST)


def publish(staged: Path, final: Path) -> None:
    """Give a sealed folder its name. A folder that exists already is left as it is: it is immutable."""
    if not final.exists():
        staged.rename(final)
        sync(final.parent)


def verify(folder: Path, manifest_sha256: str | None = None) -> dict[str, Any]:
    """Check every file of a folder against its manifest before anything parses them.

    Raises
    ------
    Damaged
        Naming the first file that is missing, not listed or changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise Damaged(f"{folder}: no {MANIFEST}, so it was never finished")
    if manifest_sha256 is not None and sha256_file(path) != manifest_sha256:
        raise Damaged(f"{path}: is not the manifest that was pointed at")
    manifest = read_json(path)
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        raise Damaged(f"{path}: lists no files")
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {MANIFEST}
    if present != set(listed):
        raise Damaged(f"{folder}: {sorted(present ^ set(listed))[0]} is listed or present, but not both")
    for name, expected in sorted(listed.items()):
        if sha256_file(folder / name) != expected:
            raise Damaged(f"{folder / name}: its sha256 is not the manifest's; restore it from a backup or run again")
    return manifest


def point(pointer: Path, target: Path, **facts: object) -> None:
    """Make ``target`` the current folder in one rename; the path inside is relative to the pointer."""
    write_json(pointer, {"path": os.path.relpath(target, pointer.parent), **facts})


def pointed(pointer: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """Follow a pointer to its folder and facts; ``None`` if there is none yet."""
    if not pointer.exists():
        return None
    facts = read_json(pointer)
    return (pointer.parent / str(facts["path"])).resolve(), facts


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock that dies with the process, so that a killed run never blocks the next.

    Raises
    ------
    Refused
        If another process holds it, naming that process.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            since = datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat()  # when the holder wrote its name
            holder = file.read().strip() or "another process"
            raise Refused(f"{what} is locked by {holder} since {since}; try again later") from None
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
