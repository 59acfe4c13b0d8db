"""How far deposits are, and cancelling them."""

from __future__ import annotations

from uuid import uuid4

import pytest
from dserver_client.client import Client
from dserver_client.state import Journal

from tests.support.clients import Deposit
from tests.support.http_server import serving

PART = 5 * 1024**2


@pytest.fixture
def begun(lab):
    """The URI of a deposit of which nothing is stored yet."""
    deposit = Deposit({"a.csv": b"12", "b.csv": b"3"}, name="begun")
    announcement = {
        "uuid": deposit.uuid,
        "name": deposit.name,
        "hash_function": "md5sum_hexdigest",
        "items": deposit.described(),
    }
    assert lab.alice.begin(lab.base_uri, announcement).status_code == 200
    return f"{lab.base_uri}/{deposit.uuid}"


def test_status_tells_how_much_is_stored(run, document, begun):
    found = document("status", begun)
    assert (found["state"], found["items_expected"], found["items_stored"]) == ("open", 2, 0)
    shown = run("status", begun).stdout
    assert "begun: not complete" in shown
    assert "0 of 2 files stored" in shown
    assert "a.csv" in shown


def test_status_of_a_dataset_is_that_it_is_registered(run, uri):
    assert "registered" in run("status", uri).stdout


def test_a_deposit_is_cancelled(run, document, begun):
    assert document("cancel", begun) == {"uri": begun, "cancelled": True}
    assert run("status", begun).exit_code == 5


def test_a_deposit_that_does_not_exist_cannot_be_cancelled(run, begun):
    assert run("cancel", begun).exit_code == 0
    again = run("cancel", begun)
    assert (again.exit_code, again.stdout) == (5, "")


def test_parts_of_files_count_as_stored(run, make_dserver):
    dserver = make_dserver(SIGNED_URL_PART_BYTES=PART)
    token = dserver.tokens["alice"]
    item = {"relpath": "scan.tif", "size_in_bytes": PART + 10, "hash": "0" * 32}
    announcement = {"uuid": str(uuid4()), "name": "scan", "items": [item], "multipart": True}
    announcement["hash_function"] = "md5sum_hexdigest"
    with serving(dserver.app) as url, Client(url, token) as client:
        grant = client.server.announce(dserver.base_uri, announcement)
        [sent] = grant.items
        part = client.server.part_urls(grant.uri, sent, [1], {}).parts[1]
        client.http.request("PUT", part.url, headers=part.headers, body=bytes(PART))
        shown = run("status", grant.uri, env={"DSERVER_URL": url, "DSERVER_TOKEN": token}).stdout
    assert "0 of 1 file stored, 5.2 MB of 5.2 MB" in shown
    assert "missing: scan.tif (1 of 2 parts stored)" in shown


def test_a_registered_dataset_cannot_be_cancelled(run, uri):
    done = run("cancel", uri)
    assert done.exit_code == 6
    assert "registered" in done.stderr


def test_another_person_may_cancel_nothing(run, begun):
    assert run("cancel", begun, person="bob").exit_code == 4


def test_deposits_of_this_machine_that_are_not_finished_are_listed(
    run, document, lab, tmp_path, dserver_url
):
    assert document("status") == {"unfinished": []}
    assert "No unfinished deposits" in run("status").stdout
    (tmp_path / "a.csv").write_text("1")
    with Journal(dserver_url, lab.base_uri, [str(tmp_path)]) as journal:
        begun = journal.begin("begun-here", 3, 9)
    [listed] = document("status")["unfinished"]
    assert (listed["uri"], listed["name"]) == (begun.uri, "begun-here")
    assert listed["began"].endswith("+00:00")
    assert "contents" not in listed
    assert str(tmp_path) in run("status").stdout
    assert run("cancel", begun.uri).exit_code == 0
    assert document("status") == {"unfinished": []}
