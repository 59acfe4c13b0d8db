"""Copies by our own requests: signed as botocore signs, and as many at a time as a store takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.parallel import PARALLEL, Pace, each
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.request_signer import RequestSigner
from dserver_signed_url_plugin.storage.s3.sigv4 import Credentials, Endpoint
from tests.support.large_store import LargeStore, StoredObject
from tests.support.tls import EncryptedProxy, certificate

MD5 = "0" * 32
METADATA = {"handle": "YQ==", "checksum": MD5}


@pytest.fixture
def large() -> Iterator[LargeStore]:
    store = LargeStore()
    with store as store.bucket:
        yield store


def connection(store: LargeStore) -> S3Connection:
    return S3Connection(store.name, Settings(dtool=store.bucket.settings()))


def copied(store: LargeStore, number: int, pace: Pace) -> list[bool]:
    """Copy so many objects; return what each copy says."""
    store.objects |= {f"from/{index}": StoredObject(MD5, 1) for index in range(number)}
    with connection(store).copies(pace) as copy:

        def one(index: int) -> bool:
            return copy(f"from/{index}", MD5, f"to/{index}", METADATA)

        return each(one, range(number), pace)


@pytest.mark.parametrize("token", [None, "a/session+token=="])
@pytest.mark.parametrize("prefix", ["/", "/bucket/"])
@pytest.mark.parametrize("key", ["plain", "a key/with ümlaut+~%&=.tif"])
def test_a_request_is_signed_as_botocore_signs_it(token, prefix, key):
    now = datetime.now(timezone.utc).replace(microsecond=0)
    endpoint = Endpoint("https", "store.example:9000", prefix, "eu-central-1")
    signer = RequestSigner(endpoint, Credentials("AK", "SK", token), now)
    sent = {"x-amz-copy-source": "bucket/%C3%BC", "x-amz-meta-handle": "YWJj"}
    path, headers = signer.sign("PUT", key, sent)

    request = AWSRequest("PUT", f"https://store.example:9000{path}", dict(sent))
    request.context["timestamp"] = headers["x-amz-date"]
    request.headers["X-Amz-Content-SHA256"] = headers["x-amz-content-sha256"]
    request.headers["X-Amz-Date"] = headers["x-amz-date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    auth = S3SigV4Auth(BotocoreCredentials("AK", "SK", token), "s3", "eu-central-1")
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert (
        f"SignedHeaders={auth.signed_headers(auth.headers_to_sign(request))},"
        in (headers["authorization"])
    )


def test_each_object_costs_one_request(large):
    assert copied(large, 100, Pace()) == [True] * 100
    assert large.requests == {"COPY": 100}
    expected = {"x-amz-meta-handle": "YQ==", "x-amz-meta-checksum": MD5}
    assert large.objects["to/99"] == StoredObject(MD5, 1, b"", expected)


def test_an_overloaded_store_is_given_fewer_copies_at_a_time(large):
    large.seconds["COPY"], large.most_copies = 0.01, 4
    pace = Pace()
    assert copied(large, 60, pace) == [True] * 60
    assert pace.limit < PARALLEL


def test_what_has_changed_or_vanished_is_not_copied(large):
    large.objects["changed"] = StoredObject("1" * 32, 1)
    with connection(large).copies(Pace()) as copy:
        assert not copy("changed", MD5, "to/changed", METADATA)
        assert not copy("vanished", MD5, "to/vanished", METADATA)
    assert not [key for key in large.objects if key.startswith("to/")]


def test_copies_trust_the_certificates_that_boto3_trusts(bucket, s3, tmp_path, monkeypatch):
    public, private = certificate(tmp_path)
    etag = s3.put_object(Bucket=bucket.name, Key="from", Body=b"bytes")["ETag"].strip('"')
    with EncryptedProxy(bucket) as proxy:
        proxy.encrypt(public, private)
        settings = Settings(dtool=bucket.settings(proxy.endpoint))
        stranger = S3Connection(bucket.name, settings)
        with stranger.copies(Pace()) as copy, pytest.raises(StorageUnavailable):
            copy("from", etag, "to", METADATA)
        assert not proxy.requests
        monkeypatch.setenv("AWS_CA_BUNDLE", str(public))
        with S3Connection(bucket.name, settings).copies(Pace()) as copy:
            assert copy("from", etag, "to", METADATA)
        assert [request.is_copy for request in proxy.requests] == [True]
    assert s3.head_object(Bucket=bucket.name, Key="to")["Metadata"] == METADATA


def test_copies_go_through_the_proxy_that_boto3_uses(large, monkeypatch):
    monkeypatch.setenv("http_proxy", large.bucket.endpoint)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    large.bucket = replace(large.bucket, endpoint="http://store.invalid:9000")
    assert copied(large, 3, Pace()) == [True] * 3
    assert large.requests == {"COPY": 3}
