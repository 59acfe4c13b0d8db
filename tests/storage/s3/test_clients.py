"""Where S3 settings and credentials come from, and for which address URLs are signed."""

from __future__ import annotations

import json
import subprocess
from urllib.parse import urlsplit

import pytest
import requests
import urllib3
from botocore.utils import parse_timestamp

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.s3 import s3_storage
from dserver_signed_url_plugin.storage.s3.clients import parsed_timestamp
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.dserver import in_capitals
from tests.support.programs import program
from tests.support.proxy import StoreProxy
from tests.support.stored_upload import README, Upload, put, uninterrupted
from tests.support.stub_store import Faults, StubStore

pytestmark = pytest.mark.usefixtures("alone")


def storage_of(bucket, config=None, environ=None):
    return s3_storage(BaseURI("s3", bucket.name), Settings.load(config or {}, environ or {}))


def staged_request(storage):
    """A signed PUT for a new upload's one item."""
    upload = Upload(storage, {"file": b"bytes"})
    return next(iter(upload.urls(storage.reads.life(60), pinned=False).items.values()))


def opens(storage):
    """Return whether the store takes what the storage signs, and takes its own requests."""
    upload = Upload(storage, {"file": b"bytes"})
    storage.uploads.create(upload.opening, uninterrupted)
    return put(staged_request(storage), b"bytes") == 200


# Where dtool's settings come from ------------------------------------------------------------


def test_settings_come_from_the_environment(bucket, environment):
    environment(bucket.settings())
    assert opens(storage_of(bucket))


@pytest.mark.parametrize("spelled", [dict, in_capitals], ids=["exact", "capitals"])
def test_settings_come_from_flasks_config(bucket, spelled):
    assert opens(storage_of(bucket, spelled(bucket.settings())))


def test_flasks_config_comes_before_the_environment(bucket, environment):
    environment(dict.fromkeys(bucket.settings(), "http://127.0.0.1:9"))
    assert opens(storage_of(bucket, in_capitals(bucket.settings())))


@pytest.mark.parametrize("where", ["config", "environ"])
def test_settings_come_from_the_file_that_dtool_config_path_names(bucket, tmp_path, where):
    path = tmp_path / "dtool.json"
    path.write_text(json.dumps(bucket.settings()))
    assert opens(storage_of(bucket, **{where: {"DTOOL_CONFIG_PATH": str(path)}}))


def test_settings_come_from_dtools_own_file(bucket, monkeypatch, tmp_path):
    path = tmp_path / "dtool.json"
    path.write_text(json.dumps(bucket.settings()))
    monkeypatch.setattr("dtoolcore.utils.DEFAULT_CONFIG_PATH", str(path))
    assert opens(storage_of(bucket))


def test_a_broken_file_of_dtools_is_said_so(bucket, monkeypatch, tmp_path):
    path = tmp_path / "dtool.json"
    path.write_text("{")
    monkeypatch.setattr("dtoolcore.utils.DEFAULT_CONFIG_PATH", str(path))
    with pytest.raises(StorageUnavailable, match="dtool configuration is not JSON"):
        storage_of(bucket)


@pytest.mark.parametrize("where", ["config", "environ", "DTOOL_CONFIG_PATH", "dtool's own"])
def test_settings_may_have_blanks_and_line_breaks_around_them(
    bucket, where, environment, monkeypatch, tmp_path
):
    spaced = {name: f" {value}\n" for name, value in bucket.settings().items()}
    path = tmp_path / "dtool.json"
    if where == "config":
        assert opens(storage_of(bucket, in_capitals(spaced)))
    elif where == "environ":
        environment(spaced)
        assert opens(storage_of(bucket, environ=spaced))
    else:
        path.write_text(json.dumps(spaced))
        if where == "dtool's own":
            monkeypatch.setattr("dtoolcore.utils.DEFAULT_CONFIG_PATH", str(path))
        named = {} if where == "dtool's own" else {"DTOOL_CONFIG_PATH": f" {path}\n"}
        assert opens(storage_of(bucket, named))


def test_a_prefix_has_no_blanks_around_it(bucket):
    name = f"DTOOL_S3_DATASET_PREFIX_{bucket.name}"
    url = staged_request(storage_of(bucket, {**bucket.settings(), name: " u/alice/\n"})).url
    assert urlsplit(url).path.startswith(f"/{bucket.name}/u/alice/")


def test_what_dtools_own_file_says_since_is_looked_at_when_it_is_used(
    bucket, monkeypatch, tmp_path
):
    path = tmp_path / "dtool.json"
    monkeypatch.setattr("dtoolcore.utils.DEFAULT_CONFIG_PATH", str(path))
    for name in ("ENDPOINT", "ACCESS_KEY_ID", "REGION"):
        setting = f"DTOOL_S3_{name}_{bucket.name}"
        path.write_text(json.dumps({**bucket.settings(), setting: "http://ge heim_"}))
        with pytest.raises(StorageUnavailable, match=f"{setting} must") as refusal:
            storage_of(bucket)
        assert "heim" not in str(refusal.value)


