"""Depositing directories and files: what arrives, what is sent again, and what is not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from dserver_client import state
from dserver_client.client import Client
from dserver_client.deposit import Description, deposit
from dserver_client.errors import FileChanged, NotSupported, Refused, StoreRefused
from dserver_client.local_files import LocalFile, Source, find_files
from dserver_client.progress import NoProgress
from dserver_client.transfers.scheduler import Limit
from dserver_client.values import Deposited

from client.tests.support.proxied_lab import ProxiedLab, proxied_lab
from dserver_signed_url_plugin.demo.store import LocalStore
from tests.support.databases import Database
from tests.support.dserver import Bucket, Dserver, encoded, in_capitals
from tests.support.http_server import serving
from tests.support.proxy import Fault, Instead, Request, StoreProxy

README = "---\ndescription: Leaves of cress\n"
MIB = 1024**2
Make = Callable[..., Dserver]


class Interrupted(Exception):
    """Stands for the end of the process."""


class StopsAfter(NoProgress):
    """Interrupts when so many items, or bytes, are done in a phase."""

    def __init__(self, phase: str, items: int = -1, size_in_bytes: int = -1) -> None:
        self._phase, self._items, self._size = phase, items, size_in_bytes
        self._is_in_phase = False

    def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
        self._is_in_phase = phase == self._phase

    def advance(self, size_in_bytes: int, items: int = 0) -> None:
        if self._is_in_phase:
            self._items -= items
            self._size -= size_in_bytes
            if 0 in (self._items, self._size):
                raise Interrupted

    def finish(self) -> None:
        if self._is_in_phase and self._phase == "complete":
            raise Interrupted


class Counts(NoProgress):
    """Counts what is done, by phase."""

    def __init__(self) -> None:
        self.phases: dict[str, list[int]] = {}

    def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
        self._phase = self.phases.setdefault(phase, [0, 0])

    def advance(self, size_in_bytes: int, items: int = 0) -> None:
        self._phase[0] += size_in_bytes
        self._phase[1] += items


@pytest.fixture
def client(dserver_url: str, lab: Dserver) -> Iterator[Client]:
    with Client(dserver_url, lab.tokens["alice"]) as client:
        yield client


@pytest.fixture
def connect() -> Iterator[Callable[[Dserver], Client]]:
    """Serve a dserver, and make a client for alice."""
    with ExitStack() as closing:

        def connect(dserver: Dserver) -> Client:
            url = closing.enter_context(serving(dserver.app))
            return closing.enter_context(Client(url, dserver.tokens["alice"]))

        yield connect


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files, one of them empty, one in a directory, with a name beyond ASCII."""
    folder = tmp_path / "cress"
    (folder / "leaves").mkdir(parents=True)
    (folder / "heights.csv").write_text("plant,height\n1,12\n")
    (folder / "leaves" / "größe 1.txt").write_bytes(b"\x00\xff" * 1000)
    (folder / "empty.txt").write_bytes(b"")
    return folder


@pytest.fixture
def ten_files(tmp_path: Path) -> Path:
    folder = tmp_path / "ten"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.txt").write_text(f"number {number}\n")
    return folder


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """A file of three parts, each with other bytes."""
    large = tmp_path / "scan.tif"
    large.write_bytes(b"a" * 5 * MIB + b"b" * 5 * MIB + b"c" * MIB)
    return large


def one_at_a_time(
    client: Client, folder: Path, base_uri: str, progress: NoProgress | None = None, **more: object
) -> Deposited:
    """Deposit with one connection, so that what happens is determined."""
    description = Description(folder.name, README, **more)  # type: ignore[arg-type]
    source = find_files([folder])
    return deposit(
        client.server, source, base_uri, description, progress=progress, limit=Limit(1, 1)
    )


def contents(dserver: Dserver, uri: str) -> dict[str, bytes]:
    """Return the items of a dataset by relpath, as a reader with a token gets them."""
    items = dserver.alice.read_items(uri, match="*").json["items"]
    return {item["relpath"]: requests.get(item["url"]).content for item in items.values()}


