"""A dataset deposited through dserver is, in the bucket, the one that `dtool cp` puts there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dservercore.utils
import dtoolcore
import pytest
from dtoolcore.compare import diff_content, diff_identifiers, diff_sizes
from dtoolcore.utils import generate_identifier, sanitise_uri

from dserver_signed_url_plugin.demo.store import s3_client
from tests.support.clients import (
    CLIENTS,
    FILES,
    README,
    Deposit,
    DserverClientJS,
    each_client,
)
from tests.support.dserver import Dserver

TAGS = ["project-x", "2024"]
ANNOTATIONS = {"author": "Ada Löwe", "cells": {"grown": [1, 2.5, None, True]}}
OVERLAYS = {
    "colour": {generate_identifier(relpath): f"grün {relpath}" for relpath in FILES},
    "wells": {generate_identifier(relpath): None for relpath in FILES},
}
DESCRIBED = {"tags": TAGS, "annotations": ANNOTATIONS, "overlays": OVERLAYS}
# What no two deposits have in common.
MOMENTS = {"created_at", "frozen_at", "utc_timestamp"}

Objects = dict[str, tuple[bytes, dict[str, str]]]


@pytest.fixture(scope="module")
def dtool(lab: Dserver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let dtool itself use the bucket, as a person with credentials would."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in lab.bucket.settings().items():
            patch.setenv(name, value)
        patch.setenv("DTOOL_CACHE_DIRECTORY", str(tmp_path_factory.mktemp("dtool-cache")))
        yield


@pytest.fixture(scope="module")
def copied(lab: Dserver, dtool: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of what `dtool cp` puts into the bucket."""
    return copied_by_dtool(lab.base_uri, tmp_path_factory.mktemp("local"), README, DESCRIBED)


@pytest.fixture(scope="module", params=CLIENTS, ids=lambda client: type(client).__name__)
def deposited(request: pytest.FixtureRequest, lab: Dserver, dtool: None) -> str:
    """The URI of the same, deposited through dserver."""
    deposit = Deposit(more=DESCRIBED)
    done = request.param.upload(lab.alice, lab.base_uri, deposit)
    assert done.status_code == 200, done.json
    return f"{lab.base_uri}/{deposit.uuid}"


@pytest.fixture(scope="module")
def dataset(deposited: str) -> dtoolcore.DataSet:
    """What was deposited through dserver, opened by dtool once, because that takes long."""
    return dtoolcore.DataSet.from_uri(deposited)


@pytest.fixture(scope="module")
def reference(copied: str) -> dtoolcore.DataSet:
    return dtoolcore.DataSet.from_uri(copied)


@pytest.fixture(scope="module")
def theirs(lab: Dserver, copied: str) -> Objects:
    return objects(lab, copied)


@pytest.fixture(scope="module")
def ours(lab: Dserver, deposited: str) -> Objects:
    return objects(lab, deposited)


def copied_by_dtool(
    base_uri: str, directory: Path, readme: str, described: Mapping[str, Any]
) -> str:
    """Make a dataset on this disk, and let dtool copy it."""
    local = sanitise_uri(str(directory))
    proto = dtoolcore.create_proto_dataset("my-dataset", local, readme, creator_username="alice")
    for number, (relpath, content) in enumerate(FILES.items()):
        path = directory / f"{number}.source"
        path.write_bytes(content)
        proto.put_item(str(path), relpath)
    for tag in described.get("tags", ()):
        proto.put_tag(tag)
    for name, annotation in described.get("annotations", {}).items():
        proto.put_annotation(name, annotation)
    proto.freeze()
    dataset = dtoolcore.DataSet.from_uri(proto.uri)
    for name, overlay in described.get("overlays", {}).items():
        dataset.put_overlay(name, overlay)
    uri: str = dtoolcore.copy(proto.uri, base_uri)
    return uri


def objects(dserver: Dserver, uri: str) -> Objects:
    """Everything in the bucket that belongs to a dataset: key, content, user metadata.

    The UUID reads UUID, in keys, contents and metadata.
    """
    bucket, uuid = dserver.bucket, uri.rpartition("/")[2]
    client = s3_client(bucket.endpoint, bucket.access_key, bucket.secret_key)
    found = {}
    for entry in client.list_objects_v2(Bucket=bucket.name)["Contents"]:
        if uuid in entry["Key"]:
            answer = client.get_object(Bucket=bucket.name, Key=entry["Key"])
            metadata = {name: v.replace(uuid, "UUID") for name, v in answer["Metadata"].items()}
            content = answer["Body"].read().replace(uuid.encode(), b"UUID")
            found[entry["Key"].replace(uuid, "UUID")] = content, metadata
    return found


def without_moments(value: Any) -> Any:
    """The same, with only the type of every time that no two deposits have in common."""
    if isinstance(value, dict):
        return {
            name: type(inner) if name in MOMENTS else without_moments(inner)
            for name, inner in value.items()
        }
    return value


def test_the_bucket_holds_the_same_keys(theirs, ours):
    """In particular, nothing of ours is left over."""
    assert ours.keys() == theirs.keys()
    assert len(ours) == 6 + len([*FILES, *TAGS, *ANNOTATIONS, *OVERLAYS])


