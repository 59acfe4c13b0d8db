"""Reads a frozen dataset from its store, several items at a time, and compares every item."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from multiprocessing.pool import ThreadPool
from pathlib import Path

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Decision
from dserver_signed_url_plugin.audit.service import Audit
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.downloads.selection import matches
from dserver_signed_url_plugin.errors import DatasetNotFound, InvalidField, StorageMisconfigured
from dserver_signed_url_plugin.permissions import permit_operator_read
from dserver_signed_url_plugin.progress import ProgressBar
from dserver_signed_url_plugin.signed_http import UnusableConnections, connections
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Item, SignedItems, total_size
from dserver_signed_url_plugin.uploads.complete import VERIFIED_MD5
from dserver_signed_url_plugin.uris import DatasetURI
from dserver_signed_url_plugin.verification import journal
from dserver_signed_url_plugin.verification.comparison import ComparedItem, Result
from dserver_signed_url_plugin.verification.journal import Journal
from dserver_signed_url_plugin.verification.reader import PAUSES, ItemReader

_CONCURRENCY = 8
_URL_SECONDS = 3600
# A URL is signed again if it works for less than this.
_MIN_LIFE = timedelta(minutes=5)


@dataclass(frozen=True)
class Scope:
    """Which items to read: those whose relpaths match a pattern of fnmatch, or a sample of them."""

    match: str | None = None
    sample: int | None = None


@dataclass
class Report:
    """What was compared, in all; ``compared`` are the items that are not equal.

    ``resumed`` of the equal items were read by an earlier run, which began at ``began_at``.
    """

    uri: DatasetURI
    items: int
    selected: int
    resumed: int
    began_at: datetime
    counts: Counter[Result] = field(default_factory=Counter)
    size_in_bytes: int = 0
    compared: list[ComparedItem] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether every selected item is as the manifest says."""
        return self.counts[Result.EQUAL] == self.selected

    def add(self, item: ComparedItem) -> None:
        """Count an item."""
        self.counts[item.result] += 1
        if item.found is not None and item.found.md5 is not None:
            self.size_in_bytes += item.found.size_in_bytes
        if item.result is not Result.EQUAL:
            self.compared.append(item)


@dataclass(frozen=True)
class Verifications:
    """Verifies datasets for an operator at dserver's own shell."""

    settings: Settings
    storages: Storages
    audit: Audit
    pauses: Sequence[float] = PAUSES

    def verify(
        self,
        uri: DatasetURI,
        scope: Scope,
        progress_bar: ProgressBar,
        state: Path | None = None,
        *,
        restart: bool = False,
    ) -> Report:
        """Read items of a registered dataset, and compare size and MD5 with the manifest.

        An interrupted run goes on where it stopped, if it is called with the same ``state``; one of
        a sample does not, and uses no journal.

        :param state: the journal's path; None for a run that cannot go on.
        :param restart: whether to read again what an interrupted run has read.
        :raises DatasetNotFound: if dserver does not know it, or storage no longer holds it.
        :raises InvalidField: if no item matches.
        :raises JournalNotWritable: if the journal cannot be begun; nothing has been read.
        :raises JournalUnusable: if it cannot be written, or another run is using it.
        :raises StorageAway: if the store does not answer.
        """
        if datasets.find(uri) is None:
            raise DatasetNotFound("dserver", uri)
        urls = _URLs(self.settings, self.storages, uri)
        selected = _selected(urls.entries, scope)
        if state is None or scope.sample is not None:
            return self._report(urls, selected, progress_bar, None)
        with journal.opened(state, uri, urls.entries, scope.match, restart=restart) as opened:
            report = self._report(urls, selected, progress_bar, opened)
            # One that a run of all items has begun is for that to go on with.
            if opened.match == scope.match or report.selected == report.items:
                opened.remove()
        return report

    def _report(
        self,
        urls: _URLs,
        selected: Sequence[Item],
        progress_bar: ProgressBar,
        opened: Journal | None,
    ) -> Report:
        equal = frozenset() if opened is None else opened.equal
        began_at = datetime.now(timezone.utc) if opened is None else opened.began_at
        unread = [item for item in selected if item.identifier not in equal]
        resumed = len(selected) - len(unread)
        report = Report(urls.uri, len(urls.entries), len(selected), resumed, began_at)
        report.counts[Result.EQUAL] = resumed
        try:
            size = sum(item.size_in_bytes or 0 for item in unread)
            with progress_bar("Reading", size) as progress:
                self._read(unread, urls, progress, report, opened)
        finally:
            self._record(report, selected)
        return report

    def _read(
        self,
        items: Sequence[Item],
        urls: _URLs,
        progress: Callable[[int], None],
        report: Report,
        opened: Journal | None,
    ) -> None:
        with _reader(items, urls, progress, self.pauses) as results:
            for compared in results:
                report.add(compared)
                if opened is not None and compared.result is Result.EQUAL:
                    opened.add(compared.item.identifier)

    def _record(self, report: Report, selected: Sequence[Item]) -> None:
        is_verified = report.is_equal and report.selected == report.items
        self.audit.record(
            Decision(
                action="verify",
                username=permit_operator_read(report.uri.base).username,
                uri=str(report.uri),
                items=len(selected),
                size_in_bytes=total_size([item.size_in_bytes for item in selected]),
                verified=VERIFIED_MD5 if is_verified else None,
            )
        )


@contextmanager
def _reader(
    items: Sequence[Item],
    urls: _URLs,
    progress: Callable[[int], None],
    pauses: Sequence[float],
) -> Iterator[Iterator[ComparedItem]]:
    """Yield the compared items as they come, in any order."""
    if not items:
        yield iter(())
        return
    try:
        manager = connections(urls.of(items[0]), _CONCURRENCY)
    except UnusableConnections as error:
        raise StorageMisconfigured("The store", f"cannot be read: {error}") from None
    reader = ItemReader(manager, urls.of, progress, pauses)
    # Unlike an executor's, the threads of this pool are not waited for on an interruption.
    with ThreadPool(min(_CONCURRENCY, len(items))) as pool:
        try:
            yield pool.imap_unordered(reader.read, items)
        finally:
            reader.stop()


def _selected(entries: Mapping[str, Item], scope: Scope) -> list[Item]:
    items = list(entries.values())
    if scope.match is not None:
        expression = matches(scope.match)
        items = [item for item in items if expression.match(item.relpath)]
        if not items:
            raise InvalidField("items", "no relpath of the dataset matches.")
    if scope.sample is not None and scope.sample < len(items):
        return random.sample(items, scope.sample)
    return items


class _URLs:
    """The items of a dataset, and signed URLs of them, signed again before they expire."""

    def __init__(self, settings: Settings, storages: Storages, uri: DatasetURI) -> None:
        self._seconds = min(_URL_SECONDS, settings.max_read_expiry)
        self._storages, self.uri = storages, uri
        self._lock = threading.Lock()
        self._items, self._ends = self._signed()
        self.entries: Mapping[str, Item] = self._items.entries

    def of(self, item: Item) -> str:
        """Return the URL of an item."""
        with self._lock:
            if self._ends - datetime.now(timezone.utc) < min(_MIN_LIFE, self._life / 2):
                self._items, self._ends = self._signed()
            return self._items[item.identifier]

    def _signed(self) -> tuple[SignedItems, datetime]:
        reads = self._storages.reads(self.uri.base)
        with self._storages.call():
            life = reads.life(self._seconds)
            self._life = timedelta(seconds=life.seconds)
            return reads.items(self.uri.uuid, life), life.ends
