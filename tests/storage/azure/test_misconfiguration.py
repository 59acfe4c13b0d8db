"""Azure's settings are wrong, or its SDK is not installed: a sentence within seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.demo.store import free_port
from dserver_signed_url_plugin.errors import ConfigurationError
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver, in_capitals
from tests.support.logged_secrets import kept_out_of_the_log
from tests.support.refusals import assert_store_unavailable

PATIENCE = 10  # seconds, on a busy machine


@pytest.fixture(autouse=True)
def _no_secret_is_logged(caplog, account) -> Iterator[None]:
    with kept_out_of_the_log(account, caplog):
        yield


def begun(dserver: Dserver) -> TestResponse:
    """Begin an upload, which needs the store as every other call does."""
    return dserver.alice.begin(dserver.base_uri, DtoolDserver().plan(Deposit()))


def test_an_endpoint_where_nobody_listens_is_answered_within_seconds(make_azure_dserver, account):
    nowhere = f"http://127.0.0.1:{free_port()}/{account.name}"
    dserver = make_azure_dserver(**in_capitals(account.settings(nowhere)))
    started = monotonic()
    assert_store_unavailable(dserver, begun(dserver))
    assert monotonic() - started < PATIENCE


def test_a_wrong_key_is_refused_without_a_word_of_it(make_dserver_on, account):
    wrong = replace(account, key=b64encode(b"wrong" * 12).decode())
    dserver = make_dserver_on(wrong)
    answer = begun(dserver)
    assert_store_unavailable(dserver, answer)
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
    root = Path(__file__).parents[3]
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
