"""Reading: the URLs open exactly what storage holds, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import dservercore.utils
import dtoolcore
import pytest
import requests
from dtoolcore.utils import generate_identifier

from tests.support.clients import FILES, README, Deposit, DserverClientJS, DtoolDserver
from tests.support.dserver import Dserver, encoded
from tests.support.refusals import assert_refused

IDENTIFIERS = {generate_identifier(relpath): content for relpath, content in FILES.items()}
DESCRIBED = {
    "tags": ["project-x", "2024"],
    "annotations": {"author": "Ada Löwe", "n": {"deep": [1, None]}},
    "overlays": {"colour": dict.fromkeys(IDENTIFIERS, "grün")},
}


def deposited(dserver: Dserver, **more: Any) -> str:
    """Upload a dataset; return its URI."""
    deposit = Deposit(more=more)
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return f"{dserver.base_uri}/{deposit.uuid}"


def made_by_dtool(base_uri: str, directory: Path) -> dtoolcore.DataSet:
    """Let dtool itself put a dataset into the bucket."""
    proto = dtoolcore.create_proto_dataset("by-dtool", base_uri, README, creator_username="dtool")
    for number, (relpath, content) in enumerate(FILES.items()):
        path = directory / str(number)
        path.write_bytes(content)
        proto.put_item(str(path), relpath)
    proto.put_tag("old")
    proto.put_annotation("author", "Ada")
    proto.freeze()
    return dtoolcore.DataSet.from_uri(proto.uri)


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def uri(lab: Dserver) -> str:
    """A dataset that no test changes."""
    return deposited(lab, **DESCRIBED)


@pytest.fixture
def item_url(lab: Dserver, uri: str) -> str:
    """The URL of one item with content."""
    identifier = next(name for name, content in IDENTIFIERS.items() if content)
    return lab.bob.read_item(uri, identifier).json["url"]


@pytest.fixture
def dtool_reads_lab(lab: Dserver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let dtool itself use the bucket of the module."""
    for name, value in lab.bucket.settings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DTOOL_CACHE_DIRECTORY", str(tmp_path / "dtool-cache"))


def test_the_dataset_route_answers_what_the_spec_says_and_no_more(lab, uri):
    answer = lab.bob.read(uri)
    assert answer.status_code == 200
    assert {name: type(value) for name, value in answer.json.items()} == {
        "uri": str,
        "expiry_seconds": int,
        "expiry_timestamp": str,
        "admin_metadata_url": str,
        "manifest_url": str,
        "readme_url": str,
        "item_urls": dict,
        "overlay_urls": dict,
        "annotation_urls": dict,
        "tags": list,
    }
    assert answer.json["uri"] == uri


def test_every_url_opens_what_its_name_says(lab, uri):
    urls = lab.bob.read(uri).json
    assert {name: get(url).content for name, url in urls["item_urls"].items()} == IDENTIFIERS
    assert get(urls["readme_url"]).content.decode() == README
    manifest = get(urls["manifest_url"]).json()
    assert manifest["items"].keys() == IDENTIFIERS.keys()
    assert get(urls["admin_metadata_url"]).json()["type"] == "dataset"
    for kind, field in (("overlays", "overlay_urls"), ("annotations", "annotation_urls")):
        assert {name: get(url).json() for name, url in urls[field].items()} == DESCRIBED[kind]
    assert sorted(urls["tags"]) == sorted(DESCRIBED["tags"])


def test_what_dtool_adds_after_freezing_appears(lab, dtool_reads_lab):
    uri = deposited(lab)
    before = lab.bob.read(uri).json
    assert (before["overlay_urls"], before["annotation_urls"], before["tags"]) == ({}, {}, [])

    dataset = dtoolcore.DataSet.from_uri(uri)
    overlay = dict.fromkeys(IDENTIFIERS, 7)
    dataset.put_overlay("later", overlay)
    dataset.put_annotation("reviewed", True)
    dataset.put_tag("checked")
    dataset.put_readme("---\ndescription: better\n")

    after = lab.bob.read(uri).json
    assert get(after["overlay_urls"].pop("later")).json() == overlay
    assert get(after["annotation_urls"].pop("reviewed")).json() is True
    assert (after["overlay_urls"], after["annotation_urls"]) == ({}, {})
    assert after["tags"] == ["checked"]
    assert get(after["readme_url"]).text == "---\ndescription: better\n"


@pytest.mark.parametrize("prefix", ["", "u/dtool/"])
@pytest.mark.parametrize("door", ["PUT", "register_dataset"])
def test_what_dtool_deposited_itself_can_be_read(
    lab, dtool_reads_lab, monkeypatch, tmp_path, prefix, door
):
    monkeypatch.setenv(f"DTOOL_S3_DATASET_PREFIX_{lab.bucket.name}", prefix)
    dataset = made_by_dtool(lab.base_uri, tmp_path)
    register(lab, dataset, door)

    urls = lab.bob.read(dataset.uri).json
    assert f"/{prefix}{dataset.uuid}/data/" in next(iter(urls["item_urls"].values()))
    assert {name: get(url).content for name, url in urls["item_urls"].items()} == IDENTIFIERS
    assert get(urls["readme_url"]).content.decode() == README
    assert get(urls["annotation_urls"]["author"]).json() == "Ada"
    assert urls["tags"] == ["old"]
    for identifier, content in IDENTIFIERS.items():
        item = lab.bob.read_item(dataset.uri, identifier).json
        assert get(item["url"]).content == content


