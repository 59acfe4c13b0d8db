"""Deposits that were interrupted, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from dserver_client import state
from dserver_client.client import Client
from dserver_client.errors import Refused
from dserver_client.local_files import LocalFile
from dserver_client.progress import NoProgress

from client.tests.support.deposits import (
    README,
    Counts,
    Interrupted,
    StopsAfter,
    contents,
    local_contents,
    one_at_a_time,
)
from tests.support.dserver import Dserver, encoded

Make = Callable[..., Dserver]


@pytest.fixture
def client(dserver_url: str, lab: Dserver) -> Iterator[Client]:
    with Client(dserver_url, lab.tokens["alice"]) as client:
        yield client


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
