"""One storage account: the requests that this plugin sends to Azure, and what signs for it.

Raises StorageUnavailable, whatever the SDK raises; the absence of a blob is a result.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from azure.storage.blob import BlobBlock, ContentSettings, DeleteSnapshot, Include
from azure.storage.common._http import HTTPRequest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.azure.account import ConfiguredAccount
from dserver_signed_url_plugin.storage.azure.errors import AzureErrorTranslator, AzureRefusal
from dserver_signed_url_plugin.storage.azure.layout import BLOBS, base64_md5, part_blob_url
from dserver_signed_url_plugin.storage.azure.listing import block_sizes, page
from dserver_signed_url_plugin.storage.azure.sas import BlobSigner
from dserver_signed_url_plugin.storage.azure.service import make_service
from dserver_signed_url_plugin.storage.azure.values import FoundContainer, ListedBlob
from dserver_signed_url_plugin.storage.documents import type_in
from dserver_signed_url_plugin.storage.values import FoundObject

_ABSENT = frozenset({"BlobNotFound", "ContainerNotFound", "ResourceNotFound"})
_PRESENT = frozenset({"BlobAlreadyExists", "ContainerAlreadyExists"})
_CHANGED = frozenset({"ConditionNotMet"})
# A client that has taken a lease keeps every other one, also the server, from writing.
_LEASED = frozenset({"LeaseIdMissing"})
_NOT_BLOCKS = frozenset({"InvalidBlobType"})
_NO_BLOCK = _LEASED | _NOT_BLOCKS | {"InvalidBlockList"}
_NOT_COPIED = frozenset({"SourceConditionNotMet", "PendingCopyOperation"})
_ARCHIVE = "Archive"
_EMPTY = frozenset({"InvalidRange"})
_MOST_PAGES = 1_000


class AzureConnection:
    """The requests of one account, over kept connections; safe to share between threads.

    ``endpoint`` is the account's URL for clients, ``inside`` the one for the server.

    :raises StorageUnavailable: if dtool's settings have no usable key or endpoint.
    """

    def __init__(self, account: str, settings: Settings) -> None:
        configured = ConfiguredAccount.find(account, settings)
        self.account = account
        self.inside, self.endpoint = configured.inside, configured.outside
        self._key = base64.b64decode(configured.key)
        self._errors = self._make_errors()
        self._service = make_service(configured)

    def signer(self, ends: datetime) -> BlobSigner:
        """Return what signs URLs that work until then (UTC, whole seconds)."""
        return BlobSigner(self.endpoint, self.account, self._key, ends)

    def _make_errors(self) -> AzureErrorTranslator:
        return AzureErrorTranslator(self.account)

    # Containers ----------------------------------------------------------------------------

    def container(self, container: str) -> FoundContainer | None:
        """Return a container, or None if there is none."""
        with suppress(AzureRefusal), self._errors.translated("looking up", _ABSENT):
            found = self._service.get_container_properties(container)
            return FoundContainer(dict(found.metadata), found.properties.last_modified)
        return None

    def dataset_type(self, container: str, found: FoundContainer | None) -> str | None:
        """Return dtool's type of what is in a container, as its metadata or else a blob has it."""
        if found is None:
            return None
        return found.dataset_type or type_in(self.get(container, BLOBS["admin_metadata"]))

    def create_container(self, container: str, metadata: Mapping[str, str] | None = None) -> None:
        """Create a container with its metadata, unless there is one already."""
        with suppress(AzureRefusal), self._errors.translated("creating", _PRESENT):
            self._service.create_container(container, dict(metadata or {}), fail_on_exist=True)

    def set_container_metadata(self, container: str, metadata: Mapping[str, str]) -> None:
        """Replace a container's metadata."""
        with self._errors.translated("writing"):
            self._service.set_container_metadata(container, dict(metadata))

    def delete_container(self, container: str, unmodified_since: datetime | None = None) -> bool:
        """Delete a container with all that is in it, if there is one.

        :param unmodified_since: keep it, and return False, if its metadata were written since.
        """
        try:
            with self._errors.translated("deleting", _ABSENT | _CHANGED):
                self._service.delete_container(
                    container, fail_not_exist=True, if_unmodified_since=unmodified_since
                )
        except AzureRefusal as answer:
            return answer.code not in _CHANGED
        if self.container(container) is not None:
            raise self._errors.unexpected("deleting", "still there")
        return True

    def containers(self) -> Iterator[str]:
        """Yield the names of all containers, at one request per 5,000."""
        with self._errors.translated("listing containers"):
            for container in self._service.list_containers():
                yield container.name

    def listing(self, container: str, prefix: str | None = None) -> Iterator[ListedBlob]:
        """Yield blobs of a container, if there is one, at one request per 5,000."""
        marker = None
        include = Include(metadata=True, copy=True)
        parse = partial(_page, part_blob_url(self.inside, container))
        with suppress(AzureRefusal), self._errors.translated("listing", _ABSENT):
            for _ in range(_MOST_PAGES):
                # Private, but the only way to parse the answer here; the SDK is pinned.
                found = self._service._list_blobs(
                    container, prefix, marker, include=include, _converter=parse
                )
                yield from found.blobs
                before, marker = marker, found.next_marker
                if marker is None:
                    return
                if marker == before:
                    break
                deadline.progress()
            raise self._errors.unexpected("listing", "a listing without an end")

    # Blobs ---------------------------------------------------------------------------------

    def get(self, container: str, blob: str, limit: int | None = None) -> bytes | None:
        """Return a blob, or at most its first limit + 1 bytes, or None if there is none."""
        return self.get_with_etag(container, blob, limit)[0]

    def get_with_etag(
        self, container: str, blob: str, limit: int | None = None
    ) -> tuple[bytes | None, str]:
        """Return what get() does, and the blob's ETag, which is empty without content."""
        part = {} if limit is None else {"start_range": 0, "end_range": limit}
        try:
            with self._errors.translated("reading", _ABSENT | _EMPTY):
                found = self._service.get_blob_to_bytes(container, blob, **part)
                return found.content, found.properties.etag
        except AzureRefusal as answer:
            return b"" if answer.code in _EMPTY else None, ""
        except TypeError as error:
            # The SDK relies on a Content-Range or Content-Length in the answer.
            raise self._errors.unavailable("reading", "no blob's headers") from error

    def find(self, container: str, blob: str) -> FoundObject | None:
        """Return a blob's metadata, or None if there is none."""
        with suppress(AzureRefusal), self._errors.translated("looking up", _ABSENT):
            found = self._service.get_blob_properties(container, blob)
            properties = found.properties
            # The SDK has no such attribute if the store does not send the header.
            is_being_restored = getattr(properties, "rehydration_status", None) is not None
            return FoundObject(
                dict(found.metadata),
                properties.etag,
                properties.blob_tier == _ARCHIVE,
                is_being_restored,
            )
        return None

    def holds(self, container: str, blob: str, text: str) -> bool:
        """Tell whether a blob is there and is this text."""
        return self.get(container, blob) == text.encode()

    def set_metadata(self, container: str, blob: str, metadata: Mapping[str, str]) -> None:
        """Replace a blob's metadata."""
        with self._errors.translated("writing"):
            self._service.set_blob_metadata(container, blob, dict(metadata))

    def create(self, container: str, blob: str, text: str, metadata: Mapping[str, str]) -> bool:
        """Write one blob, as UTF-8; False, and nothing written, if there is one already."""
        with suppress(AzureRefusal), self._errors.translated("writing", _PRESENT):
            self._put(container, blob, text, metadata, if_none_match="*")
            return True
        return False

    def replace(
        self, container: str, blob: ListedBlob, text: str, metadata: Mapping[str, str]
    ) -> bool:
        """Write over one blob; False, and nothing written, if it no longer is as it was listed."""
        with suppress(AzureRefusal), self._errors.translated("writing", _CHANGED):
            self._put(container, blob.name, text, metadata, if_match=_quoted(blob))
            return True
        return False

    def commit(self, container: str, blob: str, block: str) -> str | None:
        """Make a blob of the latest block of that name: its ETag, or None if none was PUT."""
        return self._commit(container, blob, [block])

    def assemble(
        self,
        container: str,
        blob: ListedBlob,
        blocks: Sequence[str],
        metadata: Mapping[str, str],
        md5: str | None,
    ) -> str | None:
        """Make a blob of the latest blocks of these names, if it still is as it was listed.

        :param md5: what the store is to say of the blob (32 hex digits); it does not compute it.
        :return: the blob's ETag; None if it has changed, or one of the blocks was not PUT.
        """
        settings = ContentSettings(content_md5=None if md5 is None else base64_md5(md5))
        return self._commit(
            container, blob.name, blocks, settings, dict(metadata), if_match=_quoted(blob)
        )

    def _commit(
        self, container: str, blob: str, blocks: Sequence[str], *settings: Any, **condition: Any
    ) -> str | None:
        answers = _ABSENT | _NO_BLOCK | _CHANGED
        with suppress(AzureRefusal), self._errors.translated("committing", answers):
            listed = [BlobBlock(id=name) for name in blocks]
            written = self._service.put_block_list(container, blob, listed, *settings, **condition)
            return str(written.etag)
        return None

    def blocks(self, container: str, blob: str) -> dict[str, int] | None:
        """Return the bytes of a blob's latest blocks, by name (Base64); None if it has none."""
        request = HTTPRequest()
        request.method, request.path = "GET", f"/{container}/{blob}"
        request.host_locations = self._service._get_host_locations()
        request.query = {"comp": "blocklist", "blocklisttype": "all"}
        with suppress(AzureRefusal), self._errors.translated("listing", _ABSENT | _NOT_BLOCKS):
            # Private, but the SDK's own parser fails on names that clients may choose.
            return self._service._perform_request(request, _blocks)  # type: ignore[no-any-return]
        return None

    def copy(self, container: str, blob: str, source: str, etag: str) -> None:
        """Begin to copy a blob to where there is none; nothing if the store refuses.

        :param source: the URL of a blob of this account.
        :param etag: of the version to copy.
        """
        answers = _ABSENT | _PRESENT | _CHANGED | _NOT_COPIED
        with suppress(AzureRefusal), self._errors.translated("copying", answers):
            self._service.copy_blob(
                container,
                blob,
                source,
                source_if_match=etag,
                destination_if_none_match="*",
            )

    def delete(self, container: str, blob: ListedBlob) -> None:
        """Delete a blob and its snapshots, if it still is as it was listed."""
        try:
            self._delete(container, blob)
        except AzureRefusal as answer:
            if answer.code in _LEASED:
                with self._errors.translated("ending a lease"):
                    self._service.break_blob_lease(container, blob.name, lease_break_period=0)
                with suppress(AzureRefusal):
                    self._delete(container, blob)

    def _delete(self, container: str, blob: ListedBlob) -> None:
        with self._errors.translated("deleting", _ABSENT | _CHANGED | _LEASED):
            self._service.delete_blob(
                container,
                blob.name,
                delete_snapshots=DeleteSnapshot.Include,
                if_match=_quoted(blob),
            )

    def _put(
        self, container: str, blob: str, text: str, metadata: Mapping[str, str], **condition: Any
    ) -> None:
        self._service.create_blob_from_text(
            container, blob, text, metadata=dict(metadata), **condition
        )


def md5_of(text: str) -> str:
    """Return the MD5 (32 hex digits) that a store has of a text."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _blocks(answer: Any) -> dict[str, int]:
    return block_sizes(answer.body)


def _quoted(blob: ListedBlob) -> str:
    """Return a blob's ETag with quotes, as in headers."""
    return f'"{blob.etag}"'


def _page(parts_url: str, answer: Any) -> Any:
    return page(answer.body, parts_url)
