"""An account of which the server knows no key: requests by tokens, URLs by a delegation."""

from __future__ import annotations

import logging
import socket
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest

from dserver_signed_url_plugin.doctor.azure.terms import TERMS
from dserver_signed_url_plugin.errors import (
    ConfigurationError,
    SigningUnsupported,
    StorageAway,
    StorageMisconfigured,
    StorageUnavailable,
)
from dserver_signed_url_plugin.storage.azure.credentials import (
    DelegationKeys,
    SigningKey,
    delegation,
)
from dserver_signed_url_plugin.storage.azure.entra_id import EntraTokens
from dserver_signed_url_plugin.storage.circuit_breaker import CircuitBreaker, guarded
from dserver_signed_url_plugin.storage.values import Refused
from tests.support.answering_server import Answer, Answering
from tests.support.azure_accounts import storage_of
from tests.support.clients import Deposit, DtoolDserver
from tests.support.doctor_reports import FIT, NOT_FOR_READING, examined, forget_this_machine
from tests.support.dserver import Account
from tests.support.entra_id import OBJECT_ID, given, identity, running, token
from tests.support.s3_holdings import check_readable
from tests.support.stored_upload import get

WEEK = 604_800
LOGGERS = ("azure", "dserver_signed_url_plugin", "msal")
NOW = datetime(2026, 2, 24, 12, 0, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with running(tmp_path_factory.mktemp("tls")) as made:
        yield made


@pytest.fixture(autouse=True)
def identified(monkeypatch, tmp_path, place):
    forget_this_machine(monkeypatch, tmp_path)
    place.apply(monkeypatch)


# With a store -------------------------------------------------------------------------------


def test_a_dataset_is_deposited_and_read_without_a_key(make_dserver_on, place, caplog):
    caplog.set_level(logging.DEBUG)
    dserver = make_dserver_on(place)
    deposit = Deposit(more={"annotations": {"a": 1}, "tags": ["t"]})
    done = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    assert done.status_code == 200, done.json
    check_readable(dserver, deposit)
    answer = dserver.bob.read(done.json["uri"], expiry_seconds=WEEK).json
    assert answer["expiry_limited_by"] == "credentials"
    assert WEEK - 3600 < answer["expiry_seconds"] < WEEK
    url = answer["readme_url"]
    assert parse_qs(urlsplit(url).query)["skoid"] == [OBJECT_ID]
    assert get(url.replace(OBJECT_ID, OBJECT_ID.replace("1", "2"))).status_code == 403
    # dservercore logs headers of requests to dserver, urllib3 the URLs that this test follows.
    logged = [each.getMessage() for each in caplog.records if each.name.startswith(LOGGERS)]
    for secret in ("Bearer ey", "sig=", "secret-header", token().split(".")[1][:40]):
        assert secret not in "\n".join(logged)


def test_the_doctor_finds_an_account_without_a_key_fit(place):
    report = examined(place)
    assert (report.code, report.failed) == (FIT, set())
    assert report["credentials"]["answered"] == "200, a key for 10065 min"
    # A copy is authorized by the token, too.
    assert report["parts"]["status"] == "ok"


# Tokens -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "times"), [(3600, 1), (60, 2)], ids=["still works for long", "ends soon"]
)
def test_a_token_is_kept_until_it_ends_soon(monkeypatch, seconds, times):
    with Answering([given(token(seconds), seconds)]) as service:
        for name, value in identity(service).items():
            monkeypatch.setenv(name, value)
        tokens = EntraTokens("lab")
        said = {tokens.authorization("GET", "/", {}, {}) for _ in range(2)}
        assert len(service.asked) == times
    assert all(each.startswith("Bearer ey") for each in said)


def test_without_an_identity_it_is_said_who_can_help(place, monkeypatch, caplog):
    with Answering([Answer(400)]) as service:
        for name, value in identity(service).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(
            StorageMisconfigured, match="Entra ID gives the server no token for lab"
        ):
            storage_of(place).reads.life(60)
        report = examined(place)
    assert (report.code, report.failed) == (NOT_FOR_READING, {"containers", "credentials"})
    assert "getting a token in lab" in caplog.text


def test_a_token_that_the_store_does_not_take_is_explained(place, monkeypatch):
    with Answering([given(token(aud="https://elsewhere.example.org"))]) as service:
        for name, value in identity(service).items():
            monkeypatch.setenv(name, value)
        assert {"containers", "credentials"} <= examined(place).failed


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AuthorizationPermissionMismatch", "Storage Blob Data Contributor"),
        ("InvalidAuthenticationInfo", "AZURE_TENANT_ID"),
    ],
)
def test_azures_own_words_about_identities_are_explained(code, advice):
    for step in ("containers", "credentials"):
        assert advice in TERMS.explain(Refused(403, code), step, "").advice


