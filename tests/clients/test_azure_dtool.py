"""A dataset deposited through dserver is, in the account, the one that `dtool cp` puts there.

The differences there are:

- dtool writes documents without metadata; ours have type=document, because dtool-azure cannot list
  items beside a blob of which Azurite says no metadata at all;
- dtool-azure writes relpaths into metadata as they are, and fails where they are not Latin-1; ours
  are percent-encoded wherever they are not printable ASCII, and dtool then knows them by that name;
- dtool-azure writes times into the blob `dtool` as strings; ours are numbers, as in other stores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dtoolcore
import pytest
from azure.storage.blob import BlockBlobService
from dtoolcore.compare import diff_content, diff_identifiers, diff_sizes
from dtoolcore.utils import generate_identifier, sanitise_uri

from tests.support.azure_holdings import Container, containers, content_of, dtool_at
from tests.support.blob_client import as_azure, blob_service
from tests.support.clients import README, Deposit, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.s3_holdings import verifies

FILES = {"data/file one.txt": b"content1", "100 % + 1 & 2=3?.txt": b"two\n", "empty.dat": b""}
TAGS = ["project-x", "2024"]
ANNOTATIONS = {"author": "Ada Löwe", "cells": {"grown": [1, 2.5, None, True]}}
OVERLAYS = {"colour": {generate_identifier(path): f"grün {path}" for path in FILES}}
DESCRIBED = {"tags": TAGS, "annotations": ANNOTATIONS, "overlays": OVERLAYS}
# What no two deposits have in common.
MOMENTS = {"created_at", "frozen_at", "utc_timestamp"}


def deposit_through(dserver: Dserver) -> str:
    """Deposit a dataset; return its URI."""
    deposit = Deposit(FILES, more=DESCRIBED)
    done = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    assert done.status_code == 200, done.json
    return str(done.json["uri"])


@pytest.fixture(scope="module")
def deposited(azure_lab) -> str:
    """The URI of a dataset deposited through dserver."""
    return deposit_through(azure_lab)


@pytest.fixture(scope="module")
def copied(azure_lab, tmp_path_factory) -> str:
    """The URI of the same, put into the account by dtool."""
    directory = tmp_path_factory.mktemp("local")
    local = made_by_dtool(directory)
    with dtool_at(azure_lab.place, directory, as_azure):
        return str(dtoolcore.copy(local, azure_lab.base_uri))


@pytest.fixture(scope="module")
def blobs(azure_lab) -> BlockBlobService:
    """A client with the key of the account, to look behind the scenes."""
    return blob_service(azure_lab.place)


@pytest.fixture
def dtool(azure_lab, tmp_path) -> Iterator[None]:
    """dtool as it comes, for somebody with the account's key."""
    with dtool_at(azure_lab.place, tmp_path / "cache"):
        yield


def made_by_dtool(directory: Path) -> str:
    """Make a dataset on this disk; return its URI."""
    local = sanitise_uri(str(directory))
    proto = dtoolcore.create_proto_dataset("my-dataset", local, README, creator_username="alice")
    for number, (relpath, content) in enumerate(FILES.items()):
        path = directory / f"{number}.source"
        path.write_bytes(content)
        proto.put_item(str(path), relpath)
    for tag in TAGS:
        proto.put_tag(tag)
    for name, annotation in ANNOTATIONS.items():
        proto.put_annotation(name, annotation)
    proto.freeze()
    dataset = dtoolcore.DataSet.from_uri(proto.uri)
    for name, overlay in OVERLAYS.items():
        dataset.put_overlay(name, overlay)
    return str(proto.uri)


def container(blobs: BlockBlobService, uri: str) -> Container:
    """Return the only container there is of a dataset."""
    uuid = uri.rpartition("/")[2]
    held = containers(blobs, uuid)
    assert list(held) == [uuid]
    return held[uuid]


def without_moments(value: Any) -> Any:
    """The same without every time that no two deposits have in common: it only is a number."""
    if isinstance(value, dict):
        return {
            name: float(inner) > 1e9 if name in MOMENTS else without_moments(inner)
            for name, inner in value.items()
        }
    return value


def document(blobs: BlockBlobService, uri: str, name: str) -> Any:
    """A document as it reads, with its UUID as UUID."""
    uuid = uri.rpartition("/")[2]
    content = content_of(blobs, uuid, name).decode().replace(uuid, "UUID")
    if name.endswith(".json") or name == "dtool":
        return json.loads(content)
    return content


