"""SIGNED_URL_WRITES_<bucket>=staged: no URL leads to where an item stays, whoever asks for it."""

from __future__ import annotations

import json

import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.support.clients import Deposit, DtoolDserver, each_client
from tests.support.dserver import encoded
from tests.support.s3_holdings import check_dataset, verifies
from tests.support.shared_files import FILES as SHARED
from tests.support.shared_files import check_fetched

FILES = {"one.txt": b"eins", "two.txt": b"zwei", "three.txt": b"drei!"}
# What stores have been seen to obey though it was not signed.
UNSIGNED = [
    {"x-amz-copy-source": "/{bucket}/salaries"},
    {"x-amz-tagging": "seen=yes"},
    {"x-amz-acl": "public-read"},
    {"x-amz-website-redirect-location": "https://evil.example"},
    {"Content-Type": "text/html"},
    {"Content-Encoding": "gzip"},
    {},
]


@pytest.fixture
def dserver_that(make_dserver, bucket):
    """Make a dserver that writes so; on the database of another, if one is given."""

    def make(writes, other=None):
        config = {f"SIGNED_URL_WRITES_{bucket.name.upper()}": writes}
        if other is not None:
            name = "SQLALCHEMY_DATABASE_URI"
            config[name] = other.app.config[name]
        return make_dserver(**config)

    return make


def look(dserver, uri):
    path = f"/signed-urls/upload/{encoded(uri)}"
    return dserver.alice.get(path, query_string={"urls": True}).json


def put_one(grant, deposit, relpath):
    item = grant["upload_urls"]["items"][generate_identifier(relpath)]
    answer = requests.put(item["url"], deposit.files[relpath], headers=item["headers"], timeout=30)
    assert answer.ok, answer.text


def are_staged(grant):
    """Return whether every URL leads to a place of its own, and asks for no header."""
    urls = grant["upload_urls"]
    items = urls["items"].values()
    staged = [item["headers"] == {} and "/upload/" in item["url"] for item in items]
    return all(staged) and bool(staged)


@each_client
def test_every_client_deposits_through_staged_urls(dserver_that, client, s3, dtool_reads):
    dserver, deposit = dserver_that("staged"), Deposit()
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    assert are_staged(grant)
    client.put(grant, deposit)
    done = dserver.alice.complete(grant["uri"])
    assert (done.status_code, done.json["status"]) == (200, "registered")
    check_dataset(dserver, s3, deposit)
    assert verifies(dserver, deposit)


@each_client
def test_no_url_ever_handed_out_reaches_a_frozen_dataset(dserver_that, client, s3, bucket):
    dserver, deposit = dserver_that("staged"), Deposit(FILES)
    s3.put_object(Bucket=bucket.name, Key="salaries", Body=b"secret")
    grants = [client.begin(dserver.alice, dserver.base_uri, deposit)]
    uri = grants[0]["uri"]
    grants.append(look(dserver, uri)["upload"])
    client.put(grants[0], deposit)
    assert dserver.alice.complete(uri).status_code == 200

    before = everything(s3, bucket, deposit.uuid)
    for grant in grants:
        urls = grant["upload_urls"]
        requested = [(item["url"], item["headers"]) for item in urls["items"].values()]
        requested += [(url, {}) for name, url in urls.items() if name != "items"]
        for url, headers in requested:
            for unsigned in UNSIGNED:
                more = {name: value.format(bucket=bucket.name) for name, value in unsigned.items()}
                requests.put(url, b"changed", headers={**headers, **more}, timeout=30)
    assert everything(s3, bucket, deposit.uuid) == before


def everything(s3, bucket, uuid):
    """What the store says of each object of a dataset, tags and access rights included."""
    listed = s3.list_objects_v2(Bucket=bucket.name, Prefix=f"{uuid}/")["Contents"]
    keys = [entry["Key"] for entry in listed if not entry["Key"].startswith(f"{uuid}/upload/")]
    return {key: facts(s3, bucket, key) for key in keys}