def register(dserver: Dserver, dataset: dtoolcore.DataSet, door: str) -> None:
    """Register by dserver's own means."""
    with dserver.app.app_context():
        info = dservercore.utils.generate_dataset_info(dataset, dserver.base_uri)
        if door == "register_dataset":
            dservercore.utils.register_dataset(info)
            return
    del info["dtoolcore_version"]
    times = {name: str(info[name]) for name in ("created_at", "frozen_at")}
    answer = dserver.app.test_client().put(
        f"/uris/{dservercore.utils.uri_to_url_suffix(dataset.uri)}",
        json={**info, **times},
        headers={"Authorization": f"Bearer {dserver.tokens['alice']}"},
    )
    assert answer.status_code == 201, answer.json


def test_the_item_route_answers_what_the_spec_says_and_no_more(lab, uri):
    for identifier, content in IDENTIFIERS.items():
        answer = lab.bob.read_item(uri, identifier)
        assert answer.status_code == 200
        assert answer.json.keys() == {
            "uri",
            "identifier",
            "expiry_seconds",
            "expiry_timestamp",
            "url",
        }
        assert (answer.json["uri"], answer.json["identifier"]) == (uri, identifier)
        assert get(answer.json["url"]).content == content


@pytest.mark.parametrize(
    "identifier", ["0" * 40, "f" * 39, "x" * 40, "F" * 40, "data", "..%2fREADME.yml", "%00"]
)
def test_an_item_that_is_not_there_is_not_found(lab, uri, identifier):
    answer = lab.bob.get(f"/signed-urls/item/{encoded(uri)}/{identifier}")
    # A decoded slash ends the identifier, and what is in front of it is no dataset's URI.
    assert_refused(answer, 400 if "%2f" in identifier else 404)


def test_what_dserver_does_not_have_is_not_found(lab):
    unknown = f"{lab.base_uri}/{uuid4()}"
    assert_refused(lab.bob.read(unknown), 404, unknown)
    assert_refused(lab.bob.read_item(unknown, "0" * 40), 404, unknown)


def test_an_upload_cannot_be_read_before_it_is_complete(lab):
    deposit = Deposit()
    grant = DtoolDserver().begin(lab.alice, lab.base_uri, deposit)
    DtoolDserver().put(grant, deposit)
    assert_refused(lab.bob.read(grant["uri"]), 404)
    assert_refused(lab.bob.read_item(grant["uri"], next(iter(IDENTIFIERS))), 404)


def test_what_is_registered_but_gone_from_storage_is_not_found(dserver, s3):
    uri = deposited(dserver)
    name = dserver.bucket.name
    for found in s3.list_objects_v2(Bucket=name)["Contents"]:
        s3.delete_object(Bucket=name, Key=found["Key"])
    assert_refused(dserver.bob.read(uri), 404, "torage")
    assert_refused(dserver.bob.read_item(uri, next(iter(IDENTIFIERS))), 404)


def test_a_read_url_serves_ranges(item_url):
    answer = get(item_url, Range="bytes=1-3")
    assert (answer.status_code, answer.content) == (206, get(item_url).content[1:4])


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "HEAD"])
def test_a_read_url_only_reads(lab, uri, item_url, method):
    content = get(item_url).content
    assert requests.request(method, item_url, data=b"evil", timeout=30).status_code == 403
    assert get(item_url).content == content


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("X-Amz-Expires=3600", "X-Amz-Expires=360000"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("/data/", "/upload/"),
    ],
)
def test_a_url_that_was_changed_is_refused(item_url, old, new):
    assert old in item_url
    assert get(item_url.replace(old, new)).status_code == 403


def test_a_url_opens_no_other_object(lab, uri):
    urls = lab.bob.read(uri).json
    one, other, _ = urls["item_urls"].values()
    for target in (other, urls["readme_url"], urls["manifest_url"]):
        mixed = urlsplit(one)._replace(path=urlsplit(target).path)
        assert get(urlunsplit(mixed)).status_code == 403
    assert get(urlunsplit(urlsplit(one)._replace(query=""))).status_code == 403


def test_a_staged_upload_reads_like_any_other(lab):
    deposit = Deposit()
    DserverClientJS().upload(lab.alice, lab.base_uri, deposit)
    urls = lab.bob.read(f"{lab.base_uri}/{deposit.uuid}").json["item_urls"]
    assert all("/data/" in url and "/upload/" not in url for url in urls.values())
