"""`flask temp_share create` is interrupted: the same command goes on with what was begun."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.dserver import Dserver
from tests.proxy import Fault, StoreProxy

FILES = {f"{number}.txt": b"%d" % number for number in range(6)}
PASSED = 2  # PUTs, before the interruption
SECONDS = 60


@pytest.fixture(params=["bucket", "account"])
def place(request):
    """A bucket of S3, and an account of Azure, where nothing is written twice."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def proxy(place):
    with StoreProxy(place) as running:
        yield running


@pytest.fixture
def dserver(make_dserver_on, place, proxy) -> Dserver:
    """A dserver whose people, and whose operator, reach the store through the proxy."""
    return make_dserver_on(place, **proxy.public_settings())


@pytest.fixture
def folder(tmp_path) -> Path:
    place = tmp_path / "results"
    place.mkdir()
    for name, content in FILES.items():
        (place / name).write_bytes(content)
    return place


@pytest.fixture
def start(dserver, folder, tmp_path):
    """Start the command as a process of its own."""
    settings = tmp_path / "settings.json"
    config = dserver.app.config
    names = ("SQLALCHEMY_DATABASE_URI", "SECRET_KEY", "JWT_ALGORITHM", "JWT_PUBLIC_KEY")
    kept = {name: value for name, value in config.items() if name.startswith("DTOOL_")}
    settings.write_text(json.dumps({**kept, **{name: config[name] for name in names}}))
    environ = {
        **os.environ,
        "FLASK_APP": "dserver_signed_url_plugin.demo.app:create_app_from_environment",
        "DSERVER_DEMO_SETTINGS": str(settings),
    }
    command = ["-m", "flask", "temp_share", "create", dserver.base_uri, str(folder), "--json"]
    started = []

    def act():
        started.append(
            subprocess.Popen(
                [sys.executable, *command],
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield act
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def share(dserver, folder):
    """Run the command in this process; return its result."""

    def act():
        command = ["create", dserver.base_uri, str(folder), "--json"]
        return dserver.app.test_cli_runner().invoke(temp_share, command)

    return act


def waiting(dserver):
    """Return the uploads that `flask pending_upload list` shows."""
    result = dserver.app.test_cli_runner().invoke(pending_upload, ["list", "--json"])
    return json.loads(result.stdout)


def check_fetched(share, folder):
    contents = {
        file["relpath"]: requests.get(file["url"], timeout=30).content for file in share["files"]
    }
    assert contents == {f"{folder.name}/{name}": content for name, content in FILES.items()}


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
    process = start()
    assert reached.wait(15), process.communicate()
    process.send_signal(with_)
    said, remarks = process.communicate(timeout=SECONDS)
    killed.set()
    proxy.heal()
    assert said == ""
    if with_ == signal.SIGINT:
        assert process.returncode == 130
        assert "Interrupted. The same command goes on with what was begun" in remarks
        assert "Traceback" not in remarks

    [begun] = waiting(dserver)
    proxy.forget()
    result = share()
    assert result.exit_code == 0, result.stderr
    again = json.loads(result.stdout)
    assert (again["uuid"], waiting(dserver)) == (begun["uuid"], [])
    assert f"{PASSED} stored already" in result.stderr
    assert len(proxy.requests) == len(FILES) - PASSED
    check_fetched(again, folder)


def test_the_same_command_twice_at_once_shares_one_dataset(dserver, proxy, start, share, folder):
    """The second comes while the first sends, and both end with URLs of the same."""
    reached, go_on = threading.Event(), threading.Event()

    def hold(request):
        reached.set()
        go_on.wait(SECONDS)

    proxy.before = hold
    process = start()
    assert reached.wait(15), process.communicate()
    proxy.heal()
    second = share()
    go_on.set()
    said, remarks = process.communicate(timeout=SECONDS)
    assert (process.returncode, second.exit_code) == (0, 0), remarks + second.stderr
    assert json.loads(said)["uuid"] == json.loads(second.stdout)["uuid"]
    assert len(dserver.alice.post("/uris", {}).json) == 1
    check_fetched(json.loads(said), folder)


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
def test_one_failure_is_not_worth_a_word(proxy, share, folder, fault):
    proxy.fail(fault, at=3)
    result = share()
    assert result.exit_code == 0
    assert "not stored" not in result.stderr
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
    assert (result.exit_code, result.stdout, len(left)) == (2, "", 1)
    assert "3.txt' cannot be read: No such file" in result.stderr
