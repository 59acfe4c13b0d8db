"""Parses the responses of List Blobs.

The SDK takes five times as long, most of it for dates.

Source: Microsoft, "List Blobs", https://learn.microsoft.com/rest/api/storageservices/list-blobs
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree

from dserver_signed_url_plugin.storage.values import StoredItem


@dataclass(frozen=True)
class ListedBlob:
    """A blob of a listing; ``etag`` identifies its version."""

    name: str
    etag: str
    metadata: Mapping[str, str]
    stored: StoredItem

    @property
    def is_folder(self) -> bool:
        """Whether the blob is a placeholder that other tools create for a folder.

        Source: Microsoft, "Azure Data Lake Storage: known issues with Blob Storage APIs".
        """
        metadata = {name.lower(): value.lower() for name, value in self.metadata.items()}
        is_empty = self.stored.size_in_bytes == 0
        return is_empty and (self.name.endswith("/") or metadata.get("hdi_isfolder") == "true")


@dataclass(frozen=True)
class BlobPage:
    """A page of a listing; ``next_marker`` is None on the last page."""

    blobs: Sequence[ListedBlob]
    next_marker: str | None


def page(document: bytes) -> BlobPage:
    """Parse a response of List Blobs.

    :raises ValueError: if it is another document, or a value is invalid.
    """
    # The document comes from the store, which is trusted.
    root = ElementTree.fromstring(document)  # noqa: S314
    if root.tag != "EnumerationResults":
        raise ValueError("no EnumerationResults")
    blobs = [_blob(element) for element in root.iterfind("Blobs/Blob")]
    return BlobPage(blobs, root.findtext("NextMarker") or None)


def _blob(element: ElementTree.Element) -> ListedBlob:
    metadata = {entry.tag: entry.text or "" for entry in element.iterfind("Metadata/*")}
    properties = {entry.tag: entry.text or "" for entry in element.iterfind("Properties/*")}
    stored = StoredItem(
        size_in_bytes=int(properties["Content-Length"]),
        md5=base64.b64decode(properties.get("Content-MD5", "")).hex(),
        last_modified=parsedate_to_datetime(properties["Last-Modified"]),
        defect=_defect(properties),
    )
    return ListedBlob(element.findtext("Name", ""), properties["Etag"], metadata, stored)


def _defect(properties: Mapping[str, str]) -> str | None:
    """Return why a blob cannot be an item, or None: not sent as such, unreadable, unverifiable."""
    if properties["BlobType"] != "BlockBlob":
        return f"not a block blob but {properties['BlobType']}"
    if properties.get("CopyId"):
        return "copied by the store, not sent"
    if properties.get("AccessTier") == "Archive":
        return "archived"
    if properties.get("CustomerProvidedKeySha256"):
        return "encrypted with a key that the server does not have"
    if properties.get("Content-Encoding"):
        return "with a Content-Encoding, which readers would undo"
    if not properties.get("Content-MD5"):
        return "without an MD5"
    return None
