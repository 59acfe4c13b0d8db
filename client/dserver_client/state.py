"""The journal of an unfinished deposit, from which the same command resumes.

A journal is two files in the state directory of the user. ``<key>.json`` says what is deposited
where, under which UUID; it is replaced as a whole. ``<key>.lines`` has a line of JSON for every
file that was hashed, and for every item that was stored where dserver cannot say so; lines are
appended, and one that was cut off counts for nothing. Neither holds a token or a signed URL.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from dserver_client.errors import DepositRunning, LocalFileError
from dserver_client.file_lock import FileLock, Locked
from dserver_client.local_files import LocalFile
from dserver_client.private_files import (
    make_private_directory,
    read_private,
    state_directory,
    write_private,
)

# dserver has long removed an upload that was not touched for so many seconds.
_KEPT = 90 * 24 * 3600


@dataclass(frozen=True)
class Unfinished:
    """A deposit that is not registered yet; ``began`` is UTC, in seconds since 1970.

    ``contents`` is the SHA-256 of what dserver accepted the announcement of, None before that.
    """

    server_url: str
    base_uri: str
    sources: Sequence[str]
    uuid: str
    name: str
    began: float
    items: int
    size_in_bytes: int
    contents: str | None = None

    @property
    def uri(self) -> str:
        """Return the URI of the dataset that it becomes."""
        return f"{self.base_uri}/{self.uuid}"


class Journal:
    """The journal of one deposit, which one command at a time can open."""

    def __init__(self, server_url: str, base_uri: str, sources: Sequence[str]) -> None:
        self._sources = sorted(sources)
        self._place = (server_url, base_uri)
        key = json.dumps([server_url, base_uri, self._sources])
        stem = hashlib.sha256(key.encode()).hexdigest()[:32]
        self._path = _directory() / f"{stem}.json"
        self._lines_path = self._path.with_suffix(".lines")
        self._lock = threading.Lock()
        self._lines: BinaryIO | None = None
        self._closing = ExitStack()
        self.earlier: Unfinished | None = None
        self.stored: set[str] = set()

    def __enter__(self) -> Journal:
        """Open the journal; ``earlier`` is None if there is nothing to go on with.

        :raises DepositRunning: if another command has it open.
        """
        make_private_directory(self._path.parent)
        try:
            self._closing.enter_context(FileLock(self._path.with_suffix(".lock")))
        except Locked:
            raise DepositRunning(
                "Another command is depositing the same files to the same place. Wait until it has "
                "ended; if it fails, the same command resumes it."
            ) from None
        self.earlier = _read(self._path)
        return self

    def __exit__(self, *_: object) -> None:
        if self._lines is not None:
            self._lines.close()
        self._closing.close()

    def begin(
        self, name: str, items: int, size_in_bytes: int, uuid: str | None = None
    ) -> Unfinished:
        """Begin a deposit under this UUID, or a new one; what was hashed is still known."""
        server_url, base_uri = self._place
        self.forget_stored()
        return self.keep(
            Unfinished(
                server_url,
                base_uri,
                self._sources,
                uuid or str(uuid4()),
                name,
                time.time(),
                items,
                size_in_bytes,
            )
        )

    def keep(self, deposit: Unfinished) -> Unfinished:
        """Keep a deposit, on the disk before this returns, with everything that was hashed."""
        with self._lock:
            if self._lines is not None:
                os.fsync(self._lines.fileno())
        write_private(self._path, json.dumps(asdict(deposit)).encode())
        return deposit

    def look_up(self, files: Iterable[LocalFile]) -> None:
        """Fill in the MD5s of files that have not changed since they were hashed."""
        known = {file.relpath: file for file in files if file.md5 is None}
        for line in self._read_lines():
            if "hashed" in line:
                relpath, size, mtime_ns, inode, md5, part_size, part_md5s = line["hashed"]
                file = known.get(relpath)
                if file and (file.size_in_bytes, file.mtime_ns, file.inode) == (
                    size,
                    mtime_ns,
                    inode,
                ):
                    file.md5, file.part_size, file.part_md5s = md5, part_size, part_md5s
            elif "stored" in line:
                self.stored.add(line["stored"])
            else:
                self.stored.clear()

    def keep_hashes(self, files: Iterable[LocalFile]) -> None:
        """Keep the MD5s of files, for when the deposit is interrupted."""
        self._append(
            *(
                {
                    "hashed": [
                        file.relpath,
                        file.size_in_bytes,
                        file.mtime_ns,
                        file.inode,
                        file.md5,
                        file.part_size,
                        file.part_md5s,
                    ]
                }
                for file in files
            )
        )

    def keep_stored(self, identifier: str) -> None:
        """Keep that an item is stored, where dserver cannot be asked."""
        self._append({"stored": identifier})
        self.stored.add(identifier)

    def forget_stored(self) -> None:
        """Send every item again: the store does not have what it acknowledged."""
        self._append({"forget": "stored"})
        self.stored.clear()

    def remove(self) -> None:
        """Forget the deposit: it is registered or cancelled."""
        with self._lock:
            if self._lines is not None:
                self._lines.close()
                self._lines = None
        _delete(self._path)

    def withdraw(self) -> None:
        """Forget the deposit, which was never begun; what was hashed is still known."""
        self._path.unlink(missing_ok=True)

    def _append(self, *lines: dict[str, Any]) -> None:
        content = "".join([f"{json.dumps(line)}\n" for line in lines]).encode()
        with self._lock:
            try:
                if self._lines is None:
                    self._lines = _open_to_append(self._lines_path)
                written = self._lines.write(content)
            except OSError as error:
                raise LocalFileError.of(error, self._lines_path) from error
            if written < len(content):
                # What comes next stands on a line of its own.
                self._lines.close()
                self._lines = None
                raise LocalFileError(
                    f"{self._lines_path} cannot be written to its end: is the disk full?"
                )

    def _read_lines(self) -> Iterator[dict[str, Any]]:
        with suppress(FileNotFoundError), open(self._lines_path, "rb") as lines:
            for line in lines:
                with suppress(ValueError):
                    yield json.loads(line)


def unfinished() -> list[Unfinished]:
    """Return the deposits of this machine that are not registered yet, the oldest first."""
    found = [deposit for path in _journals() if (deposit := _read(path)) is not None]
    return sorted(found, key=lambda deposit: deposit.began)


def forget(server_url: str, uri: str) -> None:
    """Remove the journal of an upload that was cancelled, or registered otherwise."""
    for path in _journals():
        deposit = _read(path)
        if deposit is not None and (deposit.server_url, deposit.uri) == (server_url, uri):
            _delete(path)


def _directory() -> Path:
    return state_directory() / "deposits"


def _journals() -> Iterator[Path]:
    """Find the journals, without those that are out of date, which are removed."""
    oldest = time.time() - _KEPT
    for path in _directory().glob("*.json"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime > oldest:
                yield path
            else:
                _delete(path)
    for lines in _directory().glob("*.lines"):
        with suppress(FileNotFoundError):
            if lines.stat().st_mtime <= oldest and not lines.with_suffix(".json").exists():
                lines.unlink()


def _read(path: Path) -> Unfinished | None:
    content = read_private(path)
    try:
        return None if content is None else Unfinished(**json.loads(content))
    except (TypeError, ValueError):
        return None  # Of another version of this program, or damaged.


def _delete(path: Path) -> None:
    """Delete a journal: what makes it one goes last."""
    path.with_suffix(".lines").unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _open_to_append(path: Path) -> BinaryIO:
    def private(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    lines = open(path, "ab", buffering=0, opener=private)  # noqa: SIM115 - kept open
    # Whatever was cut off by the end of the machine stands on a line of its own.
    lines.write(b"\n")
    return lines