def test_an_address_of_botos_own_that_is_none_is_said_so(bucket, environment):
    environment({"AWS_ENDPOINT_URL_S3": "http://minio_server:9000"})
    with pytest.raises(StorageUnavailable, match="AWS_ENDPOINT_URL"):
        storage_of(bucket)


@pytest.mark.parametrize("part", ["ENDPOINT", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"])
def test_incomplete_settings_name_what_is_missing_and_no_secret(bucket, part):
    settings = bucket.settings()
    missing = f"DTOOL_S3_{part}_{bucket.name}"
    del settings[missing]
    with pytest.raises(StorageUnavailable, match=f"set {missing}\\.") as refusal:
        storage_of(bucket, in_capitals(settings))
    for secret in (bucket.access_key, bucket.secret_key):
        assert secret not in str(refusal.value)


# For which address it is signed --------------------------------------------------------------


def public(bucket):
    return bucket.endpoint.replace("127.0.0.1", "localhost")


def bare(url):
    return urlsplit(url).netloc


FOR_THE_PUBLIC = {
    "public endpoint": lambda b: {f"DTOOL_S3_PUBLIC_ENDPOINT_{b.name}": public(b)},
    "rewritten host": lambda b: {
        "SIGNED_URL_HOST_REWRITE": f"{bare(b.endpoint)}|{bare(public(b))}"
    },
    "rewritten URL": lambda b: {"SIGNED_URL_HOST_REWRITE": f"{b.endpoint}|{public(b)}/"},
    "rewritten name": lambda b: {"SIGNED_URL_HOST_REWRITE": f"127.0.0.1|{bare(public(b))}"},
}


@pytest.mark.parametrize("spelled", [dict, in_capitals], ids=["exact", "capitals"])
@pytest.mark.parametrize("how", FOR_THE_PUBLIC)
def test_urls_are_signed_for_the_public_address_and_open_there(bucket, how, spelled):
    settings = spelled({**bucket.settings(), **FOR_THE_PUBLIC[how](bucket)})
    storage = storage_of(bucket, settings)
    assert bare(staged_request(storage).url) == bare(public(bucket))
    assert opens(storage)


def test_a_public_endpoint_may_stand_in_the_environment(bucket, environment):
    environment({**bucket.settings(), **FOR_THE_PUBLIC["public endpoint"](bucket)})
    assert bare(staged_request(storage_of(bucket)).url) == bare(public(bucket))


@pytest.mark.parametrize(
    ("signed_for", "sent_to"), [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1")]
)
def test_a_url_whose_host_was_edited_is_refused(bucket, signed_for, sent_to):
    endpoint = bucket.endpoint.replace("127.0.0.1", signed_for)
    settings = {**bucket.settings(), f"DTOOL_S3_PUBLIC_ENDPOINT_{bucket.name}": endpoint}
    request = staged_request(storage_of(bucket, settings))
    edited = type(request)(request.url.replace(signed_for, sent_to))
    assert put(edited, b"bytes") == 403
    assert put(request, b"bytes") == 200


def test_the_public_endpoint_counts_more_than_a_rewritten_host(bucket):
    rewrite = {"SIGNED_URL_HOST_REWRITE": "127.0.0.1|elsewhere.example"}
    settings = {**bucket.settings(), **FOR_THE_PUBLIC["public endpoint"](bucket), **rewrite}
    assert bare(staged_request(storage_of(bucket, settings)).url) == bare(public(bucket))


def test_another_hosts_rewriting_leaves_this_one_alone(bucket):
    settings = {**bucket.settings(), "SIGNED_URL_HOST_REWRITE": "minio:9000|s3.example.org"}
    storage = storage_of(bucket, settings)
    assert bare(staged_request(storage).url) == bare(bucket.endpoint)
    assert opens(storage)


def test_a_rewritten_host_may_change_the_scheme(bucket):
    rewrite = {"SIGNED_URL_HOST_REWRITE": f"{bare(bucket.endpoint)}|https://s3.example.org"}
    url = staged_request(storage_of(bucket, {**bucket.settings(), **rewrite})).url
    assert url.startswith(f"https://s3.example.org/{bucket.name}/")


@pytest.mark.parametrize("endpoint", ["https://s3.example.org:443", "http://s3.example.org:80"])
def test_a_default_port_which_clients_do_not_send_is_not_signed(bucket, endpoint):
    settings = {**bucket.settings(), f"DTOOL_S3_PUBLIC_ENDPOINT_{bucket.name}": endpoint}
    assert bare(staged_request(storage_of(bucket, settings)).url) == "s3.example.org"


# However the address is spelled --------------------------------------------------------------


def by_requests(url, proxy):
    return requests.get(url, proxies={"http": proxy}, timeout=30).content


def by_urllib3(url, proxy):
    with urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager() as pool:
        return pool.request("GET", url).data


def by_curl(url, proxy):
    through = ["--proxy", proxy] if proxy else ["--noproxy", "*"]
    return subprocess.run(
        [program("curl"), "-sS", *through, url], check=True, capture_output=True, timeout=30
    ).stdout


WAYS = (by_requests, by_urllib3, by_curl)


def written(storage):
    """A dataset; returns the URL of its README."""
    upload = Upload(storage)
    storage.uploads.create(upload.opening, uninterrupted)
    upload.deposit(storage.reads.life(60))
    return storage.reads.read_urls(upload.uuid, storage.reads.life(60)).readme


@pytest.mark.parametrize("where", ["ENDPOINT", "PUBLIC_ENDPOINT", "REWRITE", "AWS"])
@pytest.mark.parametrize(
    "host", ["LocalHost:0", "127.1:", "0x7f.1:0", "2130706433:", "localhost.:"]
)
def test_every_client_follows_a_url_however_the_host_is_spelled(bucket, environment, host, where):
    spelled = f"http://{host}{urlsplit(bucket.endpoint).port}"
    settings = bucket.settings()
    if where == "REWRITE":
        settings["SIGNED_URL_HOST_REWRITE"] = f"127.1|{bare(spelled)}"
    elif where == "AWS":
        environment(
            {
                "AWS_ENDPOINT_URL_S3": spelled,
                "AWS_ACCESS_KEY_ID": bucket.access_key,
                "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        )
        settings = {}
    else:
        settings[f"DTOOL_S3_{where}_{bucket.name}"] = spelled
    url = written(storage_of(bucket, settings))
    assert [follow(url, None).decode() for follow in WAYS] == [README] * len(WAYS)


@pytest.mark.parametrize(
    ("spelled", "sent"),
    [
        ("http://Store.Example.ORG", "store.example.org"),
        ("http://store.example.org:080", "store.example.org"),
        ("http://store.example.org.:9000", "store.example.org:9000"),
        ("http://bücher.example", "xn--bcher-kva.example"),
        ("http://faß.example:9000", "xn--fa-hia.example:9000"),
        ("http://[0:0:0:0:0:0:0:1]:9000", "[::1]:9000"),
        ("http://[2001:DB8:0::01]", "[2001:db8::1]"),
    ],
)
def test_every_client_sends_the_host_that_is_signed(bucket, spelled, sent):
    settings = {**bucket.settings(), f"DTOOL_S3_PUBLIC_ENDPOINT_{bucket.name}": spelled}
    # Through a proxy, because no such host is known here; it hands on what the client calls it.
    with StoreProxy(bucket) as proxy:
        storage = storage_of(bucket, settings)
        # Only its own address is the server's way, and so is what it writes.
        upload = Upload(storage)
        storage.uploads.create(upload.opening, uninterrupted)
        storage.uploads.freeze(upload.uuid, upload.freezing(), uninterrupted)
        url = storage.reads.read_urls(upload.uuid, storage.reads.life(60)).readme
        assert bare(url) == sent
        for follow in WAYS:
            assert follow(url, proxy.endpoint).decode() == README
            assert proxy.requests[-1].headers["host"] == sent


# Regions ---------------------------------------------------------------------------------------


def test_one_server_signs_for_two_stores_in_two_regions():
    regions = {"north": "eu-north-1", "ceph": "RegionOne"}
    for name, region in regions.items():
        with StubStore(Faults(region=region, minds_region=True), name=name) as place:
            settings = {**place.settings(), f"DTOOL_S3_REGION_{name}": f"{region}\n"}
            assert opens(storage_of(place, in_capitals(settings)))
            with pytest.raises(StorageUnavailable, match="AuthorizationHeaderMalformed"):
                opens(storage_of(place, place.settings()))


def test_where_the_region_is_set_aws_is_not_asked_for_it(environment):
    environment({"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"})
    settings = Settings.load({"DTOOL_S3_REGION_lab-far": "eu-central-1"}, {})
    assert S3Connection("lab-far", settings).endpoint.region == "eu-central-1"


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T23:59:59.123Z",
        "2026-01-31T23:59:59Z",
        "2026-01-31T23:59:59.123456+02:00",
        "Sat, 31 Jan 2026 23:59:59 GMT",
        1769900000,
    ],
)
def test_a_timestamp_is_read_as_botocore_reads_it(value):
    assert parsed_timestamp(value) == parse_timestamp(value)


@pytest.mark.parametrize("value", ["", "yesterday", "2026-13-01T00:00:00Z"])
def test_what_is_no_timestamp_is_refused_as_botocore_refuses_it(value):
    with pytest.raises(ValueError, match="."):
        parsed_timestamp(value)
