"""Fetch items into files: in parallel, large ones in ranges, and compare each with its MD5."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Protocol

from dserver_client.disk import write_all
from dserver_client.errors import LocalFileError, VerificationFailed
from dserver_client.http import HTTP
from dserver_client.manifest import ManifestItem
from dserver_client.progress import NoProgress, Progress
from dserver_client.transfers.item_reader import ItemReader, NoRanges, ObjectDiffers, URLs
from dserver_client.transfers.partial import PART_SIZE, ObjectChanged, Partial
from dserver_client.transfers.scheduler import Limit, Task, run

# Up to this size in bytes an item is received as a whole, and never continued.
_SMALL = 1 << 18
# An item, and the absolute path of the file that it becomes.
Wanted = tuple[ManifestItem, str]
# How often an item is fetched from the beginning if it is not what the manifest says.
_ATTEMPTS = 3


class FetchURLs(URLs, Protocol):
    """Signs the URLs of items that are fetched one after the other."""

    def prepare(self, identifier: str) -> None:
        """Sign the URL of an item that is needed soon, if that is of use."""

    def done(self, identifier: str) -> None:
        """Forget an item whose URL is not needed any more."""


class Fetching:
    """Fetches items; large ones are divided into parts, each of which is a task.

    :param state: the directory for what is not complete. What an interrupted fetch has left there
        is continued; only one at a time should use it, others may fail.
    """

    def __init__(
        self,
        http: HTTP,
        urls: FetchURLs,
        state: Path,
        progress: Progress | None = None,
        limit: Limit | None = None,
        part_size: int = PART_SIZE,
    ) -> None:
        self._http = http
        self._urls = urls
        self._state = state
        # No other process knows the names of files that are not continued.
        self._suffix = f"-{token_hex(8)}.part"
        self._progress = progress or NoProgress()
        self._limit = limit or Limit()
        self._part_size = part_size
        self._lock = threading.Lock()
        self._partials: dict[str, Partial] = {}
        self._undivided: set[str] = set()
        self._differing: dict[str, str] = {}
        self._directories: set[str] = set()
        self.fetched_in_bytes = 0

    def fetch(self, wanted: Sequence[Wanted]) -> None:
        """Fetch items, in the order given; directories are made as needed.

        :raises VerificationFailed: if items differ from the manifest after several attempts, when
            all others have been fetched.
        :raises LocalFileError: if a file cannot be written; what has arrived is kept.
        :raises Unavailable, Refused, StoreRefused: if the bytes cannot be had; the same holds.
        """
        for _ in range(_ATTEMPTS):
            self._differing.clear()
            try:
                run(self._tasks(wanted), self._limit)
            finally:
                for file in list(self._partials.values()):
                    file.close()
            if not self._differing:
                return
            self._discard_differing()
            wanted = [entry for entry in wanted if entry[0].relpath in self._differing]
        raise VerificationFailed(_message(self._differing), dict(self._differing))

    def _tasks(self, wanted: Sequence[Wanted]) -> Iterator[Task]:
        for item, path in wanted:
            # Here, a few hundred tasks ahead, so that none has to wait for it.
            self._urls.prepare(item.identifier)
            if item.size_in_bytes <= _SMALL:
                yield partial(self._attempt, item, partial(self._fetch_small, item, path))
            else:
                yield from self._tasks_of_parts(item, path)

    def _tasks_of_parts(self, item: ManifestItem, path: str) -> Iterator[Task]:
        is_divided = item.identifier not in self._undivided
        file = Partial(self._state, item, self._part_size if is_divided else item.size_in_bytes)
        self._partials[item.identifier] = file
        self._progress.advance(sum(file.arrived))
        reader = ItemReader(self._http, self._urls, item, self._limit, file.etag)
        # If all has arrived, one task is left to give the file its name.
        for part in file.missing_parts() or [0]:
            yield partial(self._attempt, item, partial(self._fetch_part, reader, file, part, path))

    def _attempt(self, item: ManifestItem, task: Task) -> None:
        """Do a task of an item, and note if the item has to be fetched from the beginning."""
        if item.relpath in self._differing:
            return
        try:
            task()
        except NoRanges:
            self._undivided.add(item.identifier)
            self._differing[item.relpath] = "parts of it cannot be read"
        except ObjectChanged:
            self._differing[item.relpath] = "it has changed"
        except ObjectDiffers as difference:
            self._differing[item.relpath] = str(difference)
        except OSError as error:
            raise self._not_written(error) from error

    def _discard_differing(self) -> None:
        for file in list(self._partials.values()):
            if file.item.relpath in self._differing:
                del self._partials[file.item.identifier]
                self._progress.advance(-sum(file.arrived))
                file.discard()

    def _fetch_small(self, item: ManifestItem, path: str) -> None:
        reader = ItemReader(self._http, self._urls, item, self._limit)
        content = b"".join(reader.blocks(0, item.size_in_bytes))
        self._count(len(content))
        if item.hash not in (None, hashlib.md5(content, usedforsecurity=False).hexdigest()):
            raise ObjectDiffers("it has another MD5")
        file = os.path.join(self._state, item.identifier + self._suffix)
        try:
            with open(file, "xb", buffering=0) as opened:
                write_all(opened, content)
            self._prepare(file, item, path)
            os.replace(file, path)
        except OSError:
            with suppress(OSError):
                os.unlink(file)
            raise
        self._progress.advance(len(content), 1)
        self._urls.done(item.identifier)

    def _fetch_part(self, reader: ItemReader, file: Partial, part: int, path: str) -> None:
        first, end = file.bounds(part)
        for block in reader.blocks(first + file.arrived[part], end):
            self._limit.check()
            if file.item.relpath in self._differing:
                return
            file.open(reader.etag)
            file.write(part, block)
            self._count(len(block))
            self._progress.advance(len(block))
        file.hash_arrived(self._limit.check)
        if file.is_whole():
            if not file.has_right_hash():
                raise ObjectDiffers("it has another MD5")
            self._prepare(file.path, file.item, path)
            file.move(path)
            del self._partials[file.item.identifier]
            self._progress.advance(0, 1)
            self._urls.done(file.item.identifier)

    def _prepare(self, file: str | Path, item: ManifestItem, path: str) -> None:
        """Make the directory of a file that is complete, and set its time of last change."""
        directory = os.path.dirname(path)
        if directory not in self._directories:
            os.makedirs(directory, exist_ok=True)
            self._directories.add(directory)
        if item.utc_timestamp is not None:
            # Not every system can represent every time.
            with suppress(OverflowError, ValueError):
                os.utime(file, (item.utc_timestamp, item.utc_timestamp))

    def _not_written(self, error: OSError) -> LocalFileError:
        place = error.filename or self._state
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return LocalFileError(
                f"There is no space left for {place}. What has arrived is kept, and the same fetch "
                "goes on when there is."
            )
        return LocalFileError.of(error, place)

    def _count(self, size_in_bytes: int) -> None:
        with self._lock:
            self.fetched_in_bytes += size_in_bytes


def _message(differing: Mapping[str, str]) -> str:
    listed = [f"{relpath!a}: {reason}" for relpath, reason in sorted(differing.items())[:20]]
    if len(differing) > len(listed):
        listed.append(f"and {len(differing) - len(listed)} more")
    count = "One item differs" if len(differing) == 1 else f"{len(differing)} items differ"
    return f"{count} from the manifest, and could not be fetched: {'; '.join(listed)}."
