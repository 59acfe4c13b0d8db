"""What Azure says of blobs when it lists them.

Knows the document; makes no request. The SDK takes five times as long to read the same, most of it
for dates.

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
    """A blob's name and metadata, what else the store says of it, and the version it speaks of."""

    name: str
    etag: str
    metadata: Mapping[str, str]
    stored: StoredItem

    @property
    def is_folder(self) -> bool:
        """Tell whether it is none of dtool's, but what tools show as a folder.

        Source: Microsoft, "Azure Data Lake Storage: known issues with Blob Storage APIs".
        """
        marks = {name.lower(): value.lower() for name, value in self.metadata.items()}
        is_empty = self.stored.size_in_bytes == 0
        return is_empty and (self.name.endswith("/") or marks.get("hdi_isfolder") == "true")


@dataclass(frozen=True)
class BlobPage:
    """Some of a container's blobs, and where the next page begins, if there is one."""

    blobs: Sequence[ListedBlob]
    next_marker: str | None


def page(document: bytes) -> BlobPage:
    """Read one answer to List Blobs.

    :raises ValueError: for another document, and for what such an answer cannot hold.
    """
    # The store itself wrote it, over a connection that only the server's key opens.
    root = ElementTree.fromstring(document)  # noqa: S314
    if root.tag != "EnumerationResults":
        raise ValueError("no EnumerationResults")
    blobs = [_blob(element) for element in root.iterfind("Blobs/Blob")]
    return BlobPage(blobs, root.findtext("NextMarker") or None)


def _blob(element: ElementTree.Element) -> ListedBlob:
    metadata = {entry.tag: entry.text or "" for entry in element.iterfind("Metadata/*")}
    said = {entry.tag: entry.text or "" for entry in element.iterfind("Properties/*")}
    stored = StoredItem(
        size_in_bytes=int(said["Content-Length"]),
        md5=base64.b64decode(said.get("Content-MD5", "")).hex(),
        last_modified=parsedate_to_datetime(said["Last-Modified"]),
        defect=_defect(said),
    )
    return ListedBlob(element.findtext("Name", ""), said["Etag"], metadata, stored)


def _defect(said: Mapping[str, str]) -> str | None:
    """Say why a blob cannot be an item: its bytes were not sent, can change, or are not read."""
    if said["BlobType"] != "BlockBlob":
        return f"not a block blob but {said['BlobType']}"
    if said.get("CopyId"):
        return "copied by the store, not sent"
    if said.get("AccessTier") == "Archive":
        return "archived"
    if said.get("CustomerProvidedKeySha256"):
        return "encrypted with a key that the server does not have"
    if said.get("Content-Encoding"):
        return "with a Content-Encoding, which readers would undo"
    if not said.get("Content-MD5"):
        return "without an MD5"
    return None
