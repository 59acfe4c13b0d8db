"""Deposits a stream, whose length nobody knows beforehand, as a dataset of one item.

What fits into one part is read into memory, and sent like a file. A longer stream is sent in parts
while it is read; its size and MD5, counted on the way, are what completion verifies. Nobody can
read a stream again, so one that fails leaves nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

import dtoolcore.utils
from msgspec import structs

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.service import Audit
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.deposits import repository
from dserver_signed_url_plugin.deposits.part_pipeline import (
    PAUSES,
    MemoryPart,
    PartPipeline,
    PartReader,
    TooManyBytes,
)
from dserver_signed_url_plugin.deposits.patience import Result, patiently
from dserver_signed_url_plugin.deposits.service import deposited, operators_name
from dserver_signed_url_plugin.deposits.transfer import Sender, Transfer, TransferFailed
from dserver_signed_url_plugin.errors import (
    AlreadyRegistered,
    InvalidField,
    SignedURLError,
    StorageAway,
    UploadFrozen,
)
from dserver_signed_url_plugin.permissions import UploadPermit, permit_operator
from dserver_signed_url_plugin.progress import Progress
from dserver_signed_url_plugin.storage.parts import StoredPart
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.uploads.begin import Uploads
from dserver_signed_url_plugin.uploads.cancel import Cancellations
from dserver_signed_url_plugin.uploads.complete import Completions
from dserver_signed_url_plugin.uploads.plan import UploadPlan
from dserver_signed_url_plugin.uploads.streams import StreamedItems
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

# How many parts of the smallest size are kept in memory.
_PARTS_KEPT = 4


@dataclass(eq=False)
class StreamFailed(SignedURLError):
    """The store did not take all of a stream."""

    status, slug = 502, "stream-failed"
    sentence = "{self.relpath!r} was not stored: {self.reason}. Nothing of it was kept."

    relpath: str
    reason: str


@dataclass(eq=False)
class StreamTooLong(SignedURLError):
    """A stream has more bytes than can be sent without knowing how many they are."""

    status, slug = 400, "stream-too-long"
    sentence = (
        "{self.relpath!r} has more than {self.limit} bytes, the most that can be sent here while "
        "nobody knows how many they are; a file may have {self.most_of_files}. Nothing of it was "
        "kept."
    )

    relpath: str
    limit: int
    most_of_files: int


@dataclass(eq=False)
class StreamLeft(SignedURLError):
    """An interrupted stream could not be removed."""

    status, slug = 502, "stream-left"
    sentence = (
        "What was begun as {self.uri} could not be removed ({self.reason}): `flask pending_upload "
        "cleanup` removes it."
    )

    uri: DatasetURI
    reason: str


@dataclass(eq=False)
class StreamStored(SignedURLError):
    """A stream was interrupted after all of it was stored."""

    status, slug = 409, "stream-stored"
    sentence = (
        "All of it is stored as {self.uri}: `flask pending_upload cleanup` registers it, unless it "
        "is registered already."
    )

    uri: DatasetURI


@dataclass(frozen=True)
class PreparedStream:
    """The upload as which a stream is to be announced; its item has no size yet, and no hash."""

    permit: UploadPermit
    plan: UploadPlan

    @property
    def item(self) -> Item:
        return self.plan.items[0]

    @property
    def uri(self) -> DatasetURI:
        return self.permit.base_uri.dataset(self.plan.uuid)


@dataclass(frozen=True)
class StreamDeposits:
    """Deposits streams for an operator at dserver's own shell.

    ``pauses`` are the seconds before the store is tried again that did not answer.
    """

    settings: Settings
    storages: Storages
    uploads: Uploads
    items: StreamedItems
    completions: Completions
    cancellations: Cancellations
    audit: Audit
    pauses: Sequence[float] = PAUSES

    def prepare(self, base_uri: BaseURI, name: str, relpath: str) -> PreparedStream:
        """Check what can be checked before anything is read; begin nothing.

        :raises InvalidField: if the base URI is unknown, or cannot keep such an item.
        """
        datasets.check_known(base_uri)
        creator = operators_name(self.storages.of(base_uri).uploads.limits)
        items = [Item(_identifier(relpath), relpath)]
        plan = UploadPlan(
            str(uuid4()), name, items, creator_username=creator, pinned=True, multipart=True
        )
        permit = permit_operator(base_uri)
        self.uploads.check(permit, plan)
        return PreparedStream(permit, plan)

    def carry_out(
        self, prepared: PreparedStream, blocks: Iterable[bytes], progress: Progress
    ) -> DatasetURI:
        """Make a registered dataset of a stream; whatever fails, nothing is left of it.

        Keeps at most four parts in memory, and of parts that have grown to more than twice the
        configured size at most two.

        :param blocks: the bytes; what this raises ends the deposit, too.
        :param progress: called with the numbers of bytes that were read.
        :raises StreamFailed: if the store does not take all of it.
        :raises StreamTooLong: if it has more bytes than can be sent.
        :raises StreamLeft: if what was sent of it could not be removed.
        """
        limit, most_of_files = self._limits(prepared)
        reader = PartReader(prepared.item.relpath, blocks, limit, progress)
        try:
            with self._removed_unless_completed(prepared):
                self._send(prepared, reader)
                repository.note(prepared.uri)
                completion = self._persistently(
                    lambda: self.completions.complete(prepared.permit, prepared.plan.uuid)
                )
        except TransferFailed as failure:
            raise StreamFailed(failure.relpath, failure.reason) from None
        except TooManyBytes:
            raise StreamTooLong(prepared.item.relpath, limit, most_of_files) from None
        self.audit.record(deposited(prepared.permit, prepared.uri, completion.extent))
        return prepared.uri

    def _limits(self, prepared: PreparedStream) -> tuple[int, int]:
        """Return the most bytes that a stream may have, and a file."""
        storage, part_bytes = self.storages.of(prepared.permit.base_uri), self.settings.part_bytes
        if storage.parts is None:
            most = storage.uploads.limits.max_item_bytes
            return min(part_bytes, most), most
        most = storage.parts.limits.max_item_bytes
        return min(sum(storage.parts.limits.growing(part_bytes)), most), most

    def _sizes(self, prepared: PreparedStream) -> Iterator[int]:
        """Return the bytes of each part."""
        parts, part_bytes = (
            self.storages.of(prepared.permit.base_uri).parts,
            self.settings.part_bytes,
        )
        return iter([part_bytes]) if parts is None else parts.limits.growing(part_bytes)

    def _send(self, prepared: PreparedStream, reader: PartReader) -> None:
        sizes = self._sizes(prepared)
        size = next(sizes)
        read = deque([reader.read(size)])
        if read[0].size_in_bytes == size:
            read.append(reader.read(next(sizes, 1)))
        if read[-1].size_in_bytes == 0 or len(read) == 1:
            self._send_whole(prepared, read[0])
        else:
            self._send_parts(prepared, reader, read, sizes)

    def _send_whole(self, prepared: PreparedStream, content: MemoryPart) -> None:
        """Send it like a file: its size and MD5 are known."""
        item = _described(prepared.item, content.size_in_bytes, content.md5)
        plan = replace(prepared.plan, items=[item])
        grant = patiently(lambda: self.uploads.begin(prepared.permit, plan))
        transfer = Transfer(content, grant.urls.items[item.identifier])
        Sender(transfer, lambda count: None).put(transfer)

    def _send_parts(
        self,
        prepared: PreparedStream,
        reader: PartReader,
        read: deque[MemoryPart],
        sizes: Iterator[int],
    ) -> None:
        """Send the parts that were read, and those that are read meanwhile; make the item."""
        permit, uuid = prepared.permit, prepared.plan.uuid
        patiently(lambda: self.uploads.begin(permit, prepared.plan))
        upload = self.items.begin(permit, uuid, prepared.item)
        budget = _PARTS_KEPT * read[0].size_in_bytes
        with PartPipeline(
            lambda number, md5: self.items.sign(permit, upload, number, md5), budget, self.pauses
        ) as pipeline:
            sent = _sent(pipeline, reader, read, sizes)
        item = _described(prepared.item, reader.size_in_bytes, reader.md5)
        self._persistently(lambda: self.items.finish(permit, upload, item, sent))

    def _persistently(self, act: Callable[[], Result]) -> Result:
        """Do it again while the store does not answer: what was sent cannot be sent again."""
        for pause in self.pauses:
            try:
                return patiently(act)
            except StorageAway:
                time.sleep(pause)
        return patiently(act)

    @contextmanager
    def _removed_unless_completed(self, prepared: PreparedStream) -> Iterator[None]:
        """Remove what was begun if the block fails or is interrupted."""
        try:
            yield
        except BaseException:
            try:
                patiently(lambda: self.cancellations.cancel(prepared.permit, prepared.plan.uuid))
                repository.forget(prepared.uri)
            except (AlreadyRegistered, UploadFrozen):
                raise StreamStored(prepared.uri) from None
            except SignedURLError as error:
                raise StreamLeft(prepared.uri, error.message.rstrip(".")) from error
            except KeyboardInterrupt as error:
                raise StreamLeft(prepared.uri, "it was interrupted again") from error
            raise


def _sent(
    pipeline: PartPipeline,
    reader: PartReader,
    read: deque[MemoryPart],
    sizes: Iterator[int],
) -> dict[int, StoredPart]:
    """Send all parts of a stream; return what the store should list."""
    while read:
        # Nothing else may refer to a part, or it would stay in memory.
        pipeline.send(read.popleft())
    if all(pipeline.send_next(reader, size) for size in sizes):
        # As many as there may be; this raises if there are more bytes.
        reader.read(1)
    return pipeline.finish()


def _described(item: Item, size: int, md5: str) -> Item:
    return structs.replace(item, size_in_bytes=size, hash=md5, utc_timestamp=time.time())


def _identifier(relpath: str) -> str:
    try:
        return str(dtoolcore.utils.generate_identifier(relpath))
    except UnicodeEncodeError as error:
        raise InvalidField("items.0.relpath", f"{relpath!r} is not UTF-8.") from error
