"""Our signatures beside botocore's: byte for byte the same, for whatever a key may be."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.session
import pytest
from botocore.config import Config
from hypothesis import example, given
from hypothesis import strategies as st

from dserver_signed_url_plugin.filenames import served_as
from dserver_signed_url_plugin.storage.s3.layout import served
from dserver_signed_url_plugin.storage.s3.sigv4 import Credentials, Endpoint, QuerySigner


@dataclass(frozen=True)
class Site:
    """A bucket, how botocore is told of it, and where we say it is."""

    bucket: str
    endpoint: str | None
    style: str
    place: Endpoint


SITES = [
    Site("lab", "http://127.0.0.1:9000", "path",
         Endpoint("http", "127.0.0.1:9000", "/lab/", "r-1")),
    Site("lab", "https://s3.example.org", "path",
         Endpoint("https", "s3.example.org", "/lab/", "eu-central-1")),
    Site("lab", "https://s3.example.org:8443", "virtual",
         Endpoint("https", "lab.s3.example.org:8443", "/", "us-east-1")),
    Site("lab", "https://example.org/s3", "path",
         Endpoint("https", "example.org", "/s3/lab/", "us-east-1")),
    Site("lab.with.dots", None, "path",
         Endpoint("https", "s3.us-west-2.amazonaws.com", "/lab.with.dots/", "us-west-2")),
    Site("lab", None, "virtual",
         Endpoint("https", "lab.s3.eu-north-1.amazonaws.com", "/", "eu-north-1")),
]  # fmt: skip
KEYRINGS = [
    Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    Credentials("A/K+I=D ä", "sécret/+=", None),
    Credentials("ASIAEXAMPLE", "secret", "IQoJb3JpZ2luX2VjE/+==" * 20),
    Credentials("ASIAEXAMPLE", "secret", "~-_. token &?"),
]

sites = st.sampled_from(SITES)
keyrings = st.sampled_from(KEYRINGS)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.text(
    " +%~/.&=?#;:@!$'()*,[]\\\"^`{|}<>ä測🧪e\u0301\n\t", min_size=1, max_size=30
)
lives = st.integers(1, 604_800)
names = keys | st.from_regex(r"[\w.-]{1,30}", fullmatch=True)
printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
metadata = st.dictionaries(
    st.text("abcxyzABC0123456789-", min_size=1, max_size=12), printable, max_size=4
).filter(lambda names: len({name.lower() for name in names}) == len(names))


@cache
def client(site, credentials):
    alone = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    session = boto3.session.Session(
        credentials.access_key, credentials.secret_key, credentials.token, botocore_session=alone
    )
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": site.style},
        request_checksum_calculation="when_required",
    )
    region = site.place.region
    return session.client("s3", region_name=region, endpoint_url=site.endpoint, config=config)


def theirs(site, credentials, action, seconds, **parameters):
    """Return botocore's URL, and when it was signed."""
    url = client(site, credentials).generate_presigned_url(
        action, {"Bucket": site.bucket, **parameters}, seconds
    )
    stamp = parse_qs(urlsplit(url).query)["X-Amz-Date"][0]
    return url, datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)


@given(sites, keyrings, keys, lives)
@example(SITES[0], KEYRINGS[0], "/leading//and/trailing/", 60)
@example(SITES[0], KEYRINGS[0], "a/./b/../c", 60)
@example(SITES[2], KEYRINGS[2], "100% + 1 ~ ü 測定 🧪", 604_800)
@example(SITES[5], KEYRINGS[3], "//", 1)
def test_a_get_is_signed_as_botocore_signs_it(site, credentials, key, seconds):
    expected, signed_at = theirs(site, credentials, "get_object", seconds, Key=key)
    assert QuerySigner(site.place, credentials, signed_at, seconds).sign("GET", key) == expected


@given(sites, keyrings, keys, lives, st.binary(max_size=4), metadata)
@example(SITES[0], KEYRINGS[0], "key", 60, b"", {"Handle": "  inner   and outer  space "})
def test_a_pinned_put_is_signed_as_botocore_signs_it(
    site, credentials, key, seconds, content, meta
):
    md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
    headers = {"Content-MD5": md5, **{f"x-amz-meta-{n}": value for n, value in meta.items()}}
    expected, signed_at = theirs(
        site, credentials, "put_object", seconds, Key=key, ContentMD5=md5, Metadata=meta
    )
    signer = QuerySigner(site.place, credentials, signed_at, seconds)
    assert signer.sign("PUT", key, headers) == expected


@given(sites, keyrings, keys, lives, st.text(st.characters(exclude_categories=["Cs"])), printable)
@example(SITES[0], KEYRINGS[2], "key", 60, "attachment; filename=\"a b.txt\"; x*=UTF-8''%C3%9C", "")
@example(SITES[2], KEYRINGS[0], "a/./b", 60, "~-_.!*'()+%20%2B\r\n&=?#/", "text/plain; x=1")
def test_a_get_under_a_name_is_signed_as_botocore_signs_it(
    site, credentials, key, seconds, disposition, content_type
):
    expected, signed_at = theirs(
        site,
        credentials,
        "get_object",
        seconds,
        Key=key,
        ResponseContentDisposition=disposition,
        ResponseContentEncoding="identity",
        ResponseContentType=content_type,
    )
    parameters = {
        "response-content-disposition": disposition,
        "response-content-encoding": "identity",
        "response-content-type": content_type,
    }
    signer = QuerySigner(site.place, credentials, signed_at, seconds)
    assert signer.sign("GET", key, parameters=parameters) == expected


