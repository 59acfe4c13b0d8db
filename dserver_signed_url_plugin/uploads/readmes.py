"""The README of an upload: staged by the client, or stored already; the text that dserver keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.storage.manifest import FrozenDataset, Manifest
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.uploads.models import PendingUpload

# dserver keeps the README in its database; people write it by hand.
MAX_README_BYTES = 4 * 1024 * 1024


def staged_readme(upload: PendingUpload, storage: Storage) -> str | None:
    """Return the README that the client has uploaded, or None.

    :raises InvalidField: if it is not UTF-8, or too large.
    """
    content = storage.uploads.staged_document(
        upload.uuid, upload.staging, "readme", MAX_README_BYTES
    )
    return None if content is None else _decoded(content)


def stored_readme(upload: PendingUpload, storage: Storage) -> str | None:
    """Return the README that the proto-dataset has already, from an earlier attempt or by hand.

    :raises InvalidField: if it is not UTF-8, or too large.
    """
    content = storage.uploads.readme(upload.uuid, MAX_README_BYTES)
    return None if content is None else _decoded(content)


def frozen_readme(
    upload: PendingUpload, storage: Storage, manifest: Manifest, admin_metadata: Mapping[str, Any]
) -> str | None:
    """Return the README of what was frozen before; None if it must be frozen again.

    The store may have lost something since, or never have kept it, although it confirmed the write.
    """
    content = storage.uploads.readme(upload.uuid, MAX_README_BYTES)
    frozen = FrozenDataset(None, manifest, admin_metadata)
    if content is None or not storage.uploads.is_frozen(upload.uuid, frozen):
        return None
    try:
        return _decoded(content)
    except InvalidField:
        return None


def _decoded(readme: bytes) -> str:
    if len(readme) > MAX_README_BYTES:
        raise InvalidField("readme", f"is larger than {MAX_README_BYTES} bytes; PUT another.")
    try:
        return readme.decode()
    except UnicodeDecodeError as error:
        raise InvalidField(
            "readme",
            "is not UTF-8; announce the same upload again, PUT another README, and complete it.",
        ) from error
