"""Parses the lists that Azure responds with: containers, blobs and blocks.

Source: Microsoft, "List Containers", "List Blobs" and "Get Block List",
https://learn.microsoft.com/rest/api/storageservices/list-blobs
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from dserver_signed_url_plugin.storage.azure.values import ListedBlob, ListedContainer, Page
from dserver_signed_url_plugin.storage.azure.xml_documents import parsed
from dserver_signed_url_plugin.storage.values import StoredItem


def container_page(document: bytes) -> Page[ListedContainer]:
    """Parse a response of List Containers.

    :raises ValueError: if it is another document.
    """
    root = parsed(document, "EnumerationResults")
    containers = [
        ListedContainer(
            element.findtext("Name", ""), bool(element.findtext("Properties/PublicAccess"))
        )
        for element in root.iterfind("Containers/Container")
    ]
    return Page(containers, root.findtext("NextMarker") or None)


def blob_page(document: bytes, parts_url: str) -> Page[ListedBlob]:
    """Parse a response of List Blobs.

    :param parts_url: the URL below which the parts of the container's items are.
    :raises ValueError: if it is another document, or a value is invalid.
    """
    root = parsed(document, "EnumerationResults")
    blobs = [_blob(element, parts_url) for element in root.iterfind("Blobs/Blob")]
    return Page(blobs, root.findtext("NextMarker") or None)


def block_sizes(document: bytes) -> dict[str, int]:
    """Parse a response of Get Block List: the bytes of the latest block of each name (Base64).

    :raises ValueError: if it is another document, or a value is invalid.
    """
    root = parsed(document, "BlockList")
    return {
        block.findtext("Name", ""): int(block.findtext("Size", ""))
        for kind in ("CommittedBlocks", "UncommittedBlocks")
        for block in root.iterfind(f"{kind}/Block")
    }


def _blob(element: Element, parts_url: str) -> ListedBlob:
    name = _name(element)
    metadata = {entry.tag: entry.text or "" for entry in element.iterfind("Metadata/*")}
    properties = {entry.tag: entry.text or "" for entry in element.iterfind("Properties/*")}
    is_copy, assembly = bool(properties.get("CopyId")), _assembly(name, properties, parts_url)
    stored = StoredItem(
        size_in_bytes=int(properties["Content-Length"]),
        md5=base64.b64decode(properties.get("Content-MD5", "")).hex(),
        last_modified=parsedate_to_datetime(properties["Last-Modified"]),
        defect=_defect(properties, is_copy=is_copy and assembly is None),
        in_parts=assembly is not None,
    )
    return ListedBlob(name, properties["Etag"], metadata, stored, is_copy, assembly)


def _name(element: Element) -> str:
    """Return the name of a blob; with characters that XML cannot hold, it is percent-encoded."""
    named = element.find("Name")
    if named is None or not named.text:
        raise ValueError("a blob without a name")
    return unquote(named.text) if named.get("Encoded") == "true" else named.text


def _assembly(name: str, properties: Mapping[str, str], parts_url: str) -> str | None:
    """Return the status of the copy if the blob was copied from the parts of this item.

    Nobody but the server can copy from there: it takes permission to read, which no URL of an
    upload has. A client's URL may copy from anywhere else.
    """
    before, _, upload_id = properties.get("CopySource", "").rpartition("/")
    is_ours = before == f"{parts_url}/{name}" and upload_id.isalnum()
    return properties.get("CopyStatus", "") if is_ours else None


def _defect(properties: Mapping[str, str], *, is_copy: bool) -> str | None:
    """Return why a blob cannot be an item, or None: not sent as such, unreadable, unverifiable."""
    if properties["BlobType"] != "BlockBlob":
        return f"not a block blob but {properties['BlobType']}"
    if is_copy:
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
