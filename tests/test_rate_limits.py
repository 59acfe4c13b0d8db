"""How often somebody may ask: off unless it is set, per person, and per address without a token."""

from __future__ import annotations

import logging

import pytest

from dserver_signed_url_plugin.demo.store import free_port
from dserver_signed_url_plugin.errors import ConfigurationError, TooManyRequests
from tests.support.audit_records import rows
from tests.support.dserver import Dserver, encoded
from tests.support.refusals import assert_refused

UUID = "550e8400-e29b-41d4-a716-446655440000"
THREE = {"SIGNED_URL_RATE_LIMIT": "3 per hour"}


def test_without_the_setting_nothing_is_limited(make_dserver):
    dserver = make_dserver()
    answers = [dserver.bob.read(f"{dserver.base_uri}/{UUID}") for _ in range(50)]
    assert {answer.status_code for answer in answers} == {404}


def test_whoever_asks_too_often_is_told_when_to_come_again(make_dserver):
    dserver = make_dserver(**THREE)
    uri = f"{dserver.base_uri}/{UUID}"
    assert [dserver.bob.read(uri).status_code for _ in range(3)] == [404] * 3
    upload = f"/signed-urls/upload/{encoded(uri)}"
    for refused in (
        dserver.bob.read(uri),
        dserver.bob.read_item(uri, "0" * 40),
        dserver.bob.begin(dserver.base_uri, {}),
        dserver.bob.complete(uri),
        dserver.bob.get(upload),
        dserver.bob.delete(upload),
        dserver.bob.get(f"/signed-urls/audit/{encoded(uri)}"),
    ):
        assert_refused(refused, 429, "SIGNED_URL_RATE_LIMIT", "3 per 1 hour", "seconds")
        assert 1 <= int(refused.headers["Retry-After"]) <= 3601
    # Others at the same address, and dserver's own routes, are not meant.
    assert dserver.alice.read(uri).status_code == 404
    assert dserver.bob.get("/config/info").status_code == 200
    # A refusal that can be had at will is counted, not written again and again.
    counted = [row for row in rows(dserver) if row["reason"] == "too-many-requests"]
    assert {row["username"] for row in counted} == {"bob"}
    assert (len(counted) <= 2, sum(row["requests"] for row in counted)) == (True, 7)


def test_without_a_token_the_address_is_counted(make_dserver):
    dserver = make_dserver(**THREE)
    path = f"/signed-urls/dataset/{encoded(f'{dserver.base_uri}/{UUID}')}"
    client = dserver.app.test_client()

    def knock(address: str, token: str | None = None) -> int:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        origin = {"REMOTE_ADDR": address}
        return client.get(path, headers=headers, environ_base=origin).status_code

    assert [knock("192.0.2.1", "x.y.z") for _ in range(5)] == [401, 401, 401, 429, 429]
    assert knock("192.0.2.2") == 401
    # Neither ports nor the addresses of one IPv6 network are counted by themselves.
    assert [knock(f"192.0.2.3:{port}") for port in range(4)] == [401, 401, 401, 429]
    assert [knock(f"2001:db8::{host}") for host in range(4)] == [401, 401, 401, 429]
    # Nobody is shut out by who shares an address with them.
    assert knock("192.0.2.1", dserver.tokens["bob"]) == 404


@pytest.mark.parametrize(
    ("addresses", "sender"),
    [
        (["192.0.2.1:49152", "192.0.2.1:49153"], "192.0.2.1"),
        (["2001:db8::1", "2001:db8::2"], "2001:db8::/64"),
        (["", "_hidden"], "an unknown address"),
    ],
)
def test_a_refusal_names_what_was_counted(make_dserver, addresses, sender):
    limits = make_dserver(SIGNED_URL_RATE_LIMIT="1 per hour").services.rate_limits
    first, second = addresses
    limits.check_address(first)
    limits.check_visitor(first, "share")
    with pytest.raises(TooManyRequests, match=f"^Without a valid token, {sender} sent more"):
        limits.check_address(second)
    with pytest.raises(TooManyRequests, match=f"^With this link, {sender} sent more"):
        limits.check_visitor(second, "share")


