"""How long what `flask temp_share` makes can be fetched: as told, and not a second longer."""

from __future__ import annotations

import json
import re
import threading
from datetime import datetime, timedelta, timezone

import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.cli.lifecycle import lifecycle
from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.support.proxy import Fault, StoreProxy
from tests.support.refusals import assert_refused
from tests.support.shared_files import FILES, ends

WEEK, DAY = 604_800, 86_400
NOBODY_S = "550e8400-e29b-41d4-a716-446655440000"
MAXIMUM = {"SIGNED_URL_READ_EXPIRY_SECONDS": 300, "SIGNED_URL_MAX_READ_EXPIRY_SECONDS": 300}


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


def aged(asked, hours, which=b""):
    """Let the store say that it has kept everything, or one object, for so many hours."""
    written = datetime.now(timezone.utc) - timedelta(hours=hours)
    said, number = f"{written:%Y-%m-%dT%H:%M:%S}".encode(), 1 if which else 0
    date = re.compile(rb"(%s<LastModified>)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d" % which)
    asked.rewritten = lambda body: date.sub(rb"\g<1>" + said, body, number)


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


def test_urls_do_not_outlive_the_oldest_object(ephemeral, asked, folder):
    share, _ = shared(ephemeral, "create", ephemeral.base_uri, folder)
    aged(asked, hours=20, which=rb"/data/[0-9a-f]{40}</Key>\s*")
    again, _ = shared(ephemeral, "url", share["uri"], "--expires", WEEK)
    assert 4 * 3600 - 60 < again["expiry_seconds"] <= 4 * 3600


def test_urls_do_not_outlive_a_date(make_dserver, asked, folder, s3, bucket):
    dserver, now = make_dserver(**asked.settings()), datetime.now(timezone.utc)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
    rule = {"ID": "a", "Status": "Enabled", "Prefix": "", "Expiration": {"Date": midnight}}
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration={"Rules": [rule]}
    )
    share, _ = shared(dserver, "create", dserver.base_uri, folder, "--expires", WEEK)
    assert share["expiry_limited_by"] == "lifecycle"
    assert {ends(file["url"]) for file in share["files"]} == {midnight}


def test_over_http_urls_do_not_outlive_the_objects_either(ephemeral, asked, folder):
    share, _ = shared(ephemeral, "create", ephemeral.base_uri, folder)
    identifier = generate_identifier(share["files"][0]["relpath"])

    def answers():
        yield ephemeral.bob.read(share["uri"], expiry_seconds=WEEK)
        yield ephemeral.bob.read_item(share["uri"], identifier, expiry_seconds=WEEK)

    for answer in answers():
        assert DAY - 60 < answer.json["expiry_seconds"] <= DAY
        assert answer.json["expiry_limited_by"] == "lifecycle"
        [url] = {answer.json.get("url") or answer.json["item_urls"][identifier]}
        assert f"{ends(url):%Y-%m-%dT%H:%M:%S}" == answer.json["expiry_timestamp"][:19]
    aged(asked, hours=24)
    for answer in answers():
        assert_refused(answer, 410, "deposit it where it is kept longer")


def test_what_the_store_is_about_to_delete_is_not_shared(ephemeral, asked, folder):
    share, _ = shared(ephemeral, "create", ephemeral.base_uri, folder)
    aged(asked, hours=24)
    result = invoke(ephemeral, "url", share["uri"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("deposit it where it is kept longer.\n")


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
    share, remarks = shared(dserver, "create", dserver.base_uri, folder, "--expires", WEEK)
    assert share["expiry_seconds"] == WEEK
    assert "expiry_limited_by" not in share
    assert ("the server needs s3:GetLifecycleConfiguration" in remarks) == (case == "no answer")
