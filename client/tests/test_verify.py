from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dtoolcore.utils import generate_identifier

from client.tests.support.proxied_lab import ProxiedLab, etag
from dserver_signed_url_plugin.demo.store import s3_client
from tests.support.clients import FILES

RELPATH = "data/file1.txt"


@pytest.fixture
def put(proxied: ProxiedLab) -> Callable[[str, bytes | None], None]:
    """Replace an object of an item past dserver, or delete it."""
    bucket = proxied.dserver.bucket
    s3: Any = s3_client(bucket.endpoint, bucket.access_key, bucket.secret_key)

    def put(uri: str, content: bytes | None) -> None:
        uuid = uri.rpartition("/")[2]
        place = {"Bucket": bucket.name, "Key": f"{uuid}/data/{generate_identifier(RELPATH)}"}
        if content is None:
            s3.delete_object(**place)
        else:
            s3.put_object(**place, Body=content)

    return put


@pytest.mark.parametrize("full", [False, True])
def test_a_store_that_has_all_items_is_right(proxied: ProxiedLab, full: bool) -> None:
    uri = proxied.deposit(FILES)
    verified = proxied.client.verify(uri, full=full)
    assert verified.is_right
    assert (verified.items, verified.hashes_compared) == (3, 3)
    assert verified.size_in_bytes == sum(map(len, FILES.values()))
    ranges = {request.headers.get("range") for request in proxied.item_requests()}
    assert (ranges == {None}) == full


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("content", "what"),
    [(None, "missing"), (b"other", "wrong_size"), (b"CONTENT1", "wrong_hash")],
)
def test_items_that_differ_in_the_store_are_named(
    proxied: ProxiedLab,
    put: Callable[[str, bytes | None], None],
    content: bytes | None,
    what: str,
    full: bool,
) -> None:
    uri = proxied.deposit(FILES)
    put(uri, content)
    verified = proxied.client.verify(uri, full=full)
    assert not verified.is_right
    named = {name: getattr(verified, name) for name in ("missing", "wrong_size", "wrong_hash")}
    assert named == {"missing": [], "wrong_size": [], "wrong_hash": [], what: [RELPATH]}


def test_an_etag_that_is_no_md5_of_the_item_is_not_believed(proxied: ProxiedLab) -> None:
    uri = proxied.deposit(FILES)
    proxied.proxy.headed = lambda request, headers: (
        {**headers, "ETag": etag(b"salt")} if "/data/" in request.target else headers
    )
    # The store would know the ETag that it has sent.
    proxied.proxy.before = lambda request: request.headers.pop("if-match", None) and None
    assert proxied.client.verify(uri).is_right


def test_what_the_store_does_not_know_is_not_counted(proxied: ProxiedLab) -> None:
    uri = proxied.deposit(FILES)
    proxied.proxy.headed = lambda request, headers: (
        {**headers, "ETag": '"abc-2"'} if "/data/" in request.target else headers
    )
    assert proxied.client.verify(uri).hashes_compared == 0
    assert proxied.client.verify(uri, full=True).hashes_compared == 3


@pytest.mark.parametrize("as_dataset", [False, True])
def test_a_directory_is_compared(proxied: ProxiedLab, tmp_path: Path, as_dataset: bool) -> None:
    uri = proxied.deposit({"a": b"1", "b": b"2", "c/d": b"3", "e": b"4"})
    directory = tmp_path / "dest"
    proxied.client.fetch(uri, directory, as_dataset=as_dataset)
    assert proxied.client.verify(uri, directory, full=True).is_right
    data = directory / "data" if as_dataset else directory
    (data / "a").write_bytes(b"x")
    (data / "b").write_bytes(b"22")
    (data / "c" / "d").unlink()
    quick, full = (proxied.client.verify(uri, directory, full=full) for full in (False, True))
    assert quick.missing == full.missing == ["c/d"]
    assert quick.wrong_size == full.wrong_size == ["b"]
    assert (quick.wrong_hash, full.wrong_hash) == ([], ["a"])


def test_a_directory_with_safe_names_is_compared(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a?b": b"1"})
    proxied.client.fetch(uri, tmp_path, names="safe")
    assert proxied.client.verify(uri, tmp_path, names="safe").is_right
    assert proxied.client.verify(uri, tmp_path).missing == ["a?b"]