def test_every_object_has_the_same_metadata(theirs, ours):
    def metadata(found: Objects) -> dict[str, Any]:
        return {key: without_moments(names) for key, (_, names) in found.items()}

    assert metadata(ours) == metadata(theirs)
    _, admin_metadata = ours["UUID/dtool"]
    assert all(float(admin_metadata[name]) > 1e9 for name in ("created_at", "frozen_at"))


def test_every_object_has_the_same_content(theirs, ours):
    def contents(found: Objects) -> dict[str, Any]:
        return {
            key: without_moments(json.loads(content))
            if key.endswith((".json", "/dtool"))
            else content
            for key, (content, _) in found.items()
        }

    assert contents(ours) == contents(theirs)


def test_documents_are_written_byte_for_byte_as_dtool_writes_them(theirs, ours):
    # Times differ; and the order of an overlay's keys is that of whoever sent it.
    differing = {"UUID/manifest.json", "UUID/dtool", *(f"UUID/overlays/{n}.json" for n in OVERLAYS)}
    for key in theirs.keys() - differing:
        assert ours[key][0] == theirs[key][0]


def test_dtool_lists_what_is_complete_and_what_is_not(dserver, dtool_reads):
    pending = Deposit()
    complete = DserverClientJS().upload(dserver.alice, dserver.base_uri, Deposit()).json
    begun = DserverClientJS().begin(dserver.alice, dserver.base_uri, pending)

    (dataset,) = dtoolcore.iter_datasets_in_base_uri(dserver.base_uri)
    assert (dataset.uri, dataset.name) == (complete["uri"], complete["name"])
    (proto,) = dtoolcore.iter_proto_datasets_in_base_uri(dserver.base_uri)
    assert (proto.uri, proto.name) == (begun["uri"], pending.name)


def test_dtool_finds_no_difference(dataset, reference):
    for one, other in ((dataset, reference), (reference, dataset)):
        assert diff_identifiers(one, other) == []
        assert diff_sizes(one, other) == []
        assert diff_content(one, other) == []


def test_dtool_verifies_it_in_full(dataset):
    """As `dtool verify --full`: what is stored against what the manifest says."""
    found = dataset.generate_manifest()["items"]
    assert found.keys() == dataset.identifiers == {generate_identifier(path) for path in FILES}
    for identifier, entry in found.items():
        said = dataset.item_properties(identifier)
        for name in ("relpath", "size_in_bytes", "hash"):
            assert entry[name] == said[name]
        assert (
            dataset._storage_broker.hasher(dataset.item_content_abspath(identifier)) == said["hash"]
        )


def test_dtool_reads_every_part_of_it(dataset):
    assert dataset.get_readme_content() == README
    assert sorted(dataset.list_tags()) == sorted(TAGS)
    assert {n: dataset.get_annotation(n) for n in dataset.list_annotation_names()} == ANNOTATIONS
    assert {n: dataset.get_overlay(n) for n in dataset.list_overlay_names()} == OVERLAYS
    for identifier in dataset.identifiers:
        relpath = dataset.item_properties(identifier)["relpath"]
        path = Path(dataset.item_content_abspath(identifier))
        assert path.read_bytes() == FILES[relpath]


def test_dtool_can_go_on_with_it(lab, deposited, tmp_path):
    """Copied out of the bucket, and described further in it."""
    copy = dtoolcore.DataSet.from_uri(dtoolcore.copy(deposited, sanitise_uri(str(tmp_path))))
    content = {
        copy.item_properties(name)["relpath"]: Path(copy.item_content_abspath(name)).read_bytes()
        for name in copy.identifiers
    }
    assert content == FILES
    assert sorted(os.listdir(tmp_path)) == ["my-dataset"]


def test_dserver_knows_the_same_of_both(lab, copied, deposited):
    with lab.app.app_context():
        dataset = dtoolcore.DataSet.from_uri(copied)
        info = dservercore.utils.generate_dataset_info(dataset, lab.base_uri)
        dservercore.utils.register_dataset(info)

    def known(uri: str) -> list[Any]:
        suffix = dservercore.utils.uri_to_url_suffix(uri)
        routes = ("uris", "readmes", "manifests", "tags", "annotations")
        answers = [lab.bob.get(f"/{route}/{suffix}") for route in routes]
        assert [answer.status_code for answer in answers] == [200] * len(routes)
        uuid = uri.rpartition("/")[2]
        said = [
            without_moments(json.loads(answer.get_data(as_text=True).replace(uuid, "UUID")))
            for answer in answers
        ]
        said[3]["tags"].sort()
        return said

    assert known(deposited) == known(copied)


@each_client
def test_nothing_but_items_and_no_readme_is_the_same_too(lab, dtool, tmp_path, client):
    theirs = objects(lab, copied_by_dtool(lab.base_uri, tmp_path, "", {}))
    deposit = Deposit(readme=None)
    assert client.upload(lab.alice, lab.base_uri, deposit).status_code == 200
    ours = objects(lab, f"{lab.base_uri}/{deposit.uuid}")
    assert ours.keys() == theirs.keys()
    assert ours["UUID/README.yml"] == theirs["UUID/README.yml"] == (b"", {})
