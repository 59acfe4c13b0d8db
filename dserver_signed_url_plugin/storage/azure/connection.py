"""One storage account: the requests that this plugin sends to Azure.

Raises StorageUnavailable if the store does not do what it is asked; the absence of a blob is a
result.

Source: Microsoft, "Blob Storage REST API", one page for each operation,
https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from dserver_signed_url_plugin.storage.azure.containers import (
    ABSENT,
    CHANGED,
    PRESENT,
    AccountContainers,
)
from dserver_signed_url_plugin.storage.azure.layout import BLOBS, block_id, metadata_headers
from dserver_signed_url_plugin.storage.azure.listing import block_sizes
from dserver_signed_url_plugin.storage.azure.service import BLOB_BYTES, FROM_FIRST, AzureRefusal
from dserver_signed_url_plugin.storage.azure.values import FoundContainer, ListedBlob
from dserver_signed_url_plugin.storage.azure.xml_documents import written
from dserver_signed_url_plugin.storage.documents import type_in
from dserver_signed_url_plugin.storage.md5 import base64_md5
from dserver_signed_url_plugin.storage.values import FoundObject

# A client that has taken a lease keeps every other one, also the server, from writing.
_LEASED = frozenset({"LeaseIdMissing"})
_NOT_BLOCKS = frozenset({"InvalidBlobType"})
_NO_BLOCK = _LEASED | _NOT_BLOCKS | {"InvalidBlockList"}
_NOT_COPIED = frozenset({"SourceConditionNotMet", "PendingCopyOperation"})
_ARCHIVE = "Archive"
_EMPTY = frozenset({"InvalidRange"})


class AzureConnection(AccountContainers):
    """The requests of one account, over kept connections; safe to share between threads.

    See AccountContainers for what it is made of, and may raise.
    """

    def dataset_type(self, container: str, found: FoundContainer | None) -> str | None:
        """Return dtool's type of what is in a container, as its metadata or else a blob has it."""
        if found is None:
            return None
        return found.dataset_type or type_in(self.get(container, BLOBS["admin_metadata"]))

    def get(self, container: str, blob: str, limit: int | None = None) -> bytes | None:
        """Return a blob, or at most its first limit + 1 bytes, or None if there is none."""
        return self.get_with_etag(container, blob, limit)[0]

    def get_with_etag(
        self, container: str, blob: str, limit: int | None = None
    ) -> tuple[bytes | None, str]:
        """Return what get() does, and the blob's ETag, which is empty without content."""
        part = {} if limit is None else {"x-ms-range": f"{FROM_FIRST}{limit}"}
        most = BLOB_BYTES if limit is None else limit + 1
        try:
            with self._errors.translated("reading", ABSENT | _EMPTY):
                found = self._service.send(
                    "GET",
                    f"{container}/{blob}",
                    headers=part,
                    limit=most,
                    truncate=limit is not None,
                )
                return found.body, found.headers["etag"]
        except AzureRefusal as answer:
            return b"" if answer.code in _EMPTY else None, ""

    def find(self, container: str, blob: str) -> FoundObject | None:
        """Return a blob's metadata, or None if there is none."""
        with suppress(AzureRefusal), self._errors.translated("looking up", ABSENT):
            found = self._service.send("HEAD", f"{container}/{blob}")
            return FoundObject(
                found.metadata,
                found.headers["etag"],
                found.headers.get("x-ms-access-tier") == _ARCHIVE,
                "x-ms-archive-status" in found.headers,
            )
        return None

    def holds(self, container: str, blob: str, text: str) -> bool:
        """Return whether a blob is there and is this text."""
        return self.get(container, blob) == text.encode()

    def set_metadata(self, container: str, blob: str, metadata: Mapping[str, str]) -> None:
        """Replace a blob's metadata."""
        path, query = f"{container}/{blob}", {"comp": "metadata"}
        with self._errors.translated("writing"):
            self._service.send("PUT", path, query, metadata_headers(metadata), status=200)

    def create(self, container: str, blob: str, text: str, metadata: Mapping[str, str]) -> bool:
        """Write one blob, as UTF-8; False, and nothing written, if there is one already."""
        with suppress(AzureRefusal), self._errors.translated("writing", PRESENT):
            self._put(container, blob, text, metadata, {"if-none-match": "*"})
            return True
        return False

    def replace(
        self, container: str, blob: ListedBlob, text: str, metadata: Mapping[str, str]
    ) -> bool:
        """Write over one blob; False, and nothing written, if it no longer is as it was listed."""
        with suppress(AzureRefusal), self._errors.translated("writing", CHANGED):
            self._put(container, blob.name, text, metadata, _unchanged(blob))
            return True
        return False

    def commit(self, container: str, blob: str, block: str) -> str | None:
        """Make a blob of the latest block of that name: its ETag, or None if none was PUT."""
        return self._commit(container, blob, [block], {})

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
        headers = {**metadata_headers(metadata), **_unchanged(blob)}
        if md5 is not None:
            headers["x-ms-blob-content-md5"] = base64_md5(md5)
        return self._commit(container, blob.name, blocks, headers)

    def _commit(
        self, container: str, blob: str, blocks: Sequence[str], headers: Mapping[str, str]
    ) -> str | None:
        answers = ABSENT | _NO_BLOCK | CHANGED
        body = written("BlockList", [("Latest", block_id(name)) for name in blocks])
        with suppress(AzureRefusal), self._errors.translated("committing", answers):
            return self._service.send(
                "PUT", f"{container}/{blob}", {"comp": "blocklist"}, headers, body
            ).headers["etag"]
        return None

    def blocks(self, container: str, blob: str) -> dict[str, int] | None:
        """Return the bytes of a blob's latest blocks, by name (Base64); None if it has none."""
        query = {"comp": "blocklist", "blocklisttype": "all"}
        with suppress(AzureRefusal), self._errors.translated("listing", ABSENT | _NOT_BLOCKS):
            return block_sizes(self._service.send("GET", f"{container}/{blob}", query).body)
        return None

    def copy(self, container: str, blob: str, source: str, etag: str) -> None:
        """Begin to copy a blob to where there is none; nothing if the store refuses.

        :param source: the URL of a blob of this account.
        :param etag: of the version to copy.
        """
        answers = ABSENT | PRESENT | CHANGED | _NOT_COPIED
        headers = {
            "x-ms-copy-source": source,
            "x-ms-source-if-match": etag,
            "if-none-match": "*",
        }
        with suppress(AzureRefusal), self._errors.translated("copying", answers):
            self._service.send("PUT", f"{container}/{blob}", headers=headers, status=202)

    def delete(self, container: str, blob: ListedBlob) -> None:
        """Delete a blob and its snapshots, if it still is as it was listed."""
        try:
            self._delete(container, blob)
        except AzureRefusal as answer:
            if answer.code in _LEASED:
                self._break_lease(container, blob.name)
                with suppress(AzureRefusal):
                    self._delete(container, blob)

    def _delete(self, container: str, blob: ListedBlob) -> None:
        headers = {"x-ms-delete-snapshots": "include", **_unchanged(blob)}
        with self._errors.translated("deleting", ABSENT | CHANGED | _LEASED):
            self._service.send("DELETE", f"{container}/{blob.name}", headers=headers)

    def _break_lease(self, container: str, blob: str) -> None:
        headers = {"x-ms-lease-action": "break", "x-ms-lease-break-period": "0"}
        with self._errors.translated("ending a lease"):
            self._service.send("PUT", f"{container}/{blob}", {"comp": "lease"}, headers, status=202)

    def _put(
        self,
        container: str,
        blob: str,
        text: str,
        metadata: Mapping[str, str],
        condition: Mapping[str, str],
    ) -> None:
        headers = {"x-ms-blob-type": "BlockBlob", **metadata_headers(metadata), **condition}
        self._service.send("PUT", f"{container}/{blob}", headers=headers, body=text.encode())


def _unchanged(blob: ListedBlob) -> dict[str, str]:
    """Return the header that demands that a blob is as it was listed; its ETag has quotes there."""
    return {"if-match": f'"{blob.etag}"'}