def test_a_preflight_is_not_counted(make_dserver):
    dserver = make_dserver(**THREE)
    uri = f"{dserver.base_uri}/{UUID}"
    client = dserver.app.test_client()
    for _ in range(5):
        assert client.options(f"/signed-urls/dataset/{encoded(uri)}").status_code == 200
    assert dserver.bob.read(uri).status_code == 404


def test_several_limits_hold_at_once(make_dserver):
    dserver = make_dserver(SIGNED_URL_RATE_LIMIT="100 per second; 2 per day")
    uri = f"{dserver.base_uri}/{UUID}"
    assert [dserver.bob.read(uri).status_code for _ in range(3)] == [404, 404, 429]


def test_a_redis_that_is_away_is_no_reason_not_to_answer(make_dserver, caplog):
    storage = f"redis://:secret-word@127.0.0.1:{free_port()}/0"
    dserver: Dserver = make_dserver(**THREE, SIGNED_URL_RATE_LIMIT_STORAGE=storage)
    uri = f"{dserver.base_uri}/{UUID}"
    # Counted in memory meanwhile.
    assert [dserver.bob.read(uri).status_code for _ in range(4)] == [404, 404, 404, 429]
    warned = [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING]
    assert [line for line in warned if "SIGNED_URL_RATE_LIMIT_STORAGE" in line] == warned[:1]
    assert "secret-word" not in caplog.text
    assert "secret-word" not in dserver.alice.get("/config/info").text


@pytest.mark.parametrize("scheme", ["unix", "redis+unix"])
def test_a_redis_may_have_a_socket_in_the_file_system(make_dserver, tmp_path, scheme, caplog):
    storage = f"{scheme}://{tmp_path}/redis.sock"
    dserver = make_dserver(**THREE, SIGNED_URL_RATE_LIMIT_STORAGE=storage)
    uri = f"{dserver.base_uri}/{UUID}"
    assert [dserver.bob.read(uri).status_code for _ in range(4)] == [404, 404, 404, 429]
    assert "SIGNED_URL_RATE_LIMIT_STORAGE is not available" in caplog.text


def test_a_limit_may_be_per_year(make_dserver):
    dserver = make_dserver(SIGNED_URL_RATE_LIMIT="1 per year")
    assert dserver.bob.read(f"{dserver.base_uri}/{UUID}").status_code == 404


WRONG = {
    "no number": ("SIGNED_URL_RATE_LIMIT", "often"),
    "no unit": ("SIGNED_URL_RATE_LIMIT", "5"),
    "another unit": ("SIGNED_URL_RATE_LIMIT", "5 per fortnight"),
    "none": ("SIGNED_URL_RATE_LIMIT", "0 per minute"),
    "endless": ("SIGNED_URL_RATE_LIMIT", "1 per 99999999999999999999 years"),
    "MongoDB": ("SIGNED_URL_RATE_LIMIT_STORAGE", "mongodb://:secret-word@127.0.0.1:1"),
    "a cluster": ("SIGNED_URL_RATE_LIMIT_STORAGE", "redis+cluster://127.0.0.1:1"),
    "Sentinel": ("SIGNED_URL_RATE_LIMIT_STORAGE", "redis+sentinel://:secret-word@127.0.0.1:1/main"),
    "asynchronous": ("SIGNED_URL_RATE_LIMIT_STORAGE", "async+memory://"),
    "a port that is none": ("SIGNED_URL_RATE_LIMIT_STORAGE", "redis://secret-word:port"),
    "no storage": ("SIGNED_URL_RATE_LIMIT_STORAGE", "secret-word"),
    "another storage": ("SIGNED_URL_RATE_LIMIT_STORAGE", "nosuch://secret-word"),
}


@pytest.mark.parametrize(("name", "value"), WRONG.values(), ids=WRONG)
def test_a_setting_that_is_wrong_stops_dserver_and_is_named(make_dserver, name, value):
    with pytest.raises(ConfigurationError, match=name) as refused:
        make_dserver(**{**THREE, name: value})
    assert "secret-word" not in str(refused.value)


@pytest.mark.parametrize("kind", ["a cluster", "Sentinel"])
def test_several_redis_servers_are_said_to_be_too_many(make_dserver, kind):
    name, value = WRONG[kind]
    with pytest.raises(ConfigurationError, match=r"one Redis server \(no cluster, no Sentinel\)"):
        make_dserver(**THREE, **{name: value})
