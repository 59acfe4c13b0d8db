"""What people may write for a dserver, a base URI, a dataset or an item."""

from __future__ import annotations

from contextlib import suppress

import pytest
from dserver_client.errors import UsageError
from dserver_client.settings import Settings
from dserver_client.uris import Address, dserver_uri, parse, split_item
from hypothesis import given
from hypothesis import strategies as st

UUID = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"
UNKNOWN = Settings()
KNOWN = Settings(
    url="https://lab.org/lookup",
    servers=("https://lab.org/lookup", "http://lab.org:5000", "https://lab.org/s3/bucket"),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dserver://lab.org", Address("https://lab.org")),
        ("dserver://lab.org/", Address("https://lab.org")),
        ("dserver://lab.org/lookup", Address("https://lab.org/lookup")),
        ("dserver://lab.org/s3/bucket", Address("https://lab.org", "s3://bucket")),
        ("dserver://lab.org/s3/bucket/", Address("https://lab.org", "s3://bucket")),
        (
            f"dserver://lab.org/s3/bucket/{UUID}",
            Address("https://lab.org", f"s3://bucket/{UUID}", UUID),
        ),
        (f"dserver://lab.org/{UUID}", Address("https://lab.org", None, UUID)),
        (f"dserver://lab.org/a/b/{UUID}/", Address("https://lab.org", f"a://b/{UUID}", UUID)),
        (f"dserver://lab.org/a/{UUID}", Address("https://lab.org/a", None, UUID)),
        (f"dserver://lab.org/a/b/c/{UUID}", Address("https://lab.org/a/b/c", None, UUID)),
        ("dserver://lab.org/a/azure/lab", Address("https://lab.org/a", "azure://lab")),
        ("dserver://lab.org/s3/s3/bucket", Address("https://lab.org/s3", "s3://bucket")),
        ("dserver://lab.org/s3/bucket/s3/b", Address("https://lab.org/s3/bucket", "s3://b")),
        ("dserver://LAB.org:5000/s3/Bucket", Address("https://lab.org:5000", "s3://Bucket")),
        ("dserver://localhost:5000/s3/b", Address("http://localhost:5000", "s3://b")),
        ("dserver://127.0.0.1/s3/b", Address("http://127.0.0.1", "s3://b")),
        ("dserver://[::1]:5000/s3/b", Address("http://[::1]:5000", "s3://b")),
        ("dserver://[2001:DB8::1]/s3/b", Address("https://[2001:db8::1]", "s3://b")),
        (
            f"dserver://lab.org/s3/bucket/{UUID.upper()}",
            Address("https://lab.org", f"s3://bucket/{UUID}", UUID),
        ),
    ],
)
def test_an_unknown_dserver_is_read_from_the_end(text, expected):
    assert parse(text, UNKNOWN) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dserver://lab.org/lookup", Address("https://lab.org/lookup")),
        ("dserver://lab.org/lookup/s3/bucket", Address("https://lab.org/lookup", "s3://bucket")),
        (f"dserver://lab.org/lookup/{UUID}", Address("https://lab.org/lookup", None, UUID)),
        ("dserver://lab.org:5000/s3/bucket", Address("http://lab.org:5000", "s3://bucket")),
        ("dserver://lab.org/s3/bucket", Address("https://lab.org/s3/bucket")),
        ("dserver://lab.org/s3/bucket/s3/b", Address("https://lab.org/s3/bucket", "s3://b")),
        ("dserver://lab.org/lookup2/s3/bucket", Address("https://lab.org/lookup2", "s3://bucket")),
        (
            f"dserver://lab.org/lookup/file/host/data/{UUID}",
            Address("https://lab.org/lookup", f"file://host/data/{UUID}", UUID),
        ),
        ("s3://bucket", Address("https://lab.org/lookup", "s3://bucket")),
        (UUID, Address("https://lab.org/lookup", None, UUID)),
        (f"azure://lab/{UUID}", Address("https://lab.org/lookup", f"azure://lab/{UUID}", UUID)),
    ],
)
def test_the_prefix_of_a_known_dserver_counts(text, expected):
    assert parse(text, KNOWN) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://other.org/lookup/", Address("https://other.org/lookup")),
        (f"https://other.org/datasets/{UUID}", Address("https://other.org", None, UUID)),
        (f"https://lab.org/lookup/x/{UUID}?tab=1", Address("https://lab.org/lookup", None, UUID)),
        (
            f"https://lab.org/x#/dataset?uri=s3%3A%2F%2Fbucket%2F{UUID}&page=1",
            Address("https://lab.org", f"s3://bucket/{UUID}", UUID),
        ),
        (
            f"http://other.org/a/signed-urls/dataset/s3:%2F%2Fbucket%2F{UUID}",
            Address("http://other.org/a", f"s3://bucket/{UUID}", UUID),
        ),
    ],
)
def test_addresses_from_a_browser_are_understood(text, expected):
    assert parse(text, KNOWN) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bucket",
        "dserver://",
        "dserver:///s3/bucket",
        "dserver://user:secret@lab.org/s3/bucket",
        "dserver://lab.org:port/s3/bucket",
        "dserver://lab.org:99999/s3/bucket",
        "dserver://lab org/s3/bucket",
        "dserver://lab.org/s3/buc ket",
        "dserver://lab.org/s3/bucket?x",
        "s3://bucket/folder",
        "s3://",
        "C:\\data",
    ],
)
def test_anything_else_is_refused_with_a_sentence(text):
    with pytest.raises(UsageError) as raised:
        parse(text, KNOWN)
    assert str(raised.value).endswith(".")
    assert "secret" not in str(raised.value)


