"""Where S3 settings and credentials come from, and for which address URLs are signed."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.s3 import S3Storage
from dserver_signed_url_plugin.uris import BaseURI
from tests.dserver import in_capitals
from tests.stored import Upload, put, uninterrupted

pytestmark = pytest.mark.usefixtures("alone")


def storage_of(bucket, config=None, environ=None):
    return S3Storage(BaseURI("s3", bucket.name), Settings.load(config or {}, environ or {}))


def staged_request(storage):
    """A signed PUT for a new upload's one item."""
    upload = Upload(storage, {"file": b"bytes"})
    return next(iter(upload.urls(storage.life(60), pinned=False).items.values()))


def opens(storage):
    """Tell whether the store takes what the storage signs, and takes its own requests."""
    upload = Upload(storage, {"file": b"bytes"})
    storage.open(upload.opening, uninterrupted)
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


@pytest.mark.parametrize("part", ["ENDPOINT", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"])
def test_incomplete_settings_name_what_is_missing_and_no_secret(bucket, part):
    settings = bucket.settings()
    missing = f"DTOOL_S3_{part}_{bucket.name}"
    del settings[missing]
    with pytest.raises(StorageUnavailable, match=f"set {missing}\\.$") as refusal:
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