def local_contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def of_items(proxy: StoreProxy) -> list[Request]:
    """Return the requests that sent the content of an item, or of a part."""
    return [each for each in proxy.requests if "/data/" in each.target and each.body]


def test_a_directory_becomes_a_dataset(client: Client, lab: Dserver, folder: Path) -> None:
    counts = Counts()

    done = client.deposit(
        folder,
        lab.base_uri,
        readme=README,
        tags=["2026"],
        annotations={"project": "cress"},
        progress=counts,
    )

    assert done.name == "cress"
    assert (done.items, done.size_in_bytes, done.sent_in_bytes) == (3, 2018, 2018)
    assert contents(lab, done.uri) == local_contents(folder)
    urls = lab.alice.read(done.uri).json
    assert requests.get(urls["readme_url"]).text == README
    assert urls["tags"] == ["2026"]
    assert requests.get(urls["annotation_urls"]["project"]).json() == "cress"
    assert counts.phases == {"hash": [2018, 3], "send": [2018, 3], "complete": [0, 0]}
    assert state.unfinished() == []


def test_a_directory_becomes_a_dataset_in_azure(
    azure_lab: Dserver, connect: Callable[[Dserver], Client], folder: Path
) -> None:
    done = connect(azure_lab).deposit(folder, azure_lab.base_uri, readme=README)

    assert contents(azure_lab, done.uri) == local_contents(folder)
    assert requests.get(azure_lab.alice.read(done.uri).json["readme_url"]).text == README


def test_a_directory_becomes_a_dataset_at_a_dserver_with_the_reference_routes(
    reference_url: str, lab: Dserver, folder: Path
) -> None:
    with Client(reference_url, lab.tokens["alice"]) as client:
        done = client.deposit(folder, lab.base_uri, readme=README)

    assert contents(lab, done.uri) == local_contents(folder)
    assert requests.get(lab.alice.read(done.uri).json["readme_url"]).text == README


def test_overlays_and_times_are_deposited(client: Client, lab: Dserver, folder: Path) -> None:
    identifiers = [file.identifier for file in find_files([folder]).files]
    overlays = {"genus": dict.fromkeys(identifiers, "Lepidium")}

    done = one_at_a_time(
        client, folder, lab.base_uri, overlays=overlays, creator_username="carol", frozen_at=1e9
    )

    urls = lab.alice.read(done.uri).json
    assert requests.get(urls["overlay_urls"]["genus"]).json() == overlays["genus"]
    admin = requests.get(urls["admin_metadata_url"]).json()
    assert (admin["creator_username"], float(admin["frozen_at"])) == ("carol", 1e9)
    items = requests.get(urls["manifest_url"]).json()["items"].values()
    times = {item["relpath"]: item["utc_timestamp"] for item in items}
    assert times["heights.csv"] == pytest.approx((folder / "heights.csv").stat().st_mtime)


def test_the_same_again_is_another_dataset(client: Client, lab: Dserver, folder: Path) -> None:
    first = client.deposit(folder, lab.base_uri)
    second = client.deposit(folder, lab.base_uri)

    assert first.uri != second.uri


@pytest.mark.parametrize("which", ["dserver_url", "reference_url"])
def test_an_interrupted_deposit_goes_on_with_what_is_stored(
    which: str, request: pytest.FixtureRequest, lab: Dserver, ten_files: Path
) -> None:
    with Client(request.getfixturevalue(which), lab.tokens["alice"]) as client:
        with pytest.raises(Interrupted):
            one_at_a_time(client, ten_files, lab.base_uri, StopsAfter("send", items=4))
        [unfinished] = state.unfinished()
        counts = Counts()
        done = one_at_a_time(client, ten_files, lab.base_uri, counts)

    # The fourth was stored, but not acknowledged to anybody before the interruption.
    already = 4 if which == "dserver_url" else 3
    assert done.uri == unfinished.uri
    assert done.already_stored == already
    assert done.sent_in_bytes == 9 * (10 - already)
    assert "hash" not in counts.phases
    assert counts.phases["send"] == [90, 10]
    assert contents(lab, done.uri) == local_contents(ten_files)


