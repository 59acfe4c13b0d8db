"""Items in parts: multipart uploads to the items' real keys.

Until a multipart upload is completed there is no object, and afterwards the URLs of its parts no
longer work; so parts are neither staged nor copied.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import md5
from itertools import accumulate

from dserver_signed_url_plugin.errors import SignedURLError, StorageAway, StorageUnavailable
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.md5 import content_md5
from dserver_signed_url_plugin.storage.parallel import PARALLEL, each
from dserver_signed_url_plugin.storage.parts import PartLimits, PartUpload, StoredPart
from dserver_signed_url_plugin.storage.protocols import DatasetFailed, raise_failure
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.layout import item_metadata, part_parameters
from dserver_signed_url_plugin.storage.s3.multipart import MAX_PARTS, MultipartUpload
from dserver_signed_url_plugin.storage.s3.prefixes import DatasetPrefixes
from dserver_signed_url_plugin.storage.values import Item, Life, SignedRequest, StoredItem

_MIB = 1024**2
# Parts that any store assembles in a second: many of them may take longer than a call.
_ASSEMBLED_PER_SECOND = 20
# Bytes that any store copies in a second.
_COPIED_PER_SECOND = 16 * _MIB
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ITEM_KEY = re.compile(rf"(?:.*/)?[^/]*?({_UUID})/data/([0-9a-f]{{40}})", re.DOTALL)


class S3Parts:
    """Keeps the parts of large items.

    Source of the limits: AWS, "Amazon S3 multipart upload limits".
    """

    limits = PartLimits(
        max_item_bytes=5 * 1024**4,
        min_part_bytes=5 * _MIB,
        max_part_bytes=5 * 1024**3,
        max_parts=MAX_PARTS,
    )

    def __init__(self, s3: S3Connection, prefixes: DatasetPrefixes) -> None:
        self._s3, self._prefixes = s3, prefixes
        self._multipart = s3.multipart

    def begin(self, uuid: str, item: Item) -> PartUpload:
        """Create a multipart upload, with the user metadata that dtool reads."""
        metadata = {} if item.hash is None else item_metadata(item.relpath, item.hash)
        key = self._prefixes.of(uuid).item(item.identifier)
        created = self._multipart.create(key, metadata)
        return PartUpload(uuid, item.identifier, created.upload_id)

    def part_urls(
        self, upload: PartUpload, hashes: Mapping[int, str | None], life: Life
    ) -> dict[int, SignedRequest]:
        """Sign a PUT for each part."""
        key = self._key(upload.uuid, upload.identifier)
        signer = self._s3.signer(life, writing=True)

        def request(number: int, part_md5: str | None) -> SignedRequest:
            headers = {} if part_md5 is None else content_md5(part_md5)
            parameters = part_parameters(number, upload.upload_id)
            return SignedRequest(signer.sign("PUT", key, headers, parameters), headers)

        return {number: request(number, part_md5) for number, part_md5 in hashes.items()}

    def stored_parts(self, upload: PartUpload) -> dict[int, StoredPart] | None:
        """List the parts, one request per 1,000; None if the store does not know the upload."""
        return self._multipart.parts(self._multipart_upload(upload))

    def assembled_md5(self, item: Item, parts: Mapping[int, StoredPart]) -> str | None:
        """Return the ETag: the MD5 of the parts' MD5s, and their number."""
        known = [stored.md5 for _, stored in sorted(parts.items()) if stored.md5 is not None]
        if len(known) < len(parts):
            return None
        digests = bytes.fromhex("".join(known))
        return f"{md5(digests, usedforsecurity=False).hexdigest()}-{len(known)}"

    def assemble(
        self, upload: PartUpload, item: Item, parts: Mapping[int, StoredPart]
    ) -> StoredItem | None:
        """Complete the multipart upload; if it is gone, look whether that was done before."""
        # A store may be silent while it works; AWS sends white space.
        deadline.allow(len(parts) / _ASSEMBLED_PER_SECOND)
        is_complete = self._is_completed(self._multipart_upload(upload), parts)
        deadline.progress()
        key = self._key(upload.uuid, upload.identifier)
        stored = dict(self._s3.listing(key)).get(key)
        if not is_complete:
            return stored if stored and self._is_of(stored, item, parts) else None
        if stored is None:
            raise StorageUnavailable(
                f"The store of {self._s3.bucket}",
                "has not kept an item, although it said that it had assembled its parts",
                StorageUnavailable.PAUSE,
            )
        return stored

    def _is_completed(self, upload: MultipartUpload, parts: Mapping[int, StoredPart]) -> bool:
        try:
            return self._multipart.complete(upload, parts)
        except StorageAway:
            # Ceph answers 500 also if it does not know the upload.
            if self._multipart.parts(upload) is not None:
                raise
            return False

    def _is_of(self, stored: StoredItem, item: Item, parts: Mapping[int, StoredPart]) -> bool:
        """Return whether an object was made of these parts, as far as the store tells."""
        size = sum(part.size_in_bytes for part in parts.values())
        expected = self.assembled_md5(item, parts)
        if expected is None:
            return stored.size_in_bytes == size and stored.md5.endswith(f"-{len(parts)}")
        return (stored.size_in_bytes, stored.md5) == (size, expected)

    def describe(
        self, upload: PartUpload, item: Item, parts: Mapping[int, StoredPart]
    ) -> str | None:
        """Copy an object onto itself, part by part, with the user metadata that dtool reads.

        S3 takes metadata only before the first part, and copies at most 5 GiB at once. Copies of
        the same parts give the same ETag in AWS and Ceph, and another one in SeaweedFS.
        """
        key = self._key(upload.uuid, upload.identifier)
        metadata = item_metadata(item.relpath, item.hash or "")
        target = self._multipart.create(key, metadata)
        try:
            copied = self._copied(target, parts)
            deadline.allow(len(parts) / _ASSEMBLED_PER_SECOND)
            is_complete = self._multipart.complete(target, copied)
        except BaseException:
            self._multipart.abort(target)
            raise
        found = self._s3.find(key)
        if not is_complete or found is None or metadata.items() - found.metadata.items():
            raise StorageUnavailable(
                f"The store of {self._s3.bucket}",
                "has not kept the metadata of an item, although it said so",
                StorageUnavailable.PAUSE,
            )
        return None if self.assembled_md5(item, parts) is None else found.etag

    def _copied(
        self, target: MultipartUpload, parts: Mapping[int, StoredPart]
    ) -> dict[int, StoredPart]:
        """Copy the object at a key, divided as it was, into the parts of a multipart upload."""
        numbers = sorted(parts)
        ends = list(accumulate(parts[number].size_in_bytes for number in numbers))
        ranges = list(zip(numbers, [0, *ends], ends, strict=False))

        def copy(one: tuple[int, int, int]) -> StoredPart:
            number, start, end = one
            # As many are copied at a time.
            deadline.allow(PARALLEL * (end - start) / _COPIED_PER_SECOND)
            part = self._multipart.copy_part(target, number, start, end)
            deadline.progress()
            return part

        return dict(zip(numbers, each(copy, ranges), strict=True))

    def abort(self, upload: PartUpload) -> None:
        """Abort the multipart upload."""
        self._multipart.abort(self._multipart_upload(upload))

    def incomplete(
        self, before: datetime, failed: DatasetFailed = raise_failure
    ) -> Sequence[PartUpload]:
        """List multipart uploads to keys of items, one request per 1,000 in the bucket.

        For each UUID, two requests or three tell whether somebody may be writing it with dtool,
        which creates a proto-dataset before its items, and no claim.
        """
        found: dict[str, dict[PartUpload, str]] = defaultdict(dict)
        for upload in self._multipart.below(""):
            if upload.initiated is not None and upload.initiated < before:
                match = _ITEM_KEY.fullmatch(upload.key)
                if match is not None:
                    found[match[1]][PartUpload(match[1], match[2], upload.upload_id)] = upload.key
        abandoned: list[PartUpload] = []
        for uuid, keys in found.items():
            try:
                abandoned += self._abandoned(uuid, keys)
            except SignedURLError as error:
                failed(uuid, error)
        return abandoned

    def _abandoned(self, uuid: str, keys: Mapping[PartUpload, str]) -> Sequence[PartUpload]:
        if not self._may_abort(uuid):
            return []
        return [one for one, key in keys.items() if key == self._key(uuid, one.identifier)]

    def _may_abort(self, uuid: str) -> bool:
        found = self._prefixes.find(uuid)
        deadline.progress()
        is_frozen = found.dataset_type == "dataset"
        if is_frozen or not found.is_taken:
            return True
        return self._s3.get(found.layout.claim) is not None

    def _key(self, uuid: str, identifier: str) -> str:
        return self._prefixes.of(uuid).item(identifier)

    def _multipart_upload(self, upload: PartUpload) -> MultipartUpload:
        return MultipartUpload(self._key(upload.uuid, upload.identifier), upload.upload_id)