def facts(s3, bucket, key):
    answer = s3.get_object(Bucket=bucket.name, Key=key)
    said = {name: answer.get(name) for name in ("ETag", "LastModified", "Metadata", "ContentType")}
    said |= {name: answer.get(name) for name in ("ContentEncoding", "WebsiteRedirectLocation")}
    tags = s3.get_object_tagging(Bucket=bucket.name, Key=key)["TagSet"]
    rights = s3.get_object_acl(Bucket=bucket.name, Key=key)["Grants"]
    return {**said, "content": answer["Body"].read(), "tags": tags, "rights": rights}


@each_client
def test_an_interrupted_upload_goes_on_through_staged_urls(dserver_that, client):
    dserver, deposit = dserver_that("staged"), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    put_one(grant, deposit, "two.txt")
    progress = look(dserver, grant["uri"])
    assert progress["missing"] == ["one.txt", "three.txt"]
    assert are_staged(progress["upload"])
    assert are_staged(client.begin(dserver.alice, dserver.base_uri, deposit))
    client.put(progress["upload"], deposit)
    assert look(dserver, grant["uri"])["items"]["stored"] == 3
    assert dserver.alice.complete(grant["uri"]).status_code == 200


@pytest.mark.parametrize("modes", [("pinned", "staged"), ("staged", "pinned")], ids="-then-".join)
@pytest.mark.parametrize("resumed", ["announced again", "looked at"])
def test_an_upload_goes_on_when_its_bucket_writes_otherwise(
    dserver_that, s3, modes, resumed, dtool_reads
):
    client, deposit = DtoolDserver(), Deposit(FILES)
    first = dserver_that(modes[0])
    grant = client.begin(first.alice, first.base_uri, deposit)
    assert are_staged(grant) == (modes[0] == "staged")
    put_one(grant, deposit, "two.txt")

    second = dserver_that(modes[1], first)
    if resumed == "looked at":
        progress = look(second, grant["uri"])
        assert progress["missing"] == ["one.txt", "three.txt"]
        grant = progress["upload"]
        # Who was told no headers once need not send any later.
        assert are_staged(grant)
    else:
        grant = client.begin(second.alice, second.base_uri, deposit)
        assert are_staged(grant) == (modes[1] == "staged")
    client.put(grant, deposit)
    assert second.alice.complete(grant["uri"]).status_code == 200
    check_dataset(second, s3, deposit)
    assert verifies(second, deposit)


def test_what_is_wrong_in_a_staged_upload_is_named_and_sent_again(dserver_that):
    dserver, deposit = dserver_that("staged"), Deposit(FILES)
    client = DtoolDserver()
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, Deposit(FILES | {"one.txt": b"EINS"}))
    refused = dserver.alice.complete(grant["uri"])
    assert refused.status_code == 400
    [wrong] = refused.json["errors"]["mismatched"]
    assert wrong["relpath"] == "one.txt"
    client.put(look(dserver, grant["uri"])["upload"], deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200


def test_a_share_is_made_through_staged_urls(dserver_that, tmp_path):
    dserver, folder = dserver_that("staged"), tmp_path / "results"
    folder.mkdir()
    for name, content in SHARED.items():
        (folder / name).write_bytes(content)
    arguments = ["create", dserver.base_uri, str(folder), "--json"]
    result = dserver.app.test_cli_runner().invoke(temp_share, arguments)
    assert result.exit_code == 0, result.stderr
    check_fetched(json.loads(result.stdout), folder)


def test_another_bucket_is_written_as_ever(make_dserver):
    dserver = make_dserver(SIGNED_URL_WRITES_ANOTHER="staged")
    assert not are_staged(DtoolDserver().begin(dserver.alice, dserver.base_uri, Deposit(FILES)))


def test_an_azure_account_of_the_same_name_is_written_as_ever(make_azure_dserver, account):
    dserver = make_azure_dserver(**{f"SIGNED_URL_WRITES_{account.name.upper()}": "staged"})
    deposit = Deposit(FILES)
    done = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    assert done.status_code == 200
