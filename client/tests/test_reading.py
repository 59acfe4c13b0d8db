from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from dserver_client.errors import Refused, VerificationFailed
from dserver_client.reading import BLOCK

from client.tests.support.proxied_lab import ProxiedLab, some_bytes
from tests.support.proxy import Fault, Instead, Request

CONTENT = some_bytes(5 * BLOCK + 1_234)


@pytest.fixture(scope="module")
def uri(shared_proxied_lab: ProxiedLab) -> str:
    return shared_proxied_lab.deposit({"a/large": CONTENT, "empty": b"", "text": b"1\n2\n3\n"})


def test_an_item_is_read_as_a_file(proxied: ProxiedLab, uri: str) -> None:
    with proxied.client.open(uri, "a/large") as file:
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        assert file.read(10) == CONTENT[:10]
        assert file.seek(-20, io.SEEK_END) == len(CONTENT) - 20
        assert file.read() == CONTENT[-20:]
        assert file.read(1) == b""
        file.seek(BLOCK - 5)
        assert file.read(10) == CONTENT[BLOCK - 5 : BLOCK + 5]
        file.seek(0)
        assert file.read() == CONTENT
        file.seek(len(CONTENT) + 5)
        assert file.read(1) == b""


def test_only_what_is_needed_is_fetched_and_once(proxied: ProxiedLab, uri: str) -> None:
    with proxied.client.open(uri, "a/large") as file:
        for _ in range(3):
            file.seek(3 * BLOCK + 7)
            assert file.read(100) == CONTENT[3 * BLOCK + 7 :][:100]
    [request] = proxied.item_requests()
    assert request.headers["range"] == f"bytes={3 * BLOCK}-{4 * BLOCK - 1}"


def test_who_reads_on_gets_more_with_each_request(proxied: ProxiedLab, uri: str) -> None:
    with proxied.client.open(uri, "a/large") as file:
        pieces = iter(lambda: file.read(50_000), b"")
        assert b"".join(pieces) == CONTENT
    assert len(proxied.item_requests()) == 3


def test_lines_are_read(proxied: ProxiedLab, uri: str) -> None:
    with io.TextIOWrapper(proxied.client.open(uri, "text")) as file:
        assert list(file) == ["1\n", "2\n", "3\n"]


def test_an_empty_item_needs_no_request(proxied: ProxiedLab, uri: str) -> None:
    with proxied.client.open(uri, "empty") as file:
        assert file.read() == b""
    assert not proxied.item_requests()


def test_an_item_that_is_none_is_refused(proxied: ProxiedLab, uri: str) -> None:
    with pytest.raises(Refused, match="has no item 'other'"):
        proxied.client.open(uri, "other")


def test_an_expired_url_is_signed_anew(proxied: ProxiedLab, uri: str) -> None:
    with proxied.client.open(uri, "a/large") as file:
        file.read(1)
        proxied.proxy.fail(Fault.REFUSED, at=1)
        file.seek(-1, io.SEEK_END)
        assert file.read() == CONTENT[-1:]


def test_two_objects_are_never_mixed(proxied: ProxiedLab, uri: str) -> None:
    with proxied.client.open(uri, "a/large") as file:
        file.read(1)
        proxied.proxy.before = lambda request: (
            Instead(412) if "if-match" in request.headers else None
        )
        file.seek(-1, io.SEEK_END)
        with pytest.raises(VerificationFailed, match="has changed"):
            file.read()


def test_threads_may_share_a_file(proxied: ProxiedLab, uri: str) -> None:
    with proxied.client.open(uri, "a/large") as file, ThreadPoolExecutor(8) as pool:
        pieces = list(pool.map(lambda _: file.read(10_000), range(len(CONTENT) // 10_000 + 1)))
    expected = [CONTENT[first : first + 10_000] for first in range(0, len(CONTENT), 10_000)]
    assert sorted(pieces) == sorted(expected)


def test_a_connection_that_breaks_is_continued(proxied: ProxiedLab, uri: str) -> None:
    cut: list[Request] = []

    def after(request: Request) -> Fault | None:
        if "/data/" in request.target and not cut:
            cut.append(request)
            return Fault.DROPPED
        return None

    proxied.proxy.after = after
    with proxied.client.open(uri, "a/large") as file:
        assert file.read() == CONTENT
    assert cut
