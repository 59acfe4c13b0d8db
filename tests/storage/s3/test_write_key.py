"""A key pair that signs URLs to write and nothing else: which requests it is used for."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.doctor.s3.probe import S3Probe
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.s3 import s3_storage
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.dserver import in_capitals
from tests.support.stored_upload import Upload, get, put, uninterrupted
from tests.support.write_keys import write_key

pytestmark = pytest.mark.usefixtures("alone")


def storage_of(bucket, config=None):
    return s3_storage(BaseURI("s3", bucket.name), Settings.load(config or {}, {}))


def opened(storage):
    upload = Upload(storage)
    storage.uploads.create(upload.opening, uninterrupted)
    return upload


def signing_key(url):
    """The access key id that a URL names."""
    return parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].split("/")[0]


def write_urls(upload, life):
    for pinned in (True, False):
        urls = upload.urls(life, pinned)
        yield from urls.documents.values()
        yield from (request.url for request in urls.items.values())


def read_urls(upload, life):
    urls = upload.storage.reads.read_urls(upload.uuid, life)
    yield from (urls.admin_metadata, urls.manifest, urls.readme)
    for named in (urls.items, urls.overlays, urls.annotations):
        yield from named.values()
    yield upload.storage.reads.item_url(upload.uuid, next(iter(urls.items)), life)


@pytest.fixture
def pair(bucket):
    """The settings of a key pair that may write to the bucket and do nothing else."""
    return write_key(bucket)


@pytest.fixture
def storage(bucket, pair):
    return storage_of(bucket, in_capitals({**bucket.settings(), **pair}))


def test_urls_to_write_have_the_write_key_and_all_others_the_ordinary_one(bucket, storage, pair):
    upload, life = opened(storage), storage.reads.life(60)
    assert {signing_key(url) for url in write_urls(upload, life)} == {next(iter(pair.values()))}
    upload.deposit(life)
    assert {signing_key(url) for url in read_urls(upload, life)} == {bucket.access_key}


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "staged"])
def test_what_is_written_with_a_key_that_only_writes_can_be_frozen_and_read(storage, pinned):
    life = storage.reads.life(60)
    upload = opened(storage).deposit(life, pinned=pinned)
    assert upload.downloaded(life) == upload.contents


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "staged"])
@pytest.mark.parametrize("elsewhere", [True, False], ids=["another bucket", "this bucket"])
def test_an_unsigned_copy_source_reads_nothing(store, bucket, storage, s3, elsewhere, pinned):
    source = f"{bucket.name}-private" if elsewhere else bucket.name
    store.create_bucket(source)
    s3.put_object(Bucket=source, Key="salaries", Body=b"secret")
    upload = opened(storage)
    header = {"x-amz-copy-source": f"/{source}/salaries"}
    for request in upload.urls(storage.reads.life(60), pinned).items.values():
        headers = {**request.headers, **header}
        assert requests.put(request.url, headers=headers, timeout=30).status_code == 403
    held = upload.held()
    assert (held.final, held.staged) == ({}, {})


@pytest.mark.parametrize("spelled", [dict, in_capitals], ids=["exact", "capitals"])
def test_a_write_key_comes_from_flasks_config(bucket, pair, spelled):
    storage = storage_of(bucket, spelled({**bucket.settings(), **pair}))
    assert {signing_key(url) for url in write_urls(opened(storage), storage.reads.life(60))} == {
        next(iter(pair.values()))
    }


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_write_key_comes_from_where_dtools_settings_come_from(
    bucket, pair, environment, tmp_path, where
):
    config = in_capitals(bucket.settings())
    if where == "environment":
        environment(pair)
    else:
        path = tmp_path / "dtool.json"
        path.write_text(json.dumps(pair))
        config["DTOOL_CONFIG_PATH"] = str(path)
    storage = storage_of(bucket, config)
    assert {signing_key(url) for url in write_urls(opened(storage), storage.reads.life(60))} == {
        next(iter(pair.values()))
    }


@pytest.mark.parametrize("part", [0, 1])
def test_half_a_write_key_names_the_missing_half_and_no_secret(bucket, pair, part):
    missing = list(pair)[part]
    (kept,) = (value for name, value in pair.items() if name != missing)
    settings = {name: value for name, value in pair.items() if name != missing}
    with pytest.raises(StorageUnavailable, match=f"set {missing}\\.") as refusal:
        storage_of(bucket, in_capitals({**bucket.settings(), **settings}))
    assert kept not in str(refusal.value)


def test_a_life_is_cut_at_the_end_of_the_credentials_that_sign(bucket, pair, environment):
    ends = datetime.now(timezone.utc) + timedelta(seconds=300)
    environment(
        {
            "AWS_ACCESS_KEY_ID": "ASIATEMPORARY",
            "AWS_SECRET_ACCESS_KEY": "temporary-secret",
            "AWS_SESSION_TOKEN": "temporary/token+=",
            "AWS_CREDENTIAL_EXPIRATION": ends.isoformat(),
            "AWS_ENDPOINT_URL_S3": bucket.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    )
    ordinary, both = storage_of(bucket), storage_of(bucket, pair)
    for reading in (ordinary.reads.life(3600), ordinary.uploads.life(3600), both.reads.life(3600)):
        assert (reading.limited_by, reading.ends <= ends) == ("credentials", True)
    writing = both.uploads.life(3600)
    assert (writing.seconds, writing.limited_by) == (3600, None)


def test_without_a_write_key_the_ordinary_one_signs_everything(bucket):
    storage = storage_of(bucket, in_capitals(bucket.settings()))
    urls = write_urls(opened(storage), storage.reads.life(60))
    assert {signing_key(url) for url in urls} == {bucket.access_key}


def test_a_write_key_is_in_no_representation(bucket, pair):
    settings = Settings.load({**bucket.settings(), **pair}, {})
    shown = repr(settings) + repr(storage_of(bucket, pair | bucket.settings()))
    assert not any(secret in shown for secret in pair.values())


@pytest.mark.parametrize("has_one", [True, False])
def test_an_examination_writes_as_people_do(bucket, pair, has_one):
    settings = Settings.load({**bucket.settings(), **(pair if has_one else {})}, {})
    examined = S3Probe(BaseURI("s3", bucket.name), settings)
    key = next(iter(pair.values())) if has_one else bucket.access_key
    pinned, staged = examined.pinned_put("a", b"a"), examined.staged_url("b")
    assert examined.has_write_key() == has_one
    assert {signing_key(pinned.url), signing_key(staged)} == {key}
    assert put(pinned, b"a") == 200
    assert signing_key(examined.read_url("a")) == bucket.access_key
    assert get(examined.read_url("a")).content == b"a"
