"""Where dtool-azure keeps the parts of a dataset, and what it writes there.

Makes no request. Source: dtool_azure/storagebroker.py of dtool-azure 0.7.1 (MIT licence), whose
constants are repeated here, so that a server needs neither it nor the Azure SDK of its time; a test
compares them. A dataset's container is named by its UUID. Staged documents and the claim are this
plugin's own, in a container beside it that is deleted after completion: what an uploader may write
must not be taken for a part of the dataset, whatever metadata it has.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.storage.azure.values import METADATA_PREFIX
from dserver_signed_url_plugin.storage.manifest import FrozenDataset
from dserver_signed_url_plugin.storage.md5 import base64_md5, content_md5
from dserver_signed_url_plugin.storage.parts import PartUpload
from dserver_signed_url_plugin.storage.values import IDENTIFIER, Item, ProtoDataset

BLOBS = {
    "readme": "README.yml",
    "admin_metadata": "dtool",
    "manifest": "manifest.json",
    "structure": "structure.json",
}
# What structure.json says, of which nothing differs between datasets.
STRUCTURE = {
    "admin_metadata_key": BLOBS["admin_metadata"],
    "annotations_key_prefix": "annotations/",
    "dataset_readme_key": BLOBS["readme"],
    "dtool_readme_key": "README.txt",
    "fragments_key_prefix": "fragments/",
    "http_manifest_key": "http_manifest.json",
    "manifest_key": BLOBS["manifest"],
    "overlays_key_prefix": "overlays/",
    "storage_broker_version": "0.7.0",  # as dtool-azure 0.7.1 calls itself
    "structure_dict_key": BLOBS["structure"],
    "tags_key_prefix": "tags/",
}
README_TXT = """README
======
This is a Dtool dataset stored in Azure storage.

Content provided during the dataset creation process
----------------------------------------------------

Azure container named $UUID, where UUID is the unique identifier for the
dataset.

Dataset descriptive metadata: README.yml

Dataset items. The keys for these blobs are item identifiers. An item
identifier is the sha1sum hexdigest of the relative path used to represent the
file on traditional file system disk.

Administrative metadata describing the dataset is encoded as metadata on the
container.


Automatically generated blobs
-----------------------------

This file: README.txt
Structural metadata describing the dataset: structure.json
Structural metadata describing the data items: manifest.json
Per item descriptive metadata prefixed by: overlays/
Dataset key/value pairs metadata prefixed by: annotations/
Dataset tags metadata prefixed by: tags/
"""
CLAIM = "claim.json"
# dtool-azure cannot list beside its items what has no metadata at all.
DOCUMENT_METADATA = {"type": "document"}
# Staged documents are blobs of one block, which always has this name (Base64).
BLOCK = "document"

_UPLOAD = "-upload"
_PARTS = "parts"
_BLOCK_DIGITS = 5
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PLAIN = re.compile(r"[!-~]([ -~]*[!-~])?")


def upload_container(uuid: str) -> str:
    """Return the name of the container for what an upload needs beside its dataset."""
    return f"{uuid}{_UPLOAD}"


def uuid_of_upload(container: str) -> str | None:
    """Return the UUID of the dataset beside which a container is; None if it is another one."""
    uuid = container.removesuffix(_UPLOAD)
    return uuid if container != uuid and _UUID.fullmatch(uuid) else None


def staged_document(staging: str, document: str) -> str:
    """Return the blob in which a document waits for completion."""
    return f"{staging}/{BLOBS[document]}"


def block_id(block: str) -> str:
    """Return the name of a block as requests have it."""
    return base64.b64encode(block.encode()).decode()


def block_url(url: str, block: str = BLOCK) -> str:
    """Make of a blob's signed URL one to PUT a block of it, which no signature names.

    Unlike a blob a block is PUT without any header, and is not there until it is committed.
    """
    return f"{url}&comp=block&blockid={quote(block_id(block))}"


def part_blob(upload: PartUpload) -> str:
    """Return the blob whose blocks are the parts of an item.

    Its name is that of one upload of the item, so URLs of an earlier one do not reach it.
    """
    return f"{_PARTS}/{upload.identifier}/{upload.upload_id}"


def part_upload(uuid: str, blob: str) -> PartUpload | None:
    """Return whose parts a blob has; None if it is for something else."""
    kind, _, name = blob.partition("/")
    identifier, _, upload_id = name.partition("/")
    is_ours = kind == _PARTS and is_item(identifier) and upload_id.isalnum()
    return PartUpload(uuid, identifier, upload_id) if is_ours else None


def part_blob_url(account_url: str, uuid: str) -> str:
    """Return the URL below which the parts of a dataset's items are."""
    return f"{account_url}/{upload_container(uuid)}/{_PARTS}"


