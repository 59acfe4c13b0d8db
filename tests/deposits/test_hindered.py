"""`flask temp_share create` meets a store that does not take files, and files that change."""

from __future__ import annotations

import getpass
import json
import logging
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.support.proxy import Fault, StoreProxy
from tests.support.shared_files import FILES, check_fetched, ends, waiting

pytestmark = pytest.mark.database(
    "sqlite", reason="the store and the files are in the way, not the database"
)

PASSED = 2  # PUTs, before the store takes no more


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.DROPPED, Fault.REFUSED])
def test_a_store_that_takes_no_file_is_told_and_the_same_command_goes_on(
    dserver, proxy, share, folder, fault
):
    proxy.before = lambda request: fault if request.number > PASSED else None
    refused = share()
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "The same command goes on where it stopped." in refused.stderr
    for secret in ("Traceback", "X-Amz", "http://"):
        assert secret not in refused.stderr
    proxy.heal()
    [begun] = waiting(dserver)
    again = json.loads(share().stdout)
    assert again["uuid"] == begun["uuid"]
    check_fetched(again, folder)


def test_what_was_given_up_is_not_gone_on_with(dserver, proxy, share, folder):
    proxy.before = lambda request: Fault.REFUSED
    assert share().exit_code == 1
    proxy.heal()
    [begun] = waiting(dserver)
    command = ["delete", begun["uuid"], "--delete-storage", "--force"]
    assert dserver.app.test_cli_runner().invoke(pending_upload, command).exit_code == 0
    again = json.loads(share().stdout)
    assert again["uuid"] != begun["uuid"]
    check_fetched(again, folder)


def test_an_upload_that_an_operator_began_is_listed_as_such(dserver, proxy, share):
    proxy.before = lambda request: Fault.REFUSED
    assert share().exit_code == 1
    listed = dserver.app.test_cli_runner().invoke(pending_upload, ["list"]).stdout
    assert "Uploader: an operator\n" in listed
    assert f"Creator: {getpass.getuser()}\n" in listed


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.DROPPED])
def test_one_failure_is_not_worth_a_word(proxy, share, folder, caplog, fault):
    caplog.set_level(logging.DEBUG)
    proxy.fail(fault, at=3)
    result = share()
    for secret in ("X-Amz-Signature", "sig="):
        assert secret not in caplog.text
    assert result.exit_code == 0
    assert "not stored" not in result.stderr
    check_fetched(json.loads(result.stdout), folder)


def test_what_takes_longer_than_its_urls_live_goes_on_with_new_ones(
    make_dserver_on, place, proxy, folder
):
    """The first URLs take two files; when the others come they have ended, which the store says."""
    dserver = make_dserver_on(place, **proxy.public_settings(), SIGNED_URL_WRITE_EXPIRY_SECONDS=3)
    moments = threading.Event()

    def hold(request):
        end = ends(request.target)
        if request.number > PASSED and end == ends(proxy.requests[0].target):
            while datetime.now(timezone.utc) <= end + timedelta(seconds=1):
                moments.wait(0.05)

    proxy.before = hold
    command = ["create", dserver.base_uri, str(folder), "--json"]
    result = dserver.app.test_cli_runner().invoke(temp_share, command)
    assert result.exit_code == 0, result.stderr
    assert len(proxy.requests) > len(FILES)
    check_fetched(json.loads(result.stdout), folder)


@pytest.fixture
def overtaken(make_dserver, bucket, folder):
    """Share while somebody writes into a file, after it was read and before it is sent."""

    def act(write):
        once = iter([lambda: write(folder / "3.txt")])
        with StoreProxy(bucket) as proxy:
            dserver = make_dserver(**proxy.settings())
            proxy.before = lambda _: next(once, lambda: None)()
            command = ["create", dserver.base_uri, str(folder), "--json"]
            result = dserver.app.test_cli_runner().invoke(temp_share, command)
            return waiting(dserver), result

    return act


@pytest.mark.parametrize("content", [b"4", b"", b"longer"])
def test_a_file_that_changes_is_told_and_nothing_of_it_stays(overtaken, s3, bucket, content):
    left, result = overtaken(lambda path: path.write_bytes(content))
    assert (result.exit_code, result.stdout, left) == (1, "", [])
    assert "3.txt' changed while it was sent" in result.stderr
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket.name)


def test_a_file_that_grows_is_shared_as_it_was(overtaken, folder):
    def append(path):
        with path.open("ab") as stream:
            stream.write(b" and more")

    _, result = overtaken(append)
    assert result.exit_code == 0, result.stderr
    check_fetched(json.loads(result.stdout), folder)


def test_a_file_that_vanishes_is_told_and_can_come_back(overtaken):
    left, result = overtaken(Path.unlink)
    assert (result.exit_code, result.stdout, len(left)) == (1, "", 1)
    assert "3.txt' cannot be read: No such file" in result.stderr
    assert result.stderr.endswith("the same command goes on with it.\n")
