"""Deposits through a store that fails, and of files that change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dserver_client.announcement import Description
from dserver_client.client import Client
from dserver_client.deposit import deposit
from dserver_client.errors import FileChanged, StoreRefused
from dserver_client.local_files import find_files
from dserver_client.progress import NoProgress

from client.tests.support.deposits import (
    MIB,
    README,
    Counts,
    Interrupted,
    StopsAfter,
    contents,
    local_contents,
    one_at_a_time,
)
from client.tests.support.proxied_lab import ProxiedLab, proxied_lab
from dserver_signed_url_plugin.demo.store import LocalStore
from tests.support.databases import Database
from tests.support.dserver import Bucket, Dserver, in_capitals
from tests.support.proxy import Fault, Instead, Request, StoreProxy

Make = Callable[..., Dserver]


@pytest.fixture(scope="module")
def lab_with_parts(
    store: LocalStore,
    jwt_settings: dict[str, Any],
    jwt_tokens: dict[str, str],
    database: Database,
) -> Iterator[ProxiedLab]:
    """A dserver that signs for a proxy in front of its store, with parts of 5 MiB."""
    store.create_bucket("deposits-in-parts")
    bucket = Bucket("deposits-in-parts", store.endpoint, store.access_key, store.secret_key)
    url = database.create()
    settings = {"SQLALCHEMY_DATABASE_URI": url, "SIGNED_URL_PART_BYTES": 5 * MIB}
    with proxied_lab(bucket, {**jwt_settings, **settings}, jwt_tokens) as made:
        yield made
    database.drop(url)


@pytest.fixture
def behind_proxy(lab_with_parts: ProxiedLab) -> tuple[Dserver, Client]:
    """The same, with a proxy that forwards everything and has forgotten all requests."""
    lab_with_parts.proxy.heal()
    lab_with_parts.proxy.forget()
    return lab_with_parts.dserver, lab_with_parts.client


@pytest.fixture
def proxy(lab_with_parts: ProxiedLab) -> StoreProxy:
    return lab_with_parts.proxy


def of_items(proxy: StoreProxy) -> list[Request]:
    """Return the requests that sent the content of an item, or of a part."""
    return [each for each in proxy.requests if "/data/" in each.target and each.body]


def test_a_file_that_changes_before_it_is_sent_ends_the_deposit(
    behind_proxy: tuple[Dserver, Client], ten_files: Path
) -> None:
    dserver, client = behind_proxy

    class Changes(NoProgress):
        def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
            if phase == "send":
                (ten_files / "7.txt").write_text("changed")

    with pytest.raises(FileChanged, match=r"7\.txt has changed.*--restart"):
        one_at_a_time(client, ten_files, dserver.base_uri, Changes())

    done = one_at_a_time(client, ten_files, dserver.base_uri, restart=True)
    assert contents(dserver, done.uri) == local_contents(ten_files)


def test_other_bytes_of_the_same_size_and_time_are_refused_and_hashed_again(
    behind_proxy: tuple[Dserver, Client], ten_files: Path
) -> None:
    dserver, client = behind_proxy
    changing = ten_files / "7.txt"
    found = changing.stat()

    class Changes(NoProgress):
        def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
            if phase == "send":
                changing.write_bytes(b"NUMBER 7\n")
                os.utime(changing, ns=(found.st_atime_ns, found.st_mtime_ns))

    with pytest.raises(FileChanged, match=r"7\.txt"):
        one_at_a_time(client, ten_files, dserver.base_uri, Changes())

    done = one_at_a_time(client, ten_files, dserver.base_uri, restart=True)
    assert contents(dserver, done.uri)["7.txt"] == b"NUMBER 7\n"


def test_every_item_is_sent_once(
    behind_proxy: tuple[Dserver, Client], proxy: StoreProxy, ten_files: Path
) -> None:
    dserver, client = behind_proxy
    with pytest.raises(Interrupted):
        one_at_a_time(client, ten_files, dserver.base_uri, StopsAfter("send", items=4))
    one_at_a_time(client, ten_files, dserver.base_uri)

    assert len(of_items(proxy)) == 10
    assert all("authorization" not in each.headers for each in proxy.requests)


def test_urls_that_are_refused_are_signed_anew(
    behind_proxy: tuple[Dserver, Client], proxy: StoreProxy, ten_files: Path
) -> None:
    dserver, client = behind_proxy
    refused: set[str] = set()

    def once(request: Request) -> Fault | None:
        if request.target in refused:
            return None
        refused.add(request.target)
        return Fault.REFUSED if len(refused) % 3 else None

    proxy.before = once
    done = client.deposit(ten_files, dserver.base_uri, readme=README)

    proxy.heal()
    assert contents(dserver, done.uri) == local_contents(ten_files)


def test_what_passes_is_tried_again(
    behind_proxy: tuple[Dserver, Client], proxy: StoreProxy, ten_files: Path
) -> None:
    dserver, client = behind_proxy
    proxy.before = lambda request: {2: Fault.AWAY, 4: Fault.DROPPED}.get(request.number)
    proxy.after = lambda request: {6: Fault.AWAY, 8: Fault.DROPPED}.get(request.number)
    counts = Counts()

    done = client.deposit(ten_files, dserver.base_uri, progress=counts)

    proxy.heal()
    assert contents(dserver, done.uri) == local_contents(ten_files)
    assert counts.phases["send"] == [90, 10]


def test_a_page_of_a_proxy_is_no_answer_of_a_store(
    behind_proxy: tuple[Dserver, Client], proxy: StoreProxy, ten_files: Path
) -> None:
    dserver, client = behind_proxy
    proxy.before = lambda request: Instead(200, b"<html>") if request.number < 5 else None

    done = client.deposit(ten_files, dserver.base_uri)

    proxy.heal()
    assert contents(dserver, done.uri) == local_contents(ten_files)


def test_a_store_that_goes_on_refusing_is_believed(
    behind_proxy: tuple[Dserver, Client], proxy: StoreProxy, ten_files: Path
) -> None:
    dserver, client = behind_proxy
    denied = b"<Error><Code>AccessDenied</Code></Error>"
    proxy.before = lambda _: Instead(403, denied)

    with pytest.raises(StoreRefused, match=r"^The store refuses \d\.txt: 403 AccessDenied\."):
        client.deposit(ten_files, dserver.base_uri)

    assert len(proxy.requests) < 100


def test_a_large_file_is_sent_in_parts(
    behind_proxy: tuple[Dserver, Client], proxy: StoreProxy, large_file: Path
) -> None:
    dserver, client = behind_proxy
    counts = Counts()

    done = client.deposit(large_file, dserver.base_uri, progress=counts)

    assert sorted(len(each.body) for each in of_items(proxy)) == [MIB, 5 * MIB, 5 * MIB]
    assert all("content-md5" in each.headers for each in of_items(proxy))
    assert counts.phases["send"] == [11 * MIB, 1]
    assert contents(dserver, done.uri) == {"scan.tif": large_file.read_bytes()}


def test_no_part_is_sent_again_after_an_interruption(
    behind_proxy: tuple[Dserver, Client], proxy: StoreProxy, large_file: Path
) -> None:
    dserver, client = behind_proxy
    stops = StopsAfter("send", size_in_bytes=5 * MIB + 256 * 1024)
    with pytest.raises(Interrupted):
        one_at_a_time(client, large_file, dserver.base_uri, stops)
    counts = Counts()
    done = one_at_a_time(client, large_file, dserver.base_uri, counts)

    assert sorted(len(each.body) for each in of_items(proxy)) == [MIB, 5 * MIB, 5 * MIB]
    assert done.sent_in_bytes == 6 * MIB
    assert counts.phases == {"send": [11 * MIB, 1], "complete": [0, 0]}
    assert contents(dserver, done.uri) == {"scan.tif": large_file.read_bytes()}


@pytest.mark.parametrize("fault", [Fault.REFUSED, Instead(404), Fault.AWAY, Fault.DROPPED])
def test_a_part_that_fails_is_sent_again(
    behind_proxy: tuple[Dserver, Client],
    proxy: StoreProxy,
    large_file: Path,
    fault: Fault | Instead,
) -> None:
    dserver, client = behind_proxy
    proxy.before = lambda request: fault if request.number == 2 else None
    counts = Counts()

    done = client.deposit(large_file, dserver.base_uri, progress=counts)

    proxy.heal()
    assert counts.phases["send"] == [11 * MIB, 1]
    assert contents(dserver, done.uri) == {"scan.tif": large_file.read_bytes()}


def test_a_large_file_that_changes_ends_the_deposit(
    behind_proxy: tuple[Dserver, Client], large_file: Path
) -> None:
    dserver, client = behind_proxy

    class Changes(NoProgress):
        def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
            if phase == "send":
                with large_file.open("ab") as opened:
                    opened.write(b"more")

    with pytest.raises(FileChanged, match=r"scan\.tif"):
        one_at_a_time(client, large_file, dserver.base_uri, Changes())


class Overwrites(NoProgress):
    """Changes bytes of a file between hashing and sending, but neither its size nor its time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
        if phase == "send":
            before = self._path.stat()
            with self._path.open("r+b") as opened:
                opened.seek(6 * MIB)
                opened.write(b"WRONG")
            os.utime(self._path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_parts_of_other_bytes_than_the_announced_are_not_sent(
    behind_proxy: tuple[Dserver, Client], proxy: StoreProxy, large_file: Path
) -> None:
    dserver, client = behind_proxy

    with pytest.raises(FileChanged, match=r"scan\.tif"):
        client.deposit(large_file, dserver.base_uri, progress=Overwrites(large_file))

    assert not of_items(proxy)
    done = client.deposit(large_file, dserver.base_uri, restart=True)
    assert contents(dserver, done.uri) == {"scan.tif": large_file.read_bytes()}


def test_a_file_in_parts_that_does_not_have_its_given_md5_is_refused(
    behind_proxy: tuple[Dserver, Client], proxy: StoreProxy, large_file: Path
) -> None:
    dserver, client = behind_proxy
    source = find_files([large_file])
    source.files[0].md5 = "0" * 32

    with pytest.raises(FileChanged, match=r"scan\.tif"):
        deposit(client.server, source, dserver.base_uri, Description("scan", README))

    assert not of_items(proxy)


def test_the_answer_of_azure_that_was_lost_is_asked_for(
    make_azure_dserver: Make,
    azure_proxy: StoreProxy,
    connect: Callable[[Dserver], Client],
    ten_files: Path,
) -> None:
    dserver = make_azure_dserver(**in_capitals(azure_proxy.public_settings()))
    azure_proxy.after = lambda request: Fault.DROPPED if request.number < 3 else None

    done = one_at_a_time(connect(dserver), ten_files, dserver.base_uri)

    azure_proxy.heal()
    assert contents(dserver, done.uri) == local_contents(ten_files)
    # Some are tried twice, and refused: what is stored is not replaced.
    assert len([each for each in azure_proxy.requests if each.method == "PUT"]) <= 14
