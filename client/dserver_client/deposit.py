"""Deposit local files as a dataset: announce them, send them, have dserver register them.

Every step may be interrupted. The journal keeps the UUID from before the first request, so the same
command resumes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from dserver_client.announcement import Description, announcement, fingerprint
from dserver_client.errors import FileChanged, NotSupported, Refused
from dserver_client.local_files import Source, identifier_of
from dserver_client.progress import NoProgress, Progress
from dserver_client.registered import (
    Wanted,
    check_registered,
    give_up,
    is_registered,
    refuse_changed,
)
from dserver_client.server import Server
from dserver_client.state import Journal, Unfinished
from dserver_client.transfers.hashing import hash_files
from dserver_client.transfers.scheduler import Limit
from dserver_client.transfers.sending import Sending
from dserver_client.values import Deposited, Registered, UploadGrant

# dserver's default size of a part, for which MD5s are computed with that of the whole file.
_PART_SIZE = 64 * 1024 * 1024
# Bytes that one PUT can carry.
_MAX_PUT_BYTES = {"s3": 5 * 1024**3, "azure": 5_000 * 1024**2}
# How often completion is asked for if dserver misses items that the store has acknowledged.
_COMPLETIONS = 5

# Slugs of dserver's refusals; those beginning with http- are of a dserver without slugs.
_ALL_STORED = frozenset({"upload-frozen", "already-registered"})
_INCOMPLETE = frozenset({"upload-incomplete", "no-pending-upload", "http-400"})
_TO_ANNOUNCE = frozenset({"upload-not-found", "upload-not-opened"})


def deposit(
    server: Server,
    source: Source,
    base_uri: str,
    description: Description,
    *,
    restart: bool = False,
    progress: Progress | None = None,
    limit: Limit | None = None,
    on_registered: Callable[[Deposited], None] | None = None,
) -> Deposited:
    """Deposit files under a base URI, or go on with a deposit of them that was interrupted.

    :param restart: cancel the deposit that was interrupted, and begin anew.
    :param on_registered: called with the result before the deposit is forgotten here: what is
        killed before it has returned is found registered by the next call.
    :raises DepositRunning: if another command deposits the same at this moment.
    :raises DepositChanged: if the one that was interrupted had other files or another description.
    :raises DepositDiffers: if it was registered, and is not what is here.
    :raises FileChanged: if a file changes meanwhile.
    :raises LocalFileError: if a file cannot be read.
    :raises Refused: if dserver refuses it.
    :raises StoreRefused: if the store does.
    :raises Unavailable: if one of them cannot be reached.
    """
    with Journal(server.url, base_uri, source.names) as journal:
        one = _Deposit(server, source, base_uri, description, journal, progress or NoProgress())
        if restart:
            one.give_up_earlier()
        deposited = one.run(limit or Limit())
        if on_registered is not None:
            on_registered(deposited)
        journal.remove()
        return deposited


class _Deposit:
    """One deposit, from the listing of its files to the registered dataset."""

    def __init__(
        self,
        server: Server,
        source: Source,
        base_uri: str,
        description: Description,
        journal: Journal,
        progress: Progress,
    ) -> None:
        self._server, self._source, self._base_uri = server, source, base_uri
        self._description, self._journal, self._progress = description, journal, progress
        self._files = {file.identifier: file for file in source.files}
        self._wanted = Wanted(description, source.files)
        self._current = self._begin()
        # Whether dserver had everything before it was sent here.
        self._was_complete = False

    def give_up_earlier(self) -> None:
        """Cancel what was begun, and begin anew; what was hashed is still known."""
        if self._journal.earlier is not None:
            give_up(self._server, self._uri)
            self._current = self._begin_journal()

    def run(self, limit: Limit) -> Deposited:
        """Deposit everything."""
        self._refuse_too_large()
        self._hash()
        self._refuse_changed()
        grant = self._announce()
        with _phase(self._progress, "send", self._source.size_in_bytes, len(self._files)):
            sending = self._sending(limit)
            if grant is not None:
                self._send(sending, grant)
        registered = self._complete(sending)
        if self._was_complete:
            check_registered(self._server, self._uri, self._wanted)
        return Deposited(
            uri=registered.uri,
            uuid=registered.uuid,
            name=registered.name,
            items=len(self._files),
            size_in_bytes=self._source.size_in_bytes,
            sent_in_bytes=sending.sent_in_bytes,
            already_stored=len(self._files) - sending.items_sent,
        )

    @property
    def _uri(self) -> str:
        return self._current.uri

    def _begin(self) -> Unfinished:
        """Find what was begun, or keep a UUID before the first request with it."""
        earlier, uuid = self._journal.earlier, self._description.uuid
        self._journal.look_up(self._source.files)
        if earlier is None or uuid not in (None, earlier.uuid):
            return self._begin_journal()
        return earlier

    def _begin_journal(self) -> Unfinished:
        return self._journal.begin(
            self._description.name,
            len(self._files),
            self._source.size_in_bytes,
            self._description.uuid,
        )

    def _hash(self) -> None:
        """Compute the MD5s that are not known from an earlier attempt."""
        files = [file for file in self._source.files if file.md5 is None]
        if not files:
            return
        part_size = _PART_SIZE if self._server.capabilities().parts else 0
        with _phase(self._progress, "hash", sum(f.size_in_bytes for f in files), len(files)):
            hash_files(files, part_size, self._journal.keep_hashes, self._progress)

    def _refuse_changed(self) -> None:
        """Refuse other files, or another description, than an unfinished upload was begun with."""
        self._contents = fingerprint(self._description, self._source.files)
        is_changed = self._current.contents not in (None, self._contents)
        if is_changed and not refuse_changed(self._server, self._current, self._wanted):
            self._current = self._begin_journal()

    def _refuse_too_large(self) -> None:
        """Refuse what only parts can carry where dserver does not take parts."""
        if self._server.capabilities().parts:
            return
        scheme = self._base_uri.partition(":")[0]
        most = _MAX_PUT_BYTES.get(scheme, _MAX_PUT_BYTES["s3"])
        for file in self._source.files:
            if file.size_in_bytes > most:
                raise NotSupported(
                    f"{file.path} has {file.size_in_bytes} bytes, and this dserver takes files of "
                    f"up to {most} bytes: it has no route for files in parts."
                )

    def _announce(self) -> UploadGrant | None:
        """Announce the upload; None if everything is stored already."""
        announced = announcement(self._description, self._source.files, self._current.uuid)
        try:
            grant = self._server.announce(self._base_uri, announced)
        except Refused as refusal:
            self._raise_unless_complete(refusal)
            return None
        self._current = replace(
            self._current,
            contents=self._contents,
            name=self._description.name,
            items=len(self._files),
            size_in_bytes=self._source.size_in_bytes,
        )
        self._journal.keep(self._current)
        return grant

    def _raise_unless_complete(self, refusal: Refused) -> None:
        """Raise the refusal of an announcement, unless everything is stored already."""
        if refusal.slug in _ALL_STORED or (
            refusal.slug == "http-409" and is_registered(self._server, self._uri)
        ):
            self._was_complete = True
            return
        if refusal.slug == "upload-conflict":
            # The answer to an earlier announcement of something else was lost.
            refuse_changed(self._server, self._current, self._wanted)
        # A conflict may pass; what else is refused was never begun.
        if self._current.contents is None and refusal.status != 409:
            self._journal.withdraw()
        raise refusal

    def _sending(self, limit: Limit) -> Sending:
        readme = self._description.readme
        if readme is None and self._journal.earlier is not None:
            # Replaces the one of an earlier attempt.
            readme = ""
        return Sending(
            self._server,
            self._files,
            self._journal.stored,
            None if readme is None else readme.encode(),
            self._progress,
            limit,
            # A dserver that knows what is stored leaves it out of its next grant.
            _ignore if self._server.capabilities().status else self._journal.keep_stored,
        )

    def _send(self, sending: Sending, grant: UploadGrant) -> None:
        try:
            sending.send(grant, self._renew)
        except FileChanged:
            # Its time may be the same: its MD5 counts no more.
            self._journal.keep_hashes(file for file in self._source.files if file.md5 is None)
            raise

    def _renew(self) -> UploadGrant | None:
        """Return fresh URLs, where possible for exactly what is missing; None if nothing is."""
        if self._server.capabilities().status:
            try:
                return self._server.unsent(self._uri)
            except Refused as refusal:
                if refusal.slug in _ALL_STORED:
                    self._was_complete = True
                    return None
                # An operator may have removed it.
                if refusal.slug not in _TO_ANNOUNCE:
                    raise
        return self._announce()

    def _complete(self, sending: Sending) -> Registered:
        """Have the upload verified and registered; send what dserver does not find."""
        for attempt in range(1, _COMPLETIONS + 1):
            try:
                with _phase(self._progress, "complete", None, len(self._files)):
                    return self._server.complete(self._uri, self._progress)
            except Refused as refusal:
                # Without slugs it may be refused for another reason: everything is sent once more.
                last = 2 if refusal.slug == "http-400" else _COMPLETIONS
                if refusal.slug not in _INCOMPLETE or attempt >= last:
                    raise
                self._send_missing(sending, refusal)
        raise AssertionError("unreachable")

    def _send_missing(self, sending: Sending, refusal: Refused) -> None:
        self._journal.forget_stored()
        grant = self._renew()
        if grant is None:
            return
        missing = self._files.keys() & grant.items.keys()
        if not self._server.capabilities().status:
            missing = missing & _named_in(refusal) or missing
        size = sum(self._files[identifier].size_in_bytes for identifier in missing)
        with _phase(self._progress, "send", size, len(missing)):
            sending.send_again(missing)
            self._send(sending, grant)


@contextmanager
def _phase(progress: Progress, phase: str, size_in_bytes: int | None, items: int) -> Iterator[None]:
    progress.start(phase, size_in_bytes, items)
    try:
        yield
    finally:
        progress.finish()


def _named_in(refusal: Refused) -> set[str]:
    """Return the identifiers of the items that an incomplete upload lacks, as far as it says so."""
    relpaths: list[Any] = []
    for kind in ("missing", "mismatched"):
        entries = refusal.facts.get(kind)
        for entry in entries if isinstance(entries, list) else ():
            relpaths.append(entry.get("relpath") if isinstance(entry, dict) else entry)
    return {identifier_of(relpath) for relpath in relpaths if isinstance(relpath, str)}


def _ignore(_: str) -> None:
    """Keep nothing."""
