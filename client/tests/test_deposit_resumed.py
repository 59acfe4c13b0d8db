"""Deposits that were interrupted, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from dserver_client import state
from dserver_client.client import Client
from dserver_client.errors import DepositChanged, DepositDiffers, Refused
from dserver_client.local_files import LocalFile, identifier_of
from dserver_client.progress import NoProgress
from dserver_client.values import Deposited

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


@pytest.mark.parametrize(("relpath", "more"), [("1.txt", {}), (None, {"tags": ["cress"]})])
def test_a_change_is_refused_until_the_unfinished_deposit_is_given_up(
    client: Client, lab: Dserver, ten_files: Path, relpath: str | None, more: dict[str, Any]
) -> None:
    with pytest.raises(Interrupted):
        one_at_a_time(client, ten_files, lab.base_uri, StopsAfter("send", items=4))
    [earlier] = state.unfinished()
    if relpath is not None:
        (ten_files / relpath).write_text("another one")

    for _ in range(2):
        with pytest.raises(
            DepositChanged, match=r"4 of 10 files .36 B of 90 B.*--restart"
        ) as raised:
            one_at_a_time(client, ten_files, lab.base_uri, **more)
    assert earlier.uri in str(raised.value)
    assert (raised.value.exit_code, raised.value.slug) == (6, "deposit-changed")
    assert client.status(earlier.uri).items_stored == 4
    assert state.unfinished() == [earlier]

    done = one_at_a_time(client, ten_files, lab.base_uri, restart=True, **more)

    assert done.uri != earlier.uri
    assert contents(lab, done.uri) == local_contents(ten_files)
    with pytest.raises(Refused, match="no upload"):
        client.status(earlier.uri)


def test_the_same_files_as_before_go_on_after_a_refused_change(
    client: Client, lab: Dserver, ten_files: Path
) -> None:
    with pytest.raises(Interrupted):
        one_at_a_time(client, ten_files, lab.base_uri, StopsAfter("send", items=4))
    (ten_files / "more.txt").write_text("more")
    with pytest.raises(DepositChanged):
        one_at_a_time(client, ten_files, lab.base_uri)
    (ten_files / "more.txt").unlink()

    assert one_at_a_time(client, ten_files, lab.base_uri).already_stored == 4


def test_a_change_at_a_dserver_with_the_reference_routes_is_refused(
    reference_url: str, lab: Dserver, ten_files: Path
) -> None:
    with Client(reference_url, lab.tokens["alice"]) as client:
        with pytest.raises(Interrupted):
            one_at_a_time(client, ten_files, lab.base_uri, StopsAfter("send", items=4))
        [earlier] = state.unfinished()
        (ten_files / "1.txt").write_text("another one")
        with pytest.raises(DepositChanged, match="--restart"):
            one_at_a_time(client, ten_files, lab.base_uri)
        done = one_at_a_time(client, ten_files, lab.base_uri, restart=True)

    assert done.uri != earlier.uri
    assert contents(lab, done.uri) == local_contents(ten_files)


def test_a_changed_deposit_under_a_given_uuid_says_how_it_is_cancelled(
    client: Client, lab: Dserver, ten_files: Path
) -> None:
    uuid = str(uuid4())
    with pytest.raises(Interrupted):
        one_at_a_time(client, ten_files, lab.base_uri, StopsAfter("send", items=4), uuid=uuid)
    (ten_files / "more.txt").write_text("more")

    command = r"'dserver cancel (\S+)' deletes what is stored.* after .* UTC"
    with pytest.raises(DepositChanged, match=command) as raised:
        one_at_a_time(client, ten_files, lab.base_uri, uuid=uuid)
    found = re.search(command, str(raised.value))
    assert found is not None
    client.cancel(found[1])

    assert state.unfinished() == []
    with pytest.raises(Refused, match="can write until"):
        one_at_a_time(client, ten_files, lab.base_uri, uuid=uuid)


def test_what_was_never_announced_may_change(client: Client, lab: Dserver, ten_files: Path) -> None:
    with pytest.raises(Interrupted):
        one_at_a_time(client, ten_files, lab.base_uri, StopsAfter("hash", items=4))
    (ten_files / "1.txt").write_text("another one")

    done = one_at_a_time(client, ten_files, lab.base_uri, tags=["cress"])

    assert contents(lab, done.uri) == local_contents(ten_files)


def test_an_upload_that_was_removed_may_change(
    client: Client, lab: Dserver, ten_files: Path
) -> None:
    with pytest.raises(Interrupted):
        one_at_a_time(client, ten_files, lab.base_uri, StopsAfter("send", items=4))
    [earlier] = state.unfinished()
    client.server.cancel(earlier.uri)
    (ten_files / "1.txt").write_text("another one")

    done = one_at_a_time(client, ten_files, lab.base_uri)

    assert contents(lab, done.uri) == local_contents(ten_files)


def test_an_announcement_whose_answer_was_lost_is_not_replaced_by_another(
    client: Client, lab: Dserver, ten_files: Path
) -> None:
    with pytest.raises(Interrupted):
        one_at_a_time(client, ten_files, lab.base_uri, StopsAfter("send", items=4))
    [earlier] = state.unfinished()
    with state.Journal(client.server.url, lab.base_uri, earlier.sources) as journal:
        journal.keep(replace(earlier, contents=None))
    (ten_files / "1.txt").write_text("another one")

    with pytest.raises(DepositChanged):
        one_at_a_time(client, ten_files, lab.base_uri)


@pytest.mark.parametrize("which", ["dserver_url", "reference_url"])
def test_another_content_than_is_registered_is_never_taken_for_deposited(
    which: str, request: pytest.FixtureRequest, lab: Dserver, folder: Path
) -> None:
    with Client(request.getfixturevalue(which), lab.tokens["alice"]) as client:
        with pytest.raises(Interrupted):
            one_at_a_time(client, folder, lab.base_uri, StopsAfter("complete"))
        [earlier] = state.unfinished()
        (folder / "more.txt").write_text("more")
        (folder / "heights.csv").write_text("plant,height\n1,13\n")
        (folder / "empty.txt").unlink()

        for _ in range(2):
            with pytest.raises(DepositDiffers) as raised:
                one_at_a_time(client, folder, lab.base_uri, tags=["cress"])
        message = str(raised.value)
        assert (raised.value.exit_code, raised.value.slug) == (6, "deposit-differs")
        assert earlier.uri in message
        assert "'more.txt' is not in it" in message
        assert "'heights.csv' has another content in it" in message
        assert "'empty.txt' is in it, but not here" in message
        assert "no tag 'cress'" in message
        done = one_at_a_time(client, folder, lab.base_uri, restart=True)

    assert done.uri != earlier.uri
    assert contents(lab, done.uri) == local_contents(folder)


def test_a_given_uuid_that_is_registered_counts_only_with_the_same_content(
    client: Client, lab: Dserver, folder: Path
) -> None:
    identifiers = [identifier_of(relpath) for relpath in local_contents(folder)]
    more: dict[str, Any] = {
        "uuid": str(uuid4()),
        "annotations": {"project": "growth"},
        "overlays": {"green": dict.fromkeys(identifiers, True)},
    }
    done = one_at_a_time(client, folder, lab.base_uri, **more)
    # As after a kill before the proto-dataset was deleted: nothing here remembers the deposit.
    assert one_at_a_time(client, folder, lab.base_uri, **more).uri == done.uri
    (folder / "more.txt").write_text("more")

    for _ in range(2):
        with pytest.raises(DepositDiffers, match=r"'more\.txt' is not in it"):
            one_at_a_time(client, folder, lab.base_uri, **more)


def test_another_readme_than_is_registered_is_an_error(
    client: Client, lab: Dserver, folder: Path
) -> None:
    with pytest.raises(Interrupted):
        one_at_a_time(client, folder, lab.base_uri, StopsAfter("complete"))

    for _ in range(2):
        with pytest.raises(DepositDiffers, match="its README differs"):
            client.deposit(folder, lab.base_uri, readme="---\ncorrected: true\n")
    assert one_at_a_time(client, folder, lab.base_uri).sent_in_bytes == 0


@pytest.mark.parametrize("readme", ["---\ncorrected: true\n", None])
def test_another_readme_replaces_that_of_an_unfinished_deposit(
    client: Client, lab: Dserver, ten_files: Path, readme: str | None
) -> None:
    # The last of the ten is stored after the README.
    with pytest.raises(Interrupted):
        one_at_a_time(client, ten_files, lab.base_uri, StopsAfter("send", items=10))

    done = client.deposit(ten_files, lab.base_uri, readme=readme)

    assert done.already_stored == 10
    assert requests.get(client.server.dataset_urls(done.uri).readme_url).text == (readme or "")


@pytest.mark.parametrize(
    ("person", "more", "status"), [("bob", {}, 403), ("alice", {"tags": ["no/tag"]}, 400)]
)
def test_a_refused_announcement_begins_no_deposit(
    dserver_url: str,
    lab: Dserver,
    ten_files: Path,
    person: str,
    more: dict[str, Any],
    status: int,
) -> None:
    counts = Counts()
    with Client(dserver_url, lab.tokens[person]) as client, pytest.raises(Refused) as refused:
        one_at_a_time(client, ten_files, lab.base_uri, **more)
    assert refused.value.status == status
    assert state.unfinished() == []

    with Client(dserver_url, lab.tokens["alice"]) as client:
        done = one_at_a_time(client, ten_files, lab.base_uri, counts)
    assert "hash" not in counts.phases
    assert contents(lab, done.uri) == local_contents(ten_files)


def test_what_is_killed_before_its_result_was_seen_is_not_deposited_twice(
    client: Client, lab: Dserver, ten_files: Path
) -> None:
    seen: list[Deposited] = []

    def killed(deposited: Deposited) -> None:
        seen.append(deposited)
        raise Interrupted

    with pytest.raises(Interrupted):
        client.deposit(ten_files, lab.base_uri, readme=README, on_registered=killed)
    again = client.deposit(ten_files, lab.base_uri, readme=README, on_registered=seen.append)

    assert [each.uri for each in seen] == [again.uri, again.uri]
    assert state.unfinished() == []


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