@given(sites, keyrings, keys, lives, st.integers(1, 10_000), printable, st.booleans())
@example(SITES[0], KEYRINGS[2], "key", 60, 1, "2~a/b+c=_.-~ &", True)
@example(SITES[5], KEYRINGS[1], "a b/ü", 604_800, 10_000, "VXBsb2FkIElE.x--", False)
def test_the_put_of_a_part_is_signed_as_botocore_signs_it(
    site, credentials, key, seconds, number, upload_id, is_pinned
):
    md5 = base64.b64encode(hashlib.md5(key.encode()).digest()).decode()
    more = {"ContentMD5": md5} if is_pinned else {}
    expected, signed_at = theirs(
        site,
        credentials,
        "upload_part",
        seconds,
        Key=key,
        PartNumber=number,
        UploadId=upload_id,
        **more,
    )
    headers = {"Content-MD5": md5} if is_pinned else {}
    parameters = {"partNumber": str(number), "uploadId": upload_id}
    signer = QuerySigner(site.place, credentials, signed_at, seconds)
    assert signer.sign("PUT", key, headers, parameters) == expected


@given(sites, keyrings, names, st.sampled_from(["attachment", "inline"]), lives)
@example(SITES[0], KEYRINGS[0], "run 1/Größe, (1) ~'é%20.csv", "inline", 60)
@example(SITES[2], KEYRINGS[2], "heights-1_a.tar.gz", "attachment", 60)
def test_an_item_is_signed_under_its_name_as_botocore_signs_it(
    site, credentials, relpath, disposition, seconds
):
    headers = served_as(relpath, disposition)
    expected, signed_at = theirs(
        site,
        credentials,
        "get_object",
        seconds,
        Key="key",
        ResponseContentDisposition=headers.content_disposition,
        ResponseContentEncoding="identity",
        ResponseContentType=headers.content_type,
    )
    signer = QuerySigner(site.place, credentials, signed_at, seconds)
    assert signer.sign("GET", "key", query=served(relpath, disposition)) == expected


@given(sites, keyrings, st.lists(keys, min_size=2, max_size=5), lives)
def test_one_signer_serves_many_keys_and_methods(site, credentials, many, seconds):
    signed_at = datetime(2024, 2, 29, 23, 59, 59, tzinfo=timezone.utc)
    shared = QuerySigner(site.place, credentials, signed_at, seconds)
    for key in many:
        named = {"response-content-type": "text/csv"}
        for what in (
            ("GET", key, None, named),
            ("GET", key),
            ("PUT", key, {"Content-MD5": "x"}),
            ("PUT", key, None, {"partNumber": "1", "uploadId": "x"}),
            ("PUT", key),
        ):
            alone = QuerySigner(site.place, credentials, signed_at, seconds)
            assert shared.sign(*what) == alone.sign(*what)


def test_whatever_is_signed_changes_the_signature():
    now = datetime(2024, 1, 15, 14, 30, tzinfo=timezone.utc)
    place, other_place = SITES[0].place, SITES[1].place
    credentials, other_credentials = KEYRINGS[0], KEYRINGS[2]
    urls = [
        QuerySigner(place, credentials, now, 60).sign("GET", "key"),
        QuerySigner(place, credentials, now, 60).sign("PUT", "key"),
        QuerySigner(place, credentials, now, 60).sign("GET", "other"),
        QuerySigner(place, credentials, now, 60).sign("GET", "key", {"x-amz-meta-a": "1"}),
        QuerySigner(place, credentials, now, 60).sign("GET", "key", {"x-amz-meta-a": "2"}),
        QuerySigner(place, credentials, now, 60).sign("GET", "key", {}, {"response-a": "1"}),
        QuerySigner(place, credentials, now, 60).sign("GET", "key", {}, {"response-a": "2"}),
        QuerySigner(place, credentials, now, 60).sign("GET", "key", {}, {"response-b": "1"}),
        QuerySigner(place, credentials, now, 61).sign("GET", "key"),
        QuerySigner(place, credentials, now.replace(second=1), 60).sign("GET", "key"),
        QuerySigner(other_place, credentials, now, 60).sign("GET", "key"),
        QuerySigner(place, other_credentials, now, 60).sign("GET", "key"),
    ]
    signatures = {url.rpartition("X-Amz-Signature=")[2] for url in urls}
    assert len(signatures) == len(urls)
    assert {len(signature) for signature in signatures} == {64}


def test_the_example_in_amazons_documentation_is_reproduced():
    place = Endpoint("https", "examplebucket.s3.amazonaws.com", "/", "us-east-1")
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    signed_at = datetime(2013, 5, 24, tzinfo=timezone.utc)
    url = QuerySigner(place, credentials, signed_at, 86400).sign("GET", "test.txt")
    documented = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    assert url.endswith(f"X-Amz-Signature={documented}")


@pytest.mark.parametrize("made", [repr, str])
def test_credentials_and_signers_do_not_show_their_secrets(made):
    credentials = Credentials("AKIDEXAMPLE", "the-secret-key", "the-session-token")
    now = datetime(2024, 1, 15, tzinfo=timezone.utc)
    for shown in (made(credentials), made(QuerySigner(SITES[0].place, credentials, now, 60))):
        assert "the-secret-key" not in shown
        assert "the-session-token" not in shown