def part_block(number: int) -> str:
    """Return the name of a part's block; all names of one blob must have the same length."""
    return f"{number:0{_BLOCK_DIGITS}d}"


def part_numbers(blocks: Mapping[str, int]) -> dict[int, int]:
    """Return the bytes of parts by number, of blocks by name (Base64); others are left out."""
    named = ((base64.b64decode(name), size) for name, size in blocks.items())
    return {
        int(name): size for name, size in named if name.isdigit() and len(name) == _BLOCK_DIGITS
    }


def is_item(name: str) -> bool:
    """Return whether a blob is named as items are."""
    return IDENTIFIER.fullmatch(name) is not None


def created_texts(created: ProtoDataset) -> Iterator[tuple[str, str]]:
    """Yield (blob, text) of what `dtool create` would write, except admin metadata."""
    yield BLOBS["structure"], json.dumps(STRUCTURE, indent=2, sort_keys=True)
    yield STRUCTURE["dtool_readme_key"], README_TXT
    for tag in created.tags:
        yield f"tags/{tag}", ""
    for kind, texts in (("annotations", created.annotations), ("overlays", created.overlays)):
        for name, value in texts.items():
            yield f"{kind}/{name}.json", json.dumps(value, indent=2)


def frozen_texts(frozen: FrozenDataset) -> Iterator[tuple[str, str]]:
    """Yield (blob, text) of what makes it a dataset, in this order."""
    if frozen.readme is not None:
        yield BLOBS["readme"], frozen.readme
    yield BLOBS["manifest"], frozen.manifest.as_dtool_writes_it()
    yield BLOBS["admin_metadata"], json.dumps(frozen.admin_metadata)


def container_metadata(admin_metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the strings from which dtool-azure reads admin metadata."""
    return {name: str(value) for name, value in admin_metadata.items()}


def item_metadata(relpath: str) -> dict[str, str]:
    """Return the metadata by which dtool-azure knows an item.

    Metadata travels in headers: what is not printable ASCII is percent-encoded, whole.
    """
    return {
        "relpath": relpath if _PLAIN.fullmatch(relpath) else quote(relpath),
        "type": "item",
    }


def item_headers(item: Item) -> dict[str, str]:
    """Return the headers of a PUT; the store demands the first, and its key signs none of them.

    To a client that sends them the store refuses other bytes than announced, and to write over what
    another PUT has written while this one was on its way. Whoever leaves them out is found out by
    the listing at completion. Source: Microsoft, "Put Blob"; the store keeps an MD5 in any case.
    """
    headers = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"}
    if item.hash is not None:
        headers |= {**content_md5(item.hash), "x-ms-blob-content-md5": base64_md5(item.hash)}
    return headers | metadata_headers(item_metadata(item.relpath))


def metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that have a container's or a blob's metadata.

    Spaces around a value are no part of a header: they must not be signed.
    """
    return {f"{METADATA_PREFIX}{name.lower()}": value.strip() for name, value in metadata.items()}


def relpath_beside(identifier: str, metadata: Mapping[str, str]) -> str | None:
    """Return the relpath that an item's metadata has, or None if none can be read."""
    written = metadata.get("relpath", "")
    for relpath in (written, unquote(written)):
        if generate_identifier(relpath) == identifier:
            return relpath
    return None
