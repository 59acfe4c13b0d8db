"""Azure's settings are wrong: a sentence within seconds."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
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
