"""What an account holds of a dataset, looked at past dserver; and dtool, which looks there too."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from azure.storage.blob import BlockBlobService, Include
from dtoolcore.utils import generate_identifier

from tests.support.blob_client import blob_service
from tests.support.clients import README, Deposit
from tests.support.dserver import Account, Dserver
from tests.support.s3_holdings import check_readable


@dataclass(frozen=True)
class Blob:
    """A blob as it is listed; another version has another ``etag``."""

    kind: str
    md5: str | None
    metadata: Mapping[str, str]
    etag: str


@dataclass(frozen=True)
class Container:
    """A container as it is listed; ``blobs`` has those too that are not committed yet.

    ``snapshots`` are known by the name of their blob and their time.
    """

    metadata: Mapping[str, str]
    etag: str
    blobs: Mapping[str, Blob]
    snapshots: Mapping[tuple[str, str], Blob]


def containers(blobs: BlockBlobService, uuid: str) -> dict[str, Container]:
    """Return every container whose name begins with the UUID."""
    return {
        found.name: Container(
            dict(found.metadata or {}), found.properties.etag, *_listed(blobs, found.name)
        )
        for found in blobs.list_containers(prefix=uuid, include_metadata=True)
    }


def check_dataset(
    dserver: Dserver, blobs: BlockBlobService, deposit: Deposit, readme: str = README
) -> None:
    """Fail unless the dataset is registered, readable, and all that dtool needs is there."""
    items = check_readable(dserver, deposit)
    uuid = deposit.uuid
    held = containers(blobs, uuid)
    assert held.keys() == {uuid}
    assert (held[uuid].metadata["type"], held[uuid].metadata["uuid"]) == ("dataset", uuid)
    for path, content in deposit.files.items():
        blob = held[uuid].blobs[generate_identifier(path)]
        assert blob.metadata.keys() == {"type", "relpath"}
        assert blob.metadata["type"] == "item"
        assert path in (blob.metadata["relpath"], unquote(blob.metadata["relpath"]))
        assert (blob.kind, blob.md5) == ("BlockBlob", _md5(content))
    manifest, registered = check_documents(dserver, blobs, deposit)
    assert {name: len(content) for name, content in items.items()} == {
        name: entry["size_in_bytes"] for name, entry in manifest["items"].items()
    }
    assert registered == readme


def check_documents(dserver: Dserver, blobs: BlockBlobService, deposit: Deposit) -> tuple[Any, str]:
    """Fail unless manifest and README are stored as they are registered; return both."""
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    with dserver.app.app_context():
        manifest = dserver.app.retrieve.get_manifest(uri)
        readme = dserver.app.retrieve.get_readme(uri)
    assert json.loads(content_of(blobs, deposit.uuid, "manifest.json")) == manifest
    assert content_of(blobs, deposit.uuid, "README.yml").decode() == readme
    return manifest, readme


def content_of(blobs: BlockBlobService, container: str, name: str) -> bytes:
    """Return a blob's bytes."""
    content: bytes = blobs.get_blob_to_bytes(container, name).content
    return content


@contextmanager
def dtool_at(account: Account, cache: Path, service: Any = blob_service) -> Iterator[None]:
    """Let dtool itself use the account, as a person with its key would.

    dtool-azure has no setting for an account's address.
    """

    class Cloud:
        def __init__(self, account_name: str, account_key: str) -> None:
            assert (account_name, account_key) == (account.name, account.key)

        def create_block_blob_service(self) -> BlockBlobService:
            return service(account)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dtool_azure.utils.CloudStorageAccount", Cloud)
        patch.setenv(f"DTOOL_AZURE_ACCOUNT_KEY_{account.name}", account.key)
        patch.setenv("DTOOL_CACHE_DIRECTORY", str(cache))
        yield


def _listed(
    blobs: BlockBlobService, container: str
) -> tuple[dict[str, Blob], dict[tuple[str, str], Blob]]:
    """Return the blobs, and their snapshots."""
    include = Include(metadata=True, uncommitted_blobs=True, snapshots=True)
    there, snapshots = {}, {}
    for found in blobs.list_blobs(container, include=include):
        blob = Blob(
            found.properties.blob_type,
            found.properties.content_settings.content_md5,
            dict(found.metadata or {}),
            found.properties.etag,
        )
        if found.snapshot:
            snapshots[found.name, found.snapshot] = blob
        else:
            there[found.name] = blob
    return there, snapshots


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()