@pytest.mark.parametrize("which", ["dserver_url", "reference_url"])
def test_a_deposit_that_was_registered_unnoticed_is_done(
    which: str, request: pytest.FixtureRequest, lab: Dserver, folder: Path
) -> None:
    with Client(request.getfixturevalue(which), lab.tokens["alice"]) as client:
        with pytest.raises(Interrupted):
            one_at_a_time(client, folder, lab.base_uri, StopsAfter("complete"))
        [unfinished] = state.unfinished()
        done = one_at_a_time(client, folder, lab.base_uri)

    assert done.uri == unfinished.uri
    assert done.sent_in_bytes == 0
    assert state.unfinished() == []


def test_what_the_store_has_lost_is_sent_again(
    make_dserver: Make, connect: Callable[[Dserver], Client], s3: object, ten_files: Path
) -> None:
    dserver = make_dserver()

    class Loses(NoProgress):
        lost = 0

        def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
            if phase == "complete" and not self.lost:
                self.lost = 1
                [unfinished] = state.unfinished()
                file = LocalFile.of(str(ten_files / "3.txt"), "3.txt")
                key = f"{unfinished.uuid}/data/{file.identifier}"
                s3.delete_object(Bucket=dserver.bucket.name, Key=key)  # type: ignore[attr-defined]

    done = one_at_a_time(connect(dserver), ten_files, dserver.base_uri, Loses())

    assert contents(dserver, done.uri) == local_contents(ten_files)


@pytest.mark.parametrize("phase", ["send", "complete"])
def test_an_upload_that_was_removed_meanwhile_is_announced_again(
    client: Client, lab: Dserver, ten_files: Path, phase: str
) -> None:
    class Removes(NoProgress):
        removed = 0

        def start(self, phase_now: str, size_in_bytes: int | None, items: int | None) -> None:
            if phase_now == phase and not self.removed:
                [unfinished] = state.unfinished()
                path = f"/signed-urls/upload/{encoded(unfinished.uri)}"
                self.removed = lab.admin.delete(path).json["objects"]

    removing = Removes()
    done = one_at_a_time(client, ten_files, lab.base_uri, removing)

    assert removing.removed
    assert contents(lab, done.uri) == local_contents(ten_files)