# Keys that sign URLs ------------------------------------------------------------------------


class Clock:
    """A clock that is set by hand."""

    now = NOW

    def __call__(self):
        return self.now


def test_a_key_is_requested_for_a_week_and_anew_after_an_hour():
    clock, requested = Clock(), []

    def request(document):
        requested.append(document.decode())
        return SigningKey(b"%d" % len(requested), clock.now + timedelta(days=7))

    keys = DelegationKeys(request, clock)
    first = keys.current()
    clock.now += timedelta(minutes=59)
    assert keys.current() is first
    clock.now += timedelta(minutes=1)
    assert keys.current().key == b"2"
    assert (
        "<Start>2026-02-24T11:45:00Z</Start><Expiry>2026-03-03T11:45:00Z</Expiry>" in requested[0]
    )
    assert len(requested) == 2


KEY = (
    "<UserDelegationKey><SignedOid>o</SignedOid><SignedTid>t</SignedTid>"
    "<SignedStart>2026-02-24T11:45:00Z</SignedStart><SignedExpiry>2026-03-03T11:45:00Z"
    "</SignedExpiry><SignedService>b</SignedService><SignedVersion>2025-01-05</SignedVersion>"
    "<Value>c2VjcmV0</Value></UserDelegationKey>"
)


def test_a_key_ends_when_the_store_says_so_and_is_not_shown():
    found = delegation(KEY.encode())
    assert found.ends == datetime(2026, 3, 3, 11, 45, tzinfo=timezone.utc)
    assert found.key.value == b"secret"
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("wanted", "instead"),
    [
        ("UserDelegationKey", "Other"),
        ("<SignedOid>o</SignedOid>", ""),
        ("<SignedService>b</SignedService>", "<SignedService/>"),
        ("2026-03-03T11:45:00Z", "tomorrow"),
        ("c2VjcmV0", "no Base64!"),
        ("c2VjcmV0", ""),
        ("<SignedOid>o<", "<SignedOid>o&#10;x<"),
    ],
)
def test_what_is_no_key_is_refused(wanted, instead):
    with pytest.raises(ValueError):  # noqa: PT011 (each has words of its own)
        delegation(KEY.replace(wanted, instead).encode())


def test_a_key_is_replaced_when_it_ends_although_the_hour_is_not_over():
    clock = Clock()
    keys = DelegationKeys(lambda _: SigningKey(b"", clock.now + timedelta(minutes=5)), clock)
    first = keys.current()
    clock.now += timedelta(minutes=5)
    assert keys.current() is not first


def test_with_a_key_that_has_ended_nothing_is_signed():
    ended = Answer(
        content=KEY.replace("2026-03-03", "2020-03-03").encode(),
        headers={"x-ms-request-id": "1"},
    )
    with Answering([ended]) as store:
        azure = storage_of(Account("lab", store.endpoint, "a2V5")).uploads._azure
        azure._keys = DelegationKeys(azure._delegation)
        with pytest.raises(StorageUnavailable, match="a key that has ended"):
            azure.life(60)
        azure._keys = DelegationKeys(lambda _: delegation(ended.content))
        with pytest.raises(StorageUnavailable, match="has ended"):
            azure.life(60)


def test_an_identity_service_that_is_silent_is_waited_for_by_few(place, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}/token")
        storage = guarded(storage_of(place).reads, CircuitBreaker("lab", 0.5))
        with pytest.raises(StorageAway, match="does not answer"):
            storage.life(60)
        with pytest.raises(StorageAway, match="at the moment"):
            storage.life(60)


# Settings -----------------------------------------------------------------------------------


def test_a_token_is_sent_by_https_only(place):
    with pytest.raises(StorageMisconfigured, match="has to be https"):
        storage_of(replace(place, endpoint="http://127.0.0.1:9/lab"))


def test_a_setting_that_is_neither_one_nor_zero_stops_the_start(place):
    with pytest.raises(ConfigurationError, match="DTOOL_AZURE_ENTRA_ID_LAB must be 1 or 0"):
        storage_of(place, {"DTOOL_AZURE_ENTRA_ID_LAB": "yes"})


def test_where_both_are_set_the_key_is_left_to_dtool(place):
    key = {"DTOOL_AZURE_ACCOUNT_KEY_LAB": place.key}
    assert storage_of(place, key).reads.life(WEEK).limited_by == "credentials"
    off = storage_of(place, {**key, "DTOOL_AZURE_ENTRA_ID_LAB": "0"})
    assert off.reads.life(WEEK).limited_by is None


def test_without_the_extra_it_is_said_how_to_get_it(place, monkeypatch):
    monkeypatch.delitem(sys.modules, EntraTokens.__module__)
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(SigningUnsupported, match="pip install azure-identity"):
        storage_of(place)
