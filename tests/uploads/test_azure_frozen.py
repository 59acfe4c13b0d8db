"""Frozen means frozen in Azure too: no URL handed out earlier changes a completed dataset.

What can be tried with Azure's URLs is Azure's own; test_frozen has what both stores promise.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.storage.values import SignedRequest
from tests.support.azure_accounts import BLOCK_BLOB
from tests.support.azure_holdings import Container, check_dataset, containers, dtool_at
from tests.support.clients import Deposit, DtoolDserver
from tests.support.s3_holdings import verifies
from tests.support.stalled_put import stalled
from tests.uploads.test_frozen import FILES, without_signatures

MD5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
BLOCK_LIST = b"<BlockList><Latest>ZG9jdW1lbnQ=</Latest></BlockList>"

# What somebody might send instead of the headers that came with a URL.
HEADERS: list[Mapping[str, str]] = [
    {},
    BLOCK_BLOB,
    {"x-ms-blob-type": "BlockBlob", "If-Match": "*"},
    {"x-ms-blob-type": "BlockBlob", "Content-MD5": MD5, "x-ms-blob-content-md5": MD5},
    {"x-ms-blob-type": "BlockBlob", "x-ms-meta-type": "document", "x-ms-meta-relpath": "other"},
    {"x-ms-blob-type": "AppendBlob"},
    {"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": "512"},
    {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1"},
]
# And what else can be asked of a blob.
OPERATIONS = [
    "",
    "&comp=block&blockid=ZG9jdW1lbnQ%3D",
    "&comp=blocklist",
    "&comp=appendblock",
    "&comp=metadata",
    "&comp=properties",
    "&comp=snapshot",
    "&comp=lease",
    "&comp=tier",
    "&restype=container",
    "&restype=container&comp=metadata",
]


def old_urls(grant: Mapping[str, Any]) -> Iterator[str]:
    """Yield every URL that was handed out, those of documents without their operation too."""
    for item in grant["upload_urls"]["items"].values():
        yield item["url"]
    for document in ("readme", "admin_metadata", "manifest", "structure"):
        url = grant["upload_urls"][document]
        yield url
        yield url.partition("&comp=")[0]


def put_everything(grant: Mapping[str, Any], source: str) -> dict[str, set[int]]:
    """PUT, copy and delete in every way there is; return the store's answers by operation."""
    copies = [
        {"x-ms-copy-source": source},
        {"x-ms-copy-source": source, "x-ms-requires-sync": "true"},
        {"x-ms-copy-source": source, "x-ms-blob-type": "BlockBlob"},
    ]
    answers: dict[str, set[int]] = defaultdict(set)
    with requests.Session() as session:

        def send(method: str, url: str, content: bytes, headers: Mapping[str, str]) -> None:
            answer = session.request(method, url, data=content, headers=headers)
            answers[url.rpartition("&comp=")[2] if "&comp=" in url else ""].add(answer.status_code)

        for item in grant["upload_urls"]["items"].values():
            for content in (b"other", b""):
                send("PUT", item["url"], content, item["headers"])
        for url in old_urls(grant):
            for headers in [*HEADERS, *copies]:
                content = b"" if "x-ms-copy-source" in headers else b"other"
                send("PUT", url, content, headers)
            for operation in OPERATIONS:
                for headers in HEADERS:
                    send("PUT", f"{url}{operation}", b"other" if headers else b"", headers)
            send("PUT", f"{url}&comp=blocklist", BLOCK_LIST, {})
            send("DELETE", url, b"", {})
    return answers


def without_snapshots(held: Mapping[str, Container]) -> dict[str, Container]:
    """Return containers without what the URLs of items may take, which nobody ever reads."""
    return {name: replace(container, snapshots={}) for name, container in held.items()}


def test_no_old_url_changes_a_completed_dataset(azure_dserver, blobs, tmp_path):
    client = DtoolDserver()
    deposit = Deposit(FILES, more={"tags": ["tag"], "annotations": {"a": 1}})
    first = client.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    resumed = client.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    client.put(resumed, deposit)
    assert azure_dserver.alice.complete(first["uri"]).status_code == 200
    before = containers(blobs, deposit.uuid)
    answered = without_signatures(azure_dserver.bob.read(first["uri"]).json)
    source = azure_dserver.bob.read_item(first["uri"], generate_identifier("two.txt")).json["url"]

    for grant in (first, resumed):
        answers = put_everything(grant, source)
        # The container of documents is gone; items are there and only ever made.
        assert {403, 404} <= answers[""]
        obeyed = {operation for operation, told in answers.items() if min(told) < 400}
        assert obeyed == {"snapshot"}
    assert without_snapshots(containers(blobs, deposit.uuid)) == before
    for name, held in containers(blobs, deposit.uuid).items():
        for (blob, _), snapshot in held.snapshots.items():
            assert snapshot.md5 == before[name].blobs[blob].md5
    before = containers(blobs, deposit.uuid)
    assert without_signatures(azure_dserver.bob.read(first["uri"]).json) == answered
    assert azure_dserver.alice.complete(first["uri"]).status_code == 200
    assert containers(blobs, deposit.uuid) == before
    check_dataset(azure_dserver, blobs, deposit)
    with dtool_at(azure_dserver.place, tmp_path):
        assert verifies(azure_dserver, deposit)


def test_a_put_that_completion_overtook_is_refused(azure_dserver, blobs):
    deposit = Deposit(FILES)
    grant = DtoolDserver().begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    item = grant["upload_urls"]["items"][generate_identifier("one.txt")]
    assert item["headers"]["If-None-Match"] == "*"
    with stalled(SignedRequest(item["url"], item["headers"]), b"eins") as go_on:
        DtoolDserver().put(grant, deposit)
        assert azure_dserver.alice.complete(grant["uri"]).status_code == 200
        before = containers(blobs, deposit.uuid)
        assert go_on() in {403, 409}
    assert containers(blobs, deposit.uuid) == before
    check_dataset(azure_dserver, blobs, deposit)


def test_documents_put_while_others_are_uploaded_stay_outside_the_dataset(azure_dserver, blobs):
    """What is PUT to a document's URL is never a blob of the dataset's container."""
    deposit = Deposit(FILES)
    grant = DtoolDserver().begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    before = containers(blobs, deposit.uuid)[deposit.uuid]
    as_an_item = {
        "x-ms-blob-type": "BlockBlob",
        "x-ms-meta-type": "item",
        "x-ms-meta-relpath": "one.txt",
    }
    for document in ("readme", "admin_metadata", "manifest", "structure"):
        url = grant["upload_urls"][document]
        assert requests.put(url, b"{}", headers=as_an_item, timeout=30).ok
        assert requests.put(url.partition("&comp=")[0], b"{}", headers=as_an_item, timeout=30).ok
    assert containers(blobs, deposit.uuid)[deposit.uuid] == before
    DtoolDserver().put(grant, deposit)
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(azure_dserver, blobs, deposit)
