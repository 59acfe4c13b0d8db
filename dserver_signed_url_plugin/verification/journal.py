"""A file that holds which items of a dataset have been found equal, so that a run can go on.

One line of JSON for each item, after one about the run. The file is removed when the run that began
it, or one of all items, has read all that it was to read: the next one reads everything again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from io import FileIO
from pathlib import Path

from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.uris import DatasetURI

# What was read longer ago says too little about today.
_MAX_AGE = timedelta(days=7)


@dataclass(eq=False)
class JournalUnusable(SignedURLError):
    """The file cannot be used."""

    status, slug = 500, "journal-unusable"
    sentence = (
        "{self.path} cannot be used to note what was read: {self.reason}. Another file can be "
        "named with --state."
    )

    path: Path
    reason: str


@dataclass(eq=False)
class JournalNotWritable(JournalUnusable):
    """The file cannot be begun, as below a home directory that is read-only, or on a full disk."""


@dataclass
class Journal:
    """An open file: when the run began, and what it has found equal before.

    ``match`` is the pattern of the items that it was to read; None for all.
    """

    path: Path
    file: FileIO
    began_at: datetime
    match: str | None
    equal: set[str] = field(default_factory=set)

    def add(self, identifier: str) -> None:
        """Note that an item is equal.

        :raises JournalUnusable: if the file cannot be written.
        """
        try:
            _append(self.file, identifier)
        except OSError as error:
            raise JournalUnusable(self.path, _reason(error)) from error

    def remove(self) -> None:
        """Remove the file, because the run that began it is complete."""
        self.path.unlink(missing_ok=True)


def default_path(uri: DatasetURI) -> Path:
    """Return where the journal of a dataset is, unless an operator chooses another place.

    :raises JournalNotWritable: if there is no home directory.
    """
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise JournalNotWritable(Path("~/.cache"), "there is no home directory") from error
    name = hashlib.sha256(str(uri).encode()).hexdigest()[:32]
    return Path(cache, "dserver-signed-url-plugin", f"verify-{name}.jsonl")


@contextmanager
def opened(
    path: Path,
    uri: DatasetURI,
    entries: Mapping[str, Item],
    match: str | None,
    *,
    restart: bool,
) -> Iterator[Journal]:
    """Open the journal of a dataset, locked against other runs; create it if necessary.

    What it holds is dropped if ``restart``, if it is about another dataset or manifest, if it was
    begun more than seven days ago, or by a run of fewer items than this one, or of others.

    :param match: the pattern of the items that this run reads; None for all.

    :raises JournalNotWritable: if it cannot be opened, or its first line not be written.
    :raises JournalUnusable: if it is another file, or another run is using it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not buffered: what a full disk does not take would fail once more when it is closed.
        file = path.open("a+b", buffering=0)
    except OSError as error:
        raise JournalNotWritable(path, _reason(error)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalUnusable(path, "another run is using it") from error
        key = {"uri": str(uri), "manifest": _fingerprint(entries)}
        journal = _resumed(path, file, key)
        if restart or journal is None or journal.match not in (None, match):
            journal = _begun(path, file, key, match)
        yield journal


def _resumed(path: Path, file: FileIO, key: Mapping[str, str]) -> Journal | None:
    """Return what an earlier run of the same dataset has left, or None.

    :raises JournalUnusable: if it is another file than a journal, which is not to be overwritten.
    """
    file.seek(0)
    content = file.read()
    if not content:
        return None
    # A run that was killed may have left a part of a line.
    complete = content[: content.rfind(b"\n") + 1]
    try:
        first, *lines = complete.splitlines()
        header, equal = json.loads(first), set(map(json.loads, lines))
        began_at = datetime.fromtimestamp(header["began_at"], timezone.utc)
        match, found = header.get("match"), {name: header[name] for name in key}
    except (ValueError, LookupError, TypeError) as error:
        raise JournalUnusable(path, "it holds something else") from error
    file.truncate(len(complete))
    if found != key or datetime.now(timezone.utc) - began_at > _MAX_AGE:
        return None
    return Journal(path, file, began_at, match, equal)


def _begun(path: Path, file: FileIO, key: Mapping[str, str], match: str | None) -> Journal:
    now = datetime.now(timezone.utc)
    try:
        file.truncate(0)
        _append(file, {**key, "began_at": now.timestamp(), "match": match})
    except OSError as error:
        # What was written of the line would be taken for another file. A device has nothing to cut.
        with suppress(OSError):
            file.truncate(0)
        raise JournalNotWritable(path, _reason(error)) from error
    return Journal(path, file, now, match)


def _append(file: FileIO, value: object) -> None:
    """Write a line of JSON."""
    line = f"{json.dumps(value)}\n".encode()
    while line:
        line = line[file.write(line) :]


def _reason(error: OSError) -> str:
    return error.strerror or "it cannot be written"


def _fingerprint(entries: Mapping[str, Item]) -> str:
    """Return a hash of what the manifest says of all items."""
    digest = hashlib.sha256()
    for item in entries.values():
        digest.update(
            f"{item.identifier} {item.size_in_bytes} {item.hash}\n".encode(errors="replace")
        )
    return digest.hexdigest()
