"""How long what `flask temp_share` makes can be fetched: as told, and not a second longer."""

from __future__ import annotations

import json
import re
import threading
from datetime import datetime, timedelta, timezone

import pytest
import requests

from dserver_signed_url_plugin.cli.lifecycle import lifecycle
from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.proxy import Fault, StoreProxy
from tests.shares import FILES, ends

pytestmark = pytest.mark.database("sqlite", reason="how long a URL lives depends on no database")

WEEK, DAY = 604_800, 86_400
NOBODY_S = "550e8400-e29b-41d4-a716-446655440000"
MAXIMUM = {"SIGNED_URL_READ_EXPIRY_SECONDS": 300, "SIGNED_URL_MAX_READ_EXPIRY_SECONDS": 300}
DATE = rb"(?<=<LastModified>)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


def invoke(dserver, *arguments, command=temp_share):
    return dserver.app.test_cli_runner().invoke(command, [str(each) for each in arguments])


def shared(dserver, *arguments):
    """Run a command; return what --json says, and the remarks."""
    result = invoke(dserver, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout), result.stderr


def test_every_url_of_a_share_is_refused_after_its_end(dserver, folder):
    share, _ = shared(dserver, "create", dserver.base_uri, folder, "--expires", 1)
    urls, moments = [file["url"] for file in share["files"]], threading.Event()
    end = datetime.strptime(share["expiry_timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert {ends(url) for url in urls} == {end}
    while datetime.now(timezone.utc) <= end + timedelta(seconds=1):
        moments.wait(0.05)
    statuses = [requests.get(url, timeout=30).status_code for url in urls]
    assert statuses == [403] * len(FILES)


# What the server grants ---------------------------------------------------------------------


def test_without_a_wish_urls_live_as_long_as_the_server_lets_them(make_dserver, folder):
    dserver = make_dserver(**MAXIMUM)
    share, remarks = shared(dserver, "create", dserver.base_uri, folder)
    again, _ = shared(dserver, "url", share["uri"])
    assert (share["expiry_seconds"], again["expiry_seconds"]) == (300, 300)
    assert "limited" not in remarks


@pytest.mark.parametrize("command", ["create", "url"])
def test_a_life_above_the_maximum_is_refused_with_it(make_dserver, folder, command):
    dserver = make_dserver(**MAXIMUM)
    places = {"create": [dserver.base_uri, folder], "url": [f"{dserver.base_uri}/{NOBODY_S}"]}
    result = invoke(dserver, command, *places[command], "--expires", 301)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "at most 300, which is SIGNED_URL_MAX_READ_EXPIRY_SECONDS" in result.stderr


# What the store keeps -----------------------------------------------------------------------


@pytest.fixture
def asked(bucket):
    """What dserver asks of a bucket, and is answered."""
    with StoreProxy(bucket) as running:
        yield running


@pytest.fixture
def ephemeral(make_dserver, asked):
    """A dserver whose bucket deletes what is a day old."""
    dserver = make_dserver(**asked.settings())
    limited(dserver, "--days", 1, "--ephemeral")
    return dserver


def limited(dserver, *options):
    result = invoke(dserver, "set", dserver.base_uri, *options, command=lifecycle)
    assert result.exit_code == 0, result.output


def aged(asked, hours):
    """Let the store say that it has kept everything for so many hours."""
    written = datetime.now(timezone.utc) - timedelta(hours=hours)
    asked.rewritten = lambda body: re.sub(DATE, f"{written:%Y-%m-%dT%H:%M:%S}".encode(), body)


def test_urls_do_not_outlive_the_objects(ephemeral, asked, folder):
    share, remarks = shared(ephemeral, "create", ephemeral.base_uri, folder, "--expires", WEEK)
    assert DAY - 60 < share["expiry_seconds"] <= DAY
    assert share["expiry_limited_by"] == "lifecycle"
    assert f"{share['expiry_seconds']} seconds, not {WEEK}: limited by lifecycle." in remarks
    aged(asked, hours=23)
    again, _ = shared(ephemeral, "url", share["uri"], "--expires", WEEK)
    assert 3600 - 60 < again["expiry_seconds"] <= 3600
    assert again["expiry_limited_by"] == "lifecycle"
    assert {ends(file["url"]) for file in again["files"]} == {
        datetime.strptime(again["expiry_timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
    }


def test_what_the_store_is_about_to_delete_is_not_shared(ephemeral, asked, folder):
    share, _ = shared(ephemeral, "create", ephemeral.base_uri, folder)
    aged(asked, hours=24)
    result = invoke(ephemeral, "url", share["uri"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "may delete them at any moment: share the files again" in result.stderr


def test_a_life_that_the_objects_have_is_granted_as_it_is(ephemeral, folder):
    share, remarks = shared(ephemeral, "create", ephemeral.base_uri, folder, "--expires", 3600)
    assert share["expiry_seconds"] == 3600
    assert "expiry_limited_by" not in share
    assert "limited" not in remarks


@pytest.mark.parametrize("case", ["no rule", "another's keys", "no answer"])
def test_what_no_rule_is_known_to_delete_is_shared_as_long_as_is_asked(
    make_dserver, asked, folder, case
):
    dserver = make_dserver(**asked.settings())
    if case == "another's keys":
        limited(dserver, "--days", 1, "--prefix", "scratch/")
    if case == "no answer":
        limited(dserver, "--days", 1, "--ephemeral")
        asked.before = lambda request: Fault.REFUSED if "lifecycle" in request.target else None
    share, _ = shared(dserver, "create", dserver.base_uri, folder, "--expires", WEEK)
    assert share["expiry_seconds"] == WEEK
    assert "expiry_limited_by" not in share