def test_a_uri_in_the_store_needs_a_dserver():
    with pytest.raises(UsageError, match="DSERVER_URL"):
        parse("s3://bucket", UNKNOWN)


def test_the_protocol_of_the_settings_counts():
    settings = Settings(protocol="http", servers=("https://lab.org/lookup",))
    assert parse("dserver://lab.org/s3/b", settings).server_url == "http://lab.org"
    settings = Settings(protocol="https")
    assert parse("dserver://localhost/s3/b", settings).server_url == "https://localhost"


@pytest.mark.parametrize("relpath", ["a.txt", "a b/ü?#.txt", f"x/{UUID}/y", "a//b", "100%.txt"])
def test_an_item_is_what_follows_the_uuid(relpath):
    address, found = split_item(f"dserver://lab.org/s3/bucket/{UUID}/{relpath}")
    assert (parse(address, UNKNOWN).uri, found) == (f"s3://bucket/{UUID}", relpath)


def test_an_address_may_end_with_the_uuid():
    text = f"dserver://lab.org/{UUID}"
    assert split_item(text) == (text, "")


def test_an_address_without_a_dataset_is_refused():
    with pytest.raises(UsageError):
        split_item("dserver://lab.org/s3/b/a.txt")


words = st.sampled_from(["s3", "azure", "bucket", "lookup", "signed-urls", "x", "file"])
hosts = st.sampled_from(["lab.org", "localhost", "127.0.0.1:5000", "[::1]", "[2001:db8::1]:8443"])
prefixes = st.lists(words, max_size=3).map("/".join).map(lambda path: path and f"/{path}")


@given(
    st.sampled_from(["http", "https"]),
    hosts,
    prefixes,
    st.sampled_from(["s3", "azure"]),
    st.text("aB1._-", min_size=1, max_size=9),
    st.uuids().map(str),
)
def test_what_is_written_is_read_again(scheme, host, prefix, store, bucket, uuid):
    url = f"{scheme}://{host}{prefix}"
    settings = Settings(url=url, servers=(url,))
    uri = f"{store}://{bucket}/{uuid}"
    assert parse(dserver_uri(url, uri), settings) == Address(url, uri, uuid)
    assert parse(dserver_uri(url, f"{store}://{bucket}"), settings).uri == f"{store}://{bucket}"
    # Without knowing the dserver, too: a UUID and the name of a store are the end.
    assert parse(dserver_uri(url, uri), UNKNOWN).uri == uri
    assert parse(str(Address(url, uri, uuid)), settings).uri == uri
    assert parse(str(Address(url, None, uuid)), settings) == Address(url, None, uuid)


@given(st.text())
def test_no_text_is_anything_but_an_address_or_a_usage_error(text):
    for prefix in ("", "dserver://", "dserver://lab.org/", "https://", "s3://"):
        with suppress(UsageError):
            parse(prefix + text, KNOWN)