def test_a_dataset_may_have_no_items(client: Client, lab: Dserver, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()

    done = client.deposit(tmp_path / "nothing", lab.base_uri)

    assert (done.items, contents(lab, done.uri)) == (0, {})


def test_a_changed_source_is_deposited_under_a_new_uuid(
    client: Client, lab: Dserver, ten_files: Path
) -> None:
    with pytest.raises(Interrupted):
        one_at_a_time(client, ten_files, lab.base_uri, StopsAfter("send", items=4))
    [earlier] = state.unfinished()
    (ten_files / "1.txt").write_text("another one")

    done = one_at_a_time(client, ten_files, lab.base_uri)

    assert done.uri != earlier.uri
    assert contents(lab, done.uri) == local_contents(ten_files)
    with pytest.raises(Refused, match="no upload"):
        client.status(earlier.uri)


def test_a_cancelled_deposit_is_forgotten(client: Client, lab: Dserver, ten_files: Path) -> None:
    with pytest.raises(Interrupted):
        one_at_a_time(client, ten_files, lab.base_uri, StopsAfter("send", items=4))
    [earlier] = state.unfinished()
    assert client.status(earlier.uri).state == "open"

    client.cancel(earlier.uri)

    assert state.unfinished() == []
    assert one_at_a_time(client, ten_files, lab.base_uri).uri != earlier.uri


def test_files_of_any_place_are_deposited_under_a_given_uuid(
    client: Client, lab: Dserver, folder: Path
) -> None:
    uuid = "0d3b3d6c-0e0a-4b0e-9a52-6f2d4e6f9a10"
    files = [LocalFile.of(str(folder / "heights.csv"), "some/where.csv")]

    done = deposit(
        client.server, Source([f"proto:{uuid}"], files), lab.base_uri, Description("a", uuid=uuid)
    )

    assert done.uuid == uuid
    assert list(contents(lab, done.uri)) == ["some/where.csv"]


def test_a_file_that_changes_before_it_is_sent_ends_the_deposit(
    client: Client, lab: Dserver, ten_files: Path
) -> None:
    class Changes(NoProgress):
        def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
            if phase == "send":
                (ten_files / "7.txt").write_text("changed")

    with pytest.raises(FileChanged, match=r"7\.txt has changed.*same command"):
        one_at_a_time(client, ten_files, lab.base_uri, Changes())

    done = one_at_a_time(client, ten_files, lab.base_uri)
    assert contents(lab, done.uri) == local_contents(ten_files)


def test_other_bytes_of_the_same_size_and_time_are_refused_and_hashed_again(
    client: Client, lab: Dserver, ten_files: Path
) -> None:
    changing = ten_files / "7.txt"
    found = changing.stat()

    class Changes(NoProgress):
        def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
            if phase == "send":
                changing.write_bytes(b"NUMBER 7\n")
                os.utime(changing, ns=(found.st_atime_ns, found.st_mtime_ns))

    with pytest.raises(FileChanged, match=r"7\.txt"):
        one_at_a_time(client, ten_files, lab.base_uri, Changes())

    done = one_at_a_time(client, ten_files, lab.base_uri)
    assert contents(lab, done.uri)["7.txt"] == b"NUMBER 7\n"


@pytest.fixture(scope="module")
def lab_with_parts(
    store: LocalStore, jwt_settings: dict[str, Any], database: Database
) -> Iterator[ProxiedLab]:
    """A dserver that signs for a proxy in front of its store, with parts of 5 MiB."""
    store.create_bucket("deposits-in-parts")
    bucket = Bucket("deposits-in-parts", store.endpoint, store.access_key, store.secret_key)
    url = database.create()
    settings = {"SQLALCHEMY_DATABASE_URI": url, "SIGNED_URL_PART_BYTES": 5 * MIB}
    with proxied_lab(bucket, {**jwt_settings, **settings}) as made:
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


def test_an_interrupted_deposit_in_azure_goes_on(
    azure_lab: Dserver, connect: Callable[[Dserver], Client], ten_files: Path
) -> None:
    client = connect(azure_lab)
    with pytest.raises(Interrupted):
        one_at_a_time(client, ten_files, azure_lab.base_uri, StopsAfter("send", items=4))

    done = one_at_a_time(client, ten_files, azure_lab.base_uri)

    assert done.already_stored == 4
    assert contents(azure_lab, done.uri) == local_contents(ten_files)
    assert requests.get(azure_lab.alice.read(done.uri).json["readme_url"]).text == README


def test_a_dserver_without_parts_takes_no_file_above_one_put(
    reference_url: str, lab: Dserver
) -> None:
    md5 = hashlib.md5(b"").hexdigest()
    source = Source(["x"], [LocalFile("x", "/nowhere/x", 5 * 1024**3 + 1, 0, 0, md5)])

    with (
        Client(reference_url, lab.tokens["alice"]) as client,
        pytest.raises(NotSupported, match="/nowhere/x has 5368709121 bytes.*up to 5368709120"),
    ):
        deposit(client.server, source, lab.base_uri, Description("a"))


def test_a_second_command_for_the_same_source_is_refused(
    client: Client, lab: Dserver, ten_files: Path
) -> None:
    refusals = []

    class Twice(NoProgress):
        def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
            if phase == "send":
                with pytest.raises(state.DepositRunning) as refusal:
                    client.deposit(ten_files, lab.base_uri)
                refusals.append(str(refusal.value))

    client.deposit(ten_files, lab.base_uri, progress=Twice())

    assert len(refusals) == 1
