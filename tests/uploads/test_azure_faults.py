"""Azure, its settings or its SDK fail: a sentence within seconds, and the call repeated works."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import sysconfig
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import monotonic

import pytest
from azure.storage.blob import BlockBlobService
from dtoolcore.utils import generate_identifier
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.demo.store import free_port
from dserver_signed_url_plugin.errors import ConfigurationError
from tests.support.azure_holdings import check_dataset, containers, dtool_at
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver, in_capitals
from tests.support.proxy import Fault
from tests.support.s3_holdings import verifies

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
DESCRIPTIONS = {"tags": ["tag"], "annotations": {"a": 1}}
ONE = generate_identifier("one.txt")
CLIENT = DtoolDserver()
FOREVER = 1_000_000
PATIENCE = 10  # seconds, on a busy machine

Call = Callable[[], TestResponse]


@pytest.fixture
def dserver(make_azure_dserver, azure_proxy) -> Dserver:
    return make_azure_dserver(**azure_proxy.settings())


@pytest.fixture(autouse=True)
def _no_secret_is_logged(caplog, account) -> Iterator[None]:
    ours = ("azure", "dserver_signed_url_plugin")
    for name in ours:
        caplog.set_level(logging.DEBUG, name)
    yield
    said = [line.getMessage() for line in caplog.get_records("call") if line.name.startswith(ours)]
    for secret in (account.key, "sig=", "String_to_sign"):
        assert secret not in "\n".join(said)


def calls(dserver: Dserver, deposit: Deposit) -> Mapping[str, Call]:
    """Every call in the life of a dataset, each to be repeated at will."""
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    return {
        "begin": lambda: dserver.alice.begin(dserver.base_uri, CLIENT.plan(deposit)),
        "complete": lambda: dserver.alice.complete(uri),
        "dataset": lambda: dserver.bob.read(uri),
        "item": lambda: dserver.bob.read_item(uri, ONE),
    }


def ready(dserver: Dserver, deposit: Deposit, name: str) -> Call:
    """Do all that comes before a call in the life of a dataset; return the call."""
    life = calls(dserver, deposit)
    for before, call in life.items():
        if before == name:
            break
        answer = call()
        assert answer.status_code == 200, answer.json
        if before == "begin":
            CLIENT.put(answer.json, deposit)
    return life[name]


def finish(dserver: Dserver, blobs: BlockBlobService, deposit: Deposit) -> None:
    """Go through with the upload, if it is not done yet, and look at the dataset."""
    if calls(dserver, deposit)["complete"]().status_code != 200:
        assert CLIENT.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    check_dataset(dserver, blobs, deposit)


def check_refused(dserver: Dserver, answer: TestResponse) -> None:
    """Fail unless the answer is a sentence, and nothing that only the server should know."""
    assert answer.status_code == 502, answer.text
    assert answer.json.keys() == {"code", "status", "message"}
    assert answer.json["message"].startswith(f"The store of {dserver.place.name} ")
    assert answer.json["message"].endswith(".")
    for secret in (dserver.place.key, "Traceback", "http"):
        assert secret not in answer.text


@pytest.mark.parametrize(
    ("name", "least"), [("begin", 8), ("complete", 8), ("dataset", 4), ("item", 1)]
)
def test_a_call_that_the_store_refused_at_any_request_can_be_repeated(
    dserver, azure_proxy, blobs, name, least
):
    for at in count(1):
        deposit = Deposit(FILES, more=DESCRIPTIONS)
        call = ready(dserver, deposit, name)
        azure_proxy.fail(Fault.REFUSED, at)
        answer = call()
        refused = len(azure_proxy.requests) >= at
        azure_proxy.heal()
        if not refused:
            assert answer.status_code == 200
            break
        check_refused(dserver, answer)
        assert call().status_code == 200
        finish(dserver, blobs, deposit)
    assert at > least


@pytest.mark.parametrize(
    ("name", "at", "fault"),
    [("begin", 4, Fault.AWAY), ("complete", 5, Fault.DROPPED), ("item", 1, Fault.AWAY)],
)
def test_a_call_during_which_the_store_went_away_is_answered_soon_and_can_be_repeated(
    dserver, azure_proxy, blobs, name, at, fault
):
    deposit = Deposit(FILES, more=DESCRIPTIONS)
    call = ready(dserver, deposit, name)
    azure_proxy.fail(fault, at, until=FOREVER)
    started = monotonic()
    check_refused(dserver, call())
    assert monotonic() - started < PATIENCE
    azure_proxy.heal()
    assert call().status_code == 200
    finish(dserver, blobs, deposit)


def test_one_dropped_connection_is_not_worth_a_word(dserver, azure_proxy, blobs):
    deposit = Deposit(FILES)
    complete = ready(dserver, deposit, "complete")
    azure_proxy.fail(Fault.DROPPED, at=3)
    assert complete().status_code == 200
    check_dataset(dserver, blobs, deposit)


def test_a_completion_cut_off_anywhere_leaves_a_dataset_or_none(
    dserver, azure_proxy, blobs, tmp_path
):
    """What was asked is done, but no answer arrives, from one request on."""
    deposit = Deposit(FILES)
    complete = ready(dserver, deposit, "complete")
    kinds = []
    for at in count(1):
        azure_proxy.forget()
        azure_proxy.after = lambda request, at=at: Fault.REFUSED if request.number >= at else None
        answer = complete()
        azure_proxy.heal()
        kinds.append(containers(blobs, deposit.uuid)[deposit.uuid].metadata["type"])
        if answer.status_code == 200:
            break
        assert answer.status_code == 502
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"protodataset", "dataset"}
    check_dataset(dserver, blobs, deposit)
    with dtool_at(dserver.place, tmp_path):
        assert verifies(dserver, deposit)


# Settings ------------------------------------------------------------------------------------


def begun(dserver: Dserver) -> TestResponse:
    """Begin an upload, which needs the store as every other call does."""
    return ready(dserver, Deposit(FILES), "begin")()


def test_an_endpoint_where_nobody_listens_is_answered_within_seconds(make_azure_dserver, account):
    nowhere = f"http://127.0.0.1:{free_port()}/{account.name}"
    dserver = make_azure_dserver(**in_capitals(account.settings(nowhere)))
    started = monotonic()
    check_refused(dserver, begun(dserver))
    assert monotonic() - started < PATIENCE


def test_a_wrong_key_is_refused_without_a_word_of_it(make_dserver_on, account):
    wrong = replace(account, key=b64encode(b"wrong" * 12).decode())
    dserver = make_dserver_on(wrong)
    answer = begun(dserver)
    check_refused(dserver, answer)
    assert "administrator" in answer.json["message"]


def test_a_key_that_is_missing_is_named(make_dserver_on, account):
    answer = begun(make_dserver_on(replace(account, key="")))
    assert answer.status_code == 502
    assert f"DTOOL_AZURE_ACCOUNT_KEY_{account.name}" in answer.json["message"]


def test_a_key_that_is_no_base64_stops_dserver_at_its_start(make_dserver_on, account):
    with pytest.raises(ConfigurationError) as refusal:
        make_dserver_on(replace(account, key="no Base64!"))
    assert f"DTOOL_AZURE_ACCOUNT_KEY_{account.name.upper()}" in str(refusal.value)
    assert "no Base64!" not in str(refusal.value)


def test_an_upload_deleted_behind_our_back_can_be_announced_again(azure_dserver, blobs):
    deposit = Deposit(FILES)
    complete = ready(azure_dserver, deposit, "complete")
    for container in containers(blobs, deposit.uuid):
        blobs.delete_container(container)
    for _ in range(2):
        answer = complete()
        assert answer.status_code == 400
        assert "announce the same upload again" in answer.json["message"]
    finish(azure_dserver, blobs, deposit)


# Installation --------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Account, Dserver
from dserver_signed_url_plugin.demo.settings import DataDirectory

data = DataDirectory.create(Path(sys.argv[1]))
dserver = Dserver(Account("lab", "http://127.0.0.1:9/lab", "a2V5"), data.write_settings())
deposit = Deposit()
answer = dserver.alice.begin(dserver.base_uri, DtoolDserver().plan(deposit))
print(answer.status_code, answer.json["message"])
sys.exit("azure" in sys.modules or "dtool_azure" in sys.modules)
"""


def without_the_extra(directory: Path) -> Path:
    """Link all that is installed beside this Python, but for what the extra azure brings."""
    directory.mkdir()
    for path in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for installed in Path(path).iterdir():
            if not installed.name.startswith(("azure", "dtool_azure")):
                (directory / installed.name).symlink_to(installed)
    return directory


def test_without_the_extra_the_answer_says_which_one_to_install(tmp_path):
    root = Path(__file__).parents[2]
    path = os.pathsep.join(map(str, (root, without_the_extra(tmp_path / "packages"))))
    told = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM, tmp_path / "data"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    status, _, message = told.stdout.partition(" ")
    assert status == "501"
    assert "pip install 'dserver-signed-url-plugin[azure]'" in message
