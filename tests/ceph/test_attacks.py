"""What a living write URL cannot do in Ceph RGW, where uploads are set up as the doctor says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.dserver import in_capitals

FILES = {"one.txt": b"eins"}
SECRET = b"of somebody else"
EVERYBODY = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'
ATTACKS: dict[str, Mapping[str, str]] = {
    "another prefix": {"x-amz-copy-source": "/{bucket}/private/salaries"},
    "another bucket": {"x-amz-copy-source": "/private-other/salaries"},
    "another bucket, public": {
        "x-amz-copy-source": "/private-other/salaries",
        "x-amz-acl": "public-read",
    },
    "acl": {"x-amz-acl": "public-read"},
    "grant": {"x-amz-grant-read": EVERYBODY},
    "tagging": {"x-amz-tagging": "a=b"},
    "redirect": {"x-amz-website-redirect-location": "/elsewhere"},
    "headers": {
        "Content-Type": "text/html",
        "Content-Encoding": "gzip",
        "Cache-Control": "no-store",
        "Content-Disposition": "attachment; filename=other",
    },
    "metadata": {"x-amz-meta-other": "more"},
}


@dataclass(frozen=True)
class Seen:
    """All that the store tells of an object, and whether anybody reads it."""

    content: bytes
    headers: Mapping[str, str]
    grants: list[Any]
    tags: list[Any]
    public: bool


@pytest.fixture
def secrets(store, s3, bucket):
    """What nobody but the server may read."""
    store.create_bucket("private-other")
    for name, key in ((bucket.name, "private/salaries"), ("private-other", "salaries")):
        s3.put_object(Bucket=name, Key=key, Body=SECRET)


@pytest.fixture(scope="module")
def pair(store):
    """Keys that can write, and read nothing."""
    return store.write_only_key("attacks")


@pytest.fixture
def guarded(make_dserver, bucket, pair, secrets):
    """A dserver that signs write URLs with these keys, and stages every upload."""
    names = ("DTOOL_S3_WRITE_ACCESS_KEY_ID_", "DTOOL_S3_WRITE_SECRET_ACCESS_KEY_")
    settings = {f"{name}{bucket.name}": key for name, key in zip(names, pair, strict=True)}
    return make_dserver(
        **in_capitals({**settings, f"SIGNED_URL_WRITES_{bucket.name}": "staged"}),
    )


def seen(s3, bucket, key):
    where = {"Bucket": bucket.name, "Key": key}
    got = s3.get_object(**where)
    described = got["ResponseMetadata"]["HTTPHeaders"]
    passing = ("date", "last-modified", "x-amz-request-id")
    return Seen(
        got["Body"].read(),
        {name: value for name, value in described.items() if name not in passing},
        s3.get_object_acl(**where)["Grants"],
        s3.get_object_tagging(**where)["TagSet"],
        requests.get(f"{bucket.endpoint}/{bucket.name}/{key}", timeout=30).ok,
    )


def attack(grant, deposit, headers):
    """PUT to every item's URL with more headers than it signs; return the statuses."""
    return [
        requests.put(
            item["url"],
            data=deposit.content(identifier),
            headers={**item["headers"], **headers},
            timeout=30,
        ).status_code
        for identifier, item in grant["upload_urls"]["items"].items()
    ]


@pytest.mark.parametrize("client", [DtoolDserver(), DserverClientJS()], ids=["dtool", "browser"])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_write_url_reads_nothing_and_changes_nothing_frozen(guarded, s3, bucket, client, name):
    headers = {h: value.format(bucket=bucket.name) for h, value in ATTACKS[name].items()}
    innocent, deposit = Deposit(FILES), Deposit(FILES)
    assert client.upload(guarded.alice, guarded.base_uri, innocent).status_code == 200
    grant = client.begin(guarded.alice, guarded.base_uri, deposit)
    client.put(grant, deposit)
    before = attack(grant, deposit, headers)
    assert guarded.alice.complete(grant["uri"]).status_code == 200
    [identifier] = grant["upload_urls"]["items"]
    untouched = seen(s3, bucket, f"{innocent.uuid}/data/{identifier}")
    assert seen(s3, bucket, f"{deposit.uuid}/data/{identifier}") == untouched

    after = attack(grant, deposit, headers)
    assert seen(s3, bucket, f"{deposit.uuid}/data/{identifier}") == untouched
    assert not untouched.public
    if "x-amz-copy-source" in headers:
        assert set(before + after) == {403}
    assert contents(s3, bucket).count(SECRET) == 1


@pytest.mark.parametrize("name", ["another prefix", "another bucket"])
def test_nobody_uploads_what_they_cannot_read(guarded, s3, bucket, name):
    headers = {h: value.format(bucket=bucket.name) for h, value in ATTACKS[name].items()}
    deposit = Deposit(FILES)
    plan = {"uuid": deposit.uuid, "name": "mine", "items": [{"relpath": "one.txt"}]}
    grant = guarded.alice.begin(guarded.base_uri, plan).json
    assert attack(grant, deposit, headers) == [403]
    refused = guarded.alice.complete(grant["uri"])
    assert (refused.status_code, refused.json["errors"]["missing"]) == (400, ["one.txt"])
    assert contents(s3, bucket).count(SECRET) == 1


def contents(s3, bucket):
    """The bytes of every object in the bucket."""
    found = s3.list_objects_v2(Bucket=bucket.name)["Contents"]
    return [s3.get_object(Bucket=bucket.name, Key=o["Key"])["Body"].read() for o in found]
