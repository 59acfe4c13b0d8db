"""What the store holds of a dataset, looked at past dserver."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import dtoolcore
import requests

from tests.support.clients import README, Deposit
from tests.support.dserver import Bucket, Dserver


@dataclass(frozen=True)
class Stored:
    """One object as the store has it."""

    content: bytes
    metadata: tuple[tuple[str, str], ...]


def holdings(s3: Any, bucket: Bucket, uuid: str) -> dict[str, Stored]:
    """Return the objects of a dataset, by key; ``<uuid>/upload/`` is no part of it."""
    found = [
        entry["Key"]
        for prefix in (f"dtool-{uuid}", f"{uuid}/")
        for entry in s3.list_objects_v2(Bucket=bucket.name, Prefix=prefix).get("Contents", [])
    ]

    def read(key: str) -> Stored:
        answer = s3.get_object(Bucket=bucket.name, Key=key)
        return Stored(answer["Body"].read(), tuple(sorted(answer["Metadata"].items())))

    return {key: read(key) for key in found if not key.startswith(f"{uuid}/upload/")}


def check_dataset(dserver: Dserver, s3: Any, deposit: Deposit, readme: str | None = README) -> None:
    """Fail unless the dataset is registered, readable, and all that dtool needs is there."""
    items = check_readable(dserver, deposit)
    stored = holdings(s3, dserver.bucket, deposit.uuid)
    for path, content in deposit.files.items():
        metadata = dict(stored[f"{deposit.uuid}/data/{_identifier(path)}"].metadata)
        assert base64.b64decode(metadata["handle"]).decode() == path
        assert metadata["checksum"] == _md5(content)
    admin_metadata = dict(stored[f"{deposit.uuid}/dtool"].metadata)
    assert (admin_metadata["type"], admin_metadata["uuid"]) == ("dataset", deposit.uuid)
    manifest = json.loads(stored[f"{deposit.uuid}/manifest.json"].content)
    assert {name: entry["hash"] for name, entry in manifest["items"].items()} == {
        name: _md5(content) for name, content in items.items()
    }
    structure = json.loads(stored[f"{deposit.uuid}/structure.json"].content)
    assert structure["dataset_registration_key"] == f"dtool-{deposit.uuid}"
    check_readme(dserver, stored, deposit, readme)


def check_readable(dserver: Dserver, deposit: Deposit) -> dict[str, bytes]:
    """Fail unless bob reads every item; return their bytes, by identifier."""
    answer = dserver.bob.read(f"{dserver.base_uri}/{deposit.uuid}")
    assert answer.status_code == 200, answer.json
    urls = answer.json["item_urls"]
    with ThreadPoolExecutor(4) as pool:
        read = dict(zip(urls, pool.map(_get, urls.values()), strict=True))
    assert read == {_identifier(path): content for path, content in deposit.files.items()}
    return read


def check_readme(
    dserver: Dserver, stored: dict[str, Stored], deposit: Deposit, readme: str | None
) -> None:
    """Fail unless registered and stored README are the same, and this one if one is given."""
    with dserver.app.app_context():
        registered = dserver.app.retrieve.get_readme(f"{dserver.base_uri}/{deposit.uuid}")
    assert stored[f"{deposit.uuid}/README.yml"].content.decode() == registered
    assert readme in (None, registered)


def verifies(dserver: Dserver, deposit: Deposit) -> bool:
    """Return whether dtool itself finds in the bucket what the manifest says, hashes included."""
    dataset = dtoolcore.DataSet.from_uri(f"{dserver.base_uri}/{deposit.uuid}")
    found = dataset.generate_manifest()["items"]
    said = {identifier: dataset.item_properties(identifier) for identifier in dataset.identifiers}
    assert found.keys() == said.keys() == {_identifier(path) for path in deposit.files}
    parts = ("relpath", "size_in_bytes", "hash")
    return all(found[name][part] == said[name][part] for name in said for part in parts)


def _get(url: str) -> bytes:
    answer = requests.get(url, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.content


def _identifier(relpath: str) -> str:
    return dtoolcore.utils.generate_identifier(relpath)


def _md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()
