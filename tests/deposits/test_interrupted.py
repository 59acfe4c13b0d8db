"""`flask temp_share create` is interrupted: it says what that means, and it can be gone on with."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from dservercore import sql_db
from sqlalchemy import inspect

from dserver_signed_url_plugin.cli.temp_share import temp_share
from dserver_signed_url_plugin.deposits.local_files import found
from dserver_signed_url_plugin.uploads.models import PendingUpload
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.dserver import Bucket
from tests.support.proxy import Fault, StoreProxy
from tests.support.shared_files import FILES, check_fetched, waiting
from tests.support.terminal import opened as terminal_opened
from tests.uploads.test_cleanup import fail_to_register

PASSED = 2  # PUTs, before the interruption
SECONDS = 60


@pytest.mark.parametrize("with_", [signal.SIGINT, signal.SIGKILL])
def test_what_was_interrupted_is_listed_and_gone_on_with(
    dserver, proxy, start, share, folder, with_
):
    reached, killed = threading.Event(), threading.Event()

    def hold(request):
        if request.number <= PASSED:
            return None
        reached.set()
        killed.wait(SECONDS)
        return Fault.DROPPED

    proxy.before = hold
    process = start(dserver, str(folder), text=True)
    assert reached.wait(SECONDS), process.communicate()
    process.send_signal(with_)
    said, remarks = process.communicate(timeout=SECONDS)
    killed.set()
    proxy.heal()
    assert said == ""
    if with_ == signal.SIGINT:
        assert process.returncode == 130
        assert "list` shows what was begun; the same command goes on with it." in remarks
        assert "Traceback" not in remarks

    [begun] = waiting(dserver)
    proxy.forget()
    result = share()
    assert result.exit_code == 0, result.stderr
    again = json.loads(result.stdout)
    assert (again["uuid"], waiting(dserver)) == (begun["uuid"], [])
    assert len(proxy.requests) == len(FILES) - PASSED
    check_fetched(again, folder)


@pytest.mark.parametrize("state", ["open", "frozen"])
def test_what_was_interrupted_and_then_deleted_by_the_store_is_sent_again_at_once(
    dserver, proxy, share, folder, place, s3, blobs, state
):
    if state == "frozen":
        heal = fail_to_register(dserver)
    else:
        heal = proxy.heal
        proxy.before = lambda request: Fault.REFUSED if request.number > PASSED else None
    assert share().exit_code == 1
    heal()
    [begun] = waiting(dserver)
    assert begun["state"] == state
    delete_everything(place, s3, blobs)
    result = share()
    assert result.exit_code == 0, result.stderr
    again = json.loads(result.stdout)
    assert (again["uuid"], waiting(dserver)) == (begun["uuid"], [])
    check_fetched(again, folder)


def test_what_was_interrupted_after_its_registration_is_completed(dserver, share, folder):
    heal = fail_to_register(dserver)
    assert share().exit_code == 1
    heal()
    with dserver.app.app_context():
        row = sql_db.session.scalars(sql_db.select(PendingUpload)).one()
        values = {
            column.key: getattr(row, column.key) for column in inspect(row).mapper.column_attrs
        }
    assert share().exit_code == 0
    with dserver.app.app_context():
        # What a process leaves that is killed before it deletes the row.
        sql_db.session.add(PendingUpload(**values))
        sql_db.session.commit()
    result = share()
    assert result.exit_code == 0, result.stderr
    again = json.loads(result.stdout)
    assert (again["uuid"], waiting(dserver)) == (values["uuid"], [])
    check_fetched(again, folder)


def delete_everything(place, s3, blobs):
    """Do what a lifecycle rule does, which on Azure leaves the containers."""
    if isinstance(place, Bucket):
        for each in s3.list_objects_v2(Bucket=place.name)["Contents"]:
            s3.delete_object(Bucket=place.name, Key=each["Key"])
    else:
        for container in blobs.list_containers():
            for blob in blobs.list_blobs(container.name):
                blobs.delete_blob(container.name, blob.name)


def test_of_two_that_were_begun_alike_the_first_is_gone_on_with(dserver, share, folder):
    deposits, base_uri = dserver.services.deposits, BaseURI.parse(dserver.base_uri)
    with dserver.app.app_context():
        for _ in range(2):
            prepared = deposits.prepare(base_uri, folder.name, found([folder]), unseen)
            dserver.services.uploads.begin(prepared.permit, prepared.plan)
    first, second = waiting(dserver)
    shared = json.loads(share().stdout)
    assert (shared["uuid"], waiting(dserver)) == (first["uuid"], [second])


@contextmanager
def unseen(label, total):
    yield lambda count: None


def test_another_who_is_completing_it_is_waited_for(dserver, proxy, share, folder):
    proxy.before = lambda request: Fault.REFUSED if request.number > PASSED else None
    assert share().exit_code == 1
    proxy.heal()
    with dserver.app.app_context():
        held = {"lease": "another's", "lease_ends": time.time() + 3}
        sql_db.session.execute(sql_db.update(PendingUpload).values(held))
        sql_db.session.commit()
    result = share()
    assert (result.exit_code, waiting(dserver)) == (0, []), result.stderr
    check_fetched(json.loads(result.stdout), folder)


def test_who_interrupts_the_reading_is_told_that_nothing_was_begun(dserver, start, folder):
    with (folder / "large.bin").open("wb") as stream:
        stream.truncate(4 * 1024**3)
    ours, theirs = terminal_opened()
    process = start(dserver, str(folder), stderr=theirs, text=True)
    os.close(theirs)
    shown = b""
    while b"Reading 7 files" not in shown:
        shown += os.read(ours, 1024)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=SECONDS)
    # At its end a terminal without a program gives an error.
    with suppress(OSError):
        while True:
            shown += os.read(ours, 1024)
    os.close(ours)
    assert (said, process.returncode, waiting(dserver)) == ("", 130, [])
    assert b"Interrupted. Nothing was begun." in shown


@pytest.fixture
def unsigned(make_dserver, bucket, folder):
    """A dserver whose store answers nothing from when a share is complete; and its proxy."""
    with StoreProxy(bucket) as proxy:
        is_complete = threading.Event()

        def before(request):
            if request.writes("/manifest.json"):
                is_complete.set()
            if is_complete.is_set() and request.method == "GET" and "manifest" in request.target:
                return proxy.fault()
            return None

        proxy.before, proxy.fault = before, lambda: Fault.REFUSED
        yield make_dserver(**proxy.settings()), proxy


def test_a_share_that_could_not_be_signed_is_told_with_the_command_that_does(unsigned, folder):
    dserver, proxy = unsigned
    runner = dserver.app.test_cli_runner()
    result = runner.invoke(temp_share, ["create", dserver.base_uri, str(folder)])
    assert (result.exit_code, result.stdout, waiting(dserver)) == (1, "", [])
    [registered] = dserver.alice.post("/uris", {}).json
    assert f"Shared as {registered['uri']}.\n" in result.stderr
    assert f"`flask temp_share url {registered['uri']}` makes their URLs" in result.stderr
    proxy.heal()
    again = runner.invoke(temp_share, ["url", registered["uri"], "--json"])
    check_fetched(json.loads(again.stdout), folder)


def test_who_interrupts_the_signing_is_told_the_command_that_does_it(unsigned, start, folder):
    dserver, proxy = unsigned
    reached, killed = threading.Event(), threading.Event()

    def hold():
        reached.set()
        killed.wait(SECONDS)

    proxy.fault = hold
    process = start(dserver, str(folder), text=True)
    assert reached.wait(SECONDS), process.communicate()
    process.send_signal(signal.SIGINT)
    killed.set()
    said, remarks = process.communicate(timeout=SECONDS)
    [registered] = dserver.alice.post("/uris", {}).json
    assert (said, process.returncode, waiting(dserver)) == ("", 130, [])
    assert f"Shared as {registered['uri']}.\nInterrupted." in remarks
    assert f"`flask temp_share url {registered['uri']}` makes their URLs" in remarks