def test_the_account_holds_the_same_blobs(blobs, copied, deposited):
    theirs, ours = container(blobs, copied), container(blobs, deposited)
    assert ours.blobs.keys() == theirs.blobs.keys()
    for name, blob in theirs.blobs.items():
        assert (ours.blobs[name].kind, bool(ours.blobs[name].md5)) == (blob.kind, bool(blob.md5))
        if name in map(generate_identifier, FILES):
            assert (ours.blobs[name].md5, ours.blobs[name].metadata) == (blob.md5, blob.metadata)
        else:
            assert (ours.blobs[name].metadata, blob.metadata) == ({"type": "document"}, {})
            assert without_moments(document(blobs, deposited, name)) == without_moments(
                document(blobs, copied, name)
            )


def test_the_container_has_the_same_metadata(blobs, copied, deposited):
    theirs, ours = container(blobs, copied).metadata, container(blobs, deposited).metadata
    assert without_moments({**ours, "uuid": ""}) == without_moments({**theirs, "uuid": ""})
    assert {"created_at", "frozen_at"} < ours.keys()


def test_documents_are_written_byte_for_byte_as_dtool_writes_them(blobs, copied, deposited):
    differing = {"manifest.json", "dtool", *(f"overlays/{name}.json" for name in OVERLAYS)}
    ours, theirs = (uri.rpartition("/")[2] for uri in (deposited, copied))
    for name in container(blobs, copied).blobs.keys() - differing:
        assert content_of(blobs, ours, name) == content_of(blobs, theirs, name)


def test_dtool_finds_no_difference(copied, deposited, dtool):
    one, other = (dtoolcore.DataSet.from_uri(uri) for uri in (deposited, copied))
    for these in ((one, other), (other, one)):
        assert diff_identifiers(*these) == []
        assert diff_sizes(*these) == []
        assert diff_content(*these) == []


def test_dtool_reads_and_verifies_it_in_full(azure_lab, deposited, dtool):
    dataset = dtoolcore.DataSet.from_uri(deposited)
    assert verifies(azure_lab, Deposit(FILES, uuid=dataset.uuid))
    assert dataset.get_readme_content() == README
    assert sorted(dataset.list_tags()) == sorted(TAGS)
    assert {n: dataset.get_annotation(n) for n in dataset.list_annotation_names()} == ANNOTATIONS
    assert {n: dataset.get_overlay(n) for n in dataset.list_overlay_names()} == OVERLAYS
    hasher = dataset._storage_broker.hasher
    for identifier in dataset.identifiers:
        said = dataset.item_properties(identifier)
        path = Path(dataset.item_content_abspath(identifier))
        assert path.read_bytes() == FILES[said["relpath"]]
        assert hasher(str(path)) == said["hash"]


def test_dtool_can_go_on_with_it(azure_lab, dtool, tmp_path):
    """Copied out of the account, and described further in it."""
    deposited = deposit_through(azure_lab)
    dataset = dtoolcore.DataSet.from_uri(deposited)
    dataset.put_tag("seen")
    dataset.put_annotation("note", "checked")
    there = tmp_path / "there"
    there.mkdir()
    copy = dtoolcore.DataSet.from_uri(dtoolcore.copy(deposited, sanitise_uri(str(there))))
    assert {
        copy.item_properties(name)["relpath"]: Path(copy.item_content_abspath(name)).read_bytes()
        for name in copy.identifiers
    } == FILES
    assert copy.get_annotation("note") == "checked"


def test_dtool_lists_what_is_complete_and_what_is_not(azure_dserver, tmp_path):
    deposited = deposit_through(azure_dserver)
    begun = DtoolDserver().begin(azure_dserver.alice, azure_dserver.base_uri, Deposit(FILES))
    with dtool_at(azure_dserver.place, tmp_path, as_azure):
        (dataset,) = dtoolcore.iter_datasets_in_base_uri(azure_dserver.base_uri)
        (proto,) = dtoolcore.iter_proto_datasets_in_base_uri(azure_dserver.base_uri)
    assert (dataset.uri, proto.uri) == (deposited, begun["uri"])


def test_dtool_reads_and_copies_relpaths_that_it_could_not_write(azure_lab, dtool, tmp_path):
    files = {"Größe über Zeit.txt": b"eins", "データ/測定.csv": b"zwei"}
    deposit = Deposit(files)
    uri = DtoolDserver().upload(azure_lab.alice, azure_lab.base_uri, deposit).json["uri"]
    copy = dtoolcore.DataSet.from_uri(dtoolcore.copy(uri, sanitise_uri(str(tmp_path))))
    assert {
        copy.item_properties(name)["relpath"]: Path(copy.item_content_abspath(name)).read_bytes()
        for name in copy.identifiers
    } == files
