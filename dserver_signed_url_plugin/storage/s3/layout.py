"""Where dtool-s3 keeps the parts of a dataset, and what it writes there.

Makes no request. Source: dtool_s3.storagebroker of dtool-s3 0.14.
Staged objects and the claim are this plugin's own, below ``upload/``, and gone after completion.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import quote

import dtool_s3
from dtool_s3.storagebroker import S3StorageBroker
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.filenames import Disposition, served_as
from dserver_signed_url_plugin.storage.manifest import FrozenDataset
from dserver_signed_url_plugin.storage.md5 import content_md5
from dserver_signed_url_plugin.storage.values import Item, ProtoDataset, StoredItem

_DOCUMENTS = {
    "readme": "README.yml",
    "admin_metadata": "dtool",
    "manifest": "manifest.json",
    "structure": "structure.json",
}
_LONGEST_KEY = 1024  # bytes
_UUID_ABOVE = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/")


def registration_key(uuid: str) -> str:
    """Return the key at the bucket's top whose content is the prefix of the dataset's keys."""
    return f"dtool-{uuid}"


def prefix_in(registered: bytes, uuid: str) -> str:
    """Return what a registration key holds.

    :raises StorageUnavailable: if it cannot be the start of a key.
    """
    prefix = registered.decode("utf-8", "replace")
    if len(registered) > _LONGEST_KEY or not prefix.isprintable() or "\ufffd" in prefix:
        raise StorageUnavailable(
            "Storage", f"holds a registration key of dataset {uuid} that cannot be read"
        )
    return prefix


def is_folder(key: str, stored: StoredItem) -> bool:
    """Return whether an object only stands for a folder in a console."""
    return key.endswith("/") and stored.size_in_bytes == 0


def uuids_in(key: str) -> list[str]:
    """Return the UUIDs that are folders above a key."""
    return _UUID_ABOVE.findall(key)


@dataclass(frozen=True)
class Layout:
    """The keys of one dataset."""

    prefix: str
    uuid: str

    @cached_property
    def root(self) -> str:
        return f"{self.prefix}{self.uuid}/"

    @cached_property
    def items(self) -> str:
        return f"{self.root}data/"

    @property
    def uploads(self) -> str:
        return f"{self.root}upload/"

    @property
    def claim(self) -> str:
        return f"{self.uploads}claim.json"

    def item(self, identifier: str) -> str:
        return self.items + identifier

    def document(self, name: str) -> str:
        return self.root + _DOCUMENTS[name]

    def folder(self, name: str) -> str:
        """Return the prefix of overlays, annotations or tags."""
        return f"{self.root}{name}/"

    def staged_document(self, staging: str, name: str) -> str:
        return f"{self.uploads}{staging}/{_DOCUMENTS[name]}"

    def staged_items(self, staging: str) -> str:
        return f"{self.uploads}{staging}/data/"

    def admin_metadata(self, values: Mapping[str, Any]) -> tuple[str, str, dict[str, str]]:
        """Return (key, text, user metadata): dtool-s3 reads strings out of the latter."""
        strings = {name: str(value) for name, value in values.items()}
        return self.document("admin_metadata"), json.dumps(values), strings

    def frozen_texts(self, frozen: FrozenDataset) -> Iterator[tuple[str, str, Mapping[str, str]]]:
        """Yield (key, text, user metadata) of what makes it a dataset, in this order."""
        if frozen.readme is not None:
            yield self.document("readme"), frozen.readme, {}
        yield self.document("manifest"), frozen.manifest.as_dtool_writes_it(), {}
        yield self.admin_metadata(frozen.admin_metadata)

    def created_texts(self, created: ProtoDataset) -> Iterator[tuple[str, str]]:
        """Yield (key, text) of what `dtool create` would write, except admin metadata."""
        yield registration_key(self.uuid), self.prefix
        structure = json.dumps(_structure(self.uuid), indent=2, sort_keys=True)
        yield self.document("structure"), structure
        yield f"{self.root}README.txt", S3StorageBroker._dtool_readme_txt
        for tag in created.tags:
            yield self.folder("tags") + tag, ""
        for kind, texts in (("annotations", created.annotations), ("overlays", created.overlays)):
            for name, value in texts.items():
                yield f"{self.folder(kind)}{name}.json", json.dumps(value, indent=2)


def pinned_headers(item: Item) -> dict[str, str]:
    """Return the headers that pin a PUT to the announced bytes and dtool's object metadata."""
    md5 = item.hash or ""
    metadata = item_metadata(item.relpath, md5)
    return {
        **content_md5(md5),
        "x-amz-meta-handle": metadata["handle"],
        "x-amz-meta-checksum": metadata["checksum"],
    }


def part_parameters(number: int, upload_id: str) -> dict[str, str]:
    """Return the parameters of the PUT of a part.

    Source: AWS, "UploadPart".
    """
    return {"partNumber": str(number), "uploadId": upload_id}


def item_metadata(relpath: str, md5: str) -> dict[str, str]:
    """Return the user metadata without which dtool-s3 cannot read an item."""
    return {"handle": base64.b64encode(relpath.encode()).decode(), "checksum": md5}


def relpath_beside(identifier: str, metadata: Mapping[str, str]) -> str | None:
    """Return the relpath that an item's user metadata has, or None if none can be read."""
    handle = metadata.get("handle", "")
    with suppress(ValueError):
        relpath = base64.b64decode(handle).decode()
        if generate_identifier(relpath) == identifier:
            return relpath
    # Before 0.14, dtool-s3 wrote the relpath as it was.
    return handle if generate_identifier(handle) == identifier else None


def served(relpath: str, disposition: Disposition) -> str:
    """Return the query that makes S3 serve an item under its name, as the bytes that it has.

    Source: AWS, "GetObject", section "Overriding response header values through the request".
    """
    headers = served_as(relpath, disposition)
    return (
        f"response-content-disposition={headers.quoted_content_disposition}"
        # No PUT signs its Content-Encoding, by which clients would decode verified bytes to others.
        "&response-content-encoding=identity"
        f"&response-content-type={_quoted(headers.content_type)}"
    )


# There are few content types.
@lru_cache(maxsize=256)
def _quoted(value: str) -> str:
    return quote(value, safe="")


def _structure(uuid: str) -> dict[str, str]:
    # Repeated here because dtool-s3's own dict is shared by all of its brokers, and another thread
    # may be writing its dataset into it.
    return {
        "dataset_registration_key": registration_key(uuid),
        "data_key_infix": "data",
        "fragment_key_infix": "fragments",
        "overlays_key_infix": "overlays",
        "annotations_key_infix": "annotations",
        "tags_key_infix": "tags",
        "structure_key_suffix": "structure.json",
        "dtool_readme_key_suffix": "README.txt",
        "dataset_readme_key_suffix": "README.yml",
        "manifest_key_suffix": "manifest.json",
        "admin_metadata_key_suffix": "dtool",
        "http_manifest_key": "http_manifest.json",
        "storage_broker_version": dtool_s3.__version__,
    }
