"""How long URLs live: as asked for, as promised, and not a second longer."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests

from dserver_signed_url_plugin.cli.temp_share import temp_share
from dserver_signed_url_plugin.errors import ConfigurationError
from dserver_signed_url_plugin.storage.values import Item, Life
from tests.support.clients import FILES, Deposit, DserverClientJS, DtoolDserver, urls_in
from tests.support.doctor_reports import forget_this_machine
from tests.support.dserver import Bucket, Dserver, encoded, in_capitals
from tests.support.refusals import assert_refused, nothing_is_written

WEEK = 604_800
CREDENTIALS_LEFT = 600  # seconds


def uploaded(dserver: Dserver) -> str:
    deposit = Deposit(more={"annotations": {"a": 1}, "tags": ["t"]})
    done = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    assert done.status_code == 200, done.json
    return str(done.json["uri"])


@pytest.fixture(scope="module")
def uri(lab: Dserver) -> str:
    """A dataset to be read."""
    return uploaded(lab)


@pytest.fixture(scope="module")
def uri_in_each(each_lab: Dserver) -> str:
    """The same in each store."""
    return uploaded(each_lab)


def identifier(dserver: Dserver, uri: str) -> str:
    return next(iter(dserver.bob.read(uri).json["item_urls"]))


def answers(dserver: Dserver, uri: str, seconds: int | None = None) -> list[Any]:
    """Read, read an item, begin an upload and resume it, each for the same life."""
    query = {} if seconds is None else {"expiry_seconds": seconds}
    begun = dserver.alice.begin(dserver.base_uri, {**DtoolDserver().plan(Deposit()), **query}).json
    path = f"/signed-urls/upload/{encoded(begun['uri'])}"
    return [
        dserver.bob.read(uri, **query).json,
        dserver.bob.read_item(uri, identifier(dserver, uri), **query).json,
        begun,
        dserver.alice.get(path, query_string={"urls": True, **query}).json["upload"],
    ]


def ends(url: str) -> datetime:
    """When the store stops accepting a URL."""
    query = parse_qs(urlsplit(url).query)
    if "se" in query:
        # A start could lie ahead of the store's clock.
        assert "st" not in query
        return datetime.strptime(query["se"][0], "%Y-%m-%dT%H:%M:%S%z")
    signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
    return signed + timedelta(seconds=int(query["X-Amz-Expires"][0]))


def keys_of(bucket: Bucket) -> dict[str, str]:
    """A bucket's keys as boto3 takes them."""
    return {"aws_access_key_id": bucket.access_key, "aws_secret_access_key": bucket.secret_key}


def past(seconds: int, ago: int) -> Life:
    """A life of so many seconds that began some time ago."""
    starts = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(seconds=ago)
    return Life(starts, seconds, starts + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [None, 1, 77, WEEK])
def test_the_promised_end_is_the_end_of_every_url(each_lab, uri_in_each, seconds):
    before = datetime.now(timezone.utc)
    granted = answers(each_lab, uri_in_each, seconds)
    for answer, default in zip(granted, [3600, 3600, 14_400, 14_400], strict=True):
        assert answer["expiry_seconds"] == (seconds or default)
        stamp = answer["expiry_timestamp"]
        promised = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z")
        # Always with six digits of a second.
        assert stamp == promised.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        assert {ends(url) for url in urls_in(answer)} == {promised}
        life = timedelta(seconds=answer["expiry_seconds"])
        assert abs(promised - before - life) < timedelta(seconds=30)
    # The server writes the empty file itself.
    urls = [len(urls_in(answer["upload_urls"])) for answer in granted[2:]]
    assert urls == [4 + len(FILES) - 1] * 2


def test_a_life_that_is_too_long_is_refused(each_lab, uri_in_each):
    item = identifier(each_lab, uri_in_each)
    plan = {**DtoolDserver().plan(Deposit()), "expiry_seconds": WEEK + 1}
    with nothing_is_written(each_lab):
        for answer in (
            each_lab.bob.read(uri_in_each, expiry_seconds=WEEK + 1),
            each_lab.bob.read_item(uri_in_each, item, expiry_seconds=WEEK + 1),
            each_lab.alice.begin(each_lab.base_uri, plan),
        ):
            assert_refused(answer, 422, "expiry_seconds")
            assert str(WEEK) in answer.json["message"]


@pytest.mark.parametrize("seconds", ["0", "-1", "1.5", "soon", "", "1e3", "9" * 30])
def test_a_life_out_of_bounds_is_refused_on_reading(lab, uri, seconds):
    for answer in (
        lab.bob.read(uri, expiry_seconds=seconds),
        lab.bob.read_item(uri, identifier(lab, uri), expiry_seconds=seconds),
    ):
        assert_refused(answer, 422, "expiry_seconds")
        if seconds.isdigit() and seconds != "0":
            assert str(WEEK) in answer.json["message"]


@pytest.mark.parametrize("seconds", [0, -1, 1.5, True, "soon", 10**30])
def test_a_life_out_of_bounds_is_refused_on_uploading(lab, seconds):
    plan = {**DtoolDserver().plan(Deposit()), "expiry_seconds": seconds}
    with nothing_is_written(lab):
        answer = lab.alice.begin(lab.base_uri, plan)
        assert_refused(answer, 422, "expiry_seconds")
    if seconds == 10**30:
        assert str(WEEK) in answer.json["message"]


@pytest.fixture
def short_lived(
    make_dserver: Callable[..., Dserver],
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Dserver:
    """A dserver whose own credentials for the bucket end in ten minutes."""
    forget_this_machine(monkeypatch, tmp_path)
    sts = boto3.client("sts", "us-east-1", endpoint_url=bucket.endpoint, **keys_of(bucket))
    made = sts.get_session_token(DurationSeconds=900)["Credentials"]
    sts.close()
    ends = datetime.now(timezone.utc) + timedelta(seconds=CREDENTIALS_LEFT)
    chain = {
        "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        "AWS_SESSION_TOKEN": made["SessionToken"],
        "AWS_CREDENTIAL_EXPIRATION": ends.isoformat(),
        "AWS_ENDPOINT_URL_S3": bucket.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in chain.items():
        monkeypatch.setenv(name, value)
    # Then boto3's own chain is asked.
    return make_dserver(**dict.fromkeys(in_capitals(bucket.settings())))


def test_an_answer_says_what_made_its_urls_live_shorter(short_lived):
    deposit = Deposit()
    grant = DtoolDserver().begin(short_lived.alice, short_lived.base_uri, deposit)
    uri = grant["uri"]
    progress = short_lived.alice.get(f"/signed-urls/upload/{encoded(uri)}?urls=true").json
    DtoolDserver().put(grant, deposit)
    assert short_lived.alice.complete(uri).status_code == 200
    item = identifier(short_lived, uri)
    for asked in ({}, {"expiry_seconds": 3600}, {"expiry_seconds": CREDENTIALS_LEFT + 60}):
        for answer in (
            grant,
            progress["upload"],
            short_lived.bob.read(uri, **asked).json,
            short_lived.bob.read_item(uri, item, **asked).json,
        ):
            assert answer["expiry_limited_by"] == "credentials"
            assert CREDENTIALS_LEFT - 60 < answer["expiry_seconds"] <= CREDENTIALS_LEFT
    for answer in (
        short_lived.bob.read(uri, expiry_seconds=60),
        short_lived.bob.read_item(uri, item, expiry_seconds=60),
    ):
        assert answer.json["expiry_seconds"] == 60
        assert "expiry_limited_by" not in answer.json


def test_a_share_says_what_made_its_urls_live_shorter(short_lived, tmp_path):
    (tmp_path / "one.txt").write_text("eins")
    command = ["create", short_lived.base_uri, str(tmp_path / "one.txt"), "--json"]
    result = short_lived.app.test_cli_runner().invoke(temp_share, [*command, "--expires", "3600"])
    share = json.loads(result.stdout)
    assert share["expiry_limited_by"] == "credentials"
    assert f"live {share['expiry_seconds']} seconds, not 3600: limited by" in result.stderr


def test_settings_change_defaults_and_maxima(make_dserver):
    dserver = make_dserver(
        SIGNED_URL_READ_EXPIRY_SECONDS=100,
        SIGNED_URL_WRITE_EXPIRY_SECONDS="200",
        SIGNED_URL_MAX_READ_EXPIRY_SECONDS=1000,
        SIGNED_URL_MAX_WRITE_EXPIRY_SECONDS=2000,
    )
    deposit = Deposit()
    assert DserverClientJS().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    granted = [answer["expiry_seconds"] for answer in answers(dserver, uri)]
    assert granted == [100, 100, 200, 200]
    assert_refused(dserver.bob.read(uri, expiry_seconds=1001), 422, "1000")
    plan = {**DtoolDserver().plan(Deposit()), "expiry_seconds": 2001}
    assert_refused(dserver.alice.begin(dserver.base_uri, plan), 422, "2000")
    assert dserver.bob.read(uri, expiry_seconds=1000).json["expiry_seconds"] == 1000


def test_settings_work_from_the_environment_and_flask_goes_first(make_dserver, monkeypatch):
    monkeypatch.setenv("SIGNED_URL_READ_EXPIRY_SECONDS", "111")
    monkeypatch.setenv("SIGNED_URL_WRITE_EXPIRY_SECONDS", "222")
    settings = make_dserver(SIGNED_URL_WRITE_EXPIRY_SECONDS=333).services.settings
    assert (settings.read_expiry, settings.write_expiry) == (111, 333)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIGNED_URL_READ_EXPIRY_SECONDS", "0"),
        ("SIGNED_URL_READ_EXPIRY_SECONDS", "-1"),
        ("SIGNED_URL_WRITE_EXPIRY_SECONDS", "4 hours"),
        ("SIGNED_URL_WRITE_EXPIRY_SECONDS", str(WEEK + 1)),
        ("SIGNED_URL_MAX_READ_EXPIRY_SECONDS", str(WEEK + 1)),
        ("SIGNED_URL_MAX_WRITE_EXPIRY_SECONDS", "60"),
        ("SIGNED_URL_MAX_ITEMS", "many"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_its_name(make_dserver, name, value):
    with pytest.raises(ConfigurationError, match=name):
        make_dserver(**{name: value})


def test_the_store_refuses_a_read_url_after_its_end(each_lab, uri_in_each):
    uuid, item = uri_in_each.rpartition("/")[2], identifier(each_lab, uri_in_each)
    alive = each_lab.storage.reads.item_url(uuid, item, past(seconds=3600, ago=1800))
    dead = each_lab.storage.reads.item_url(uuid, item, past(seconds=1800, ago=1801))
    assert requests.get(alive, timeout=30).status_code == 200
    assert requests.get(dead, timeout=30).status_code == 403
    late = urls_in(vars(each_lab.storage.reads.read_urls(uuid, past(seconds=60, ago=61))))
    assert len(late) == 4 + len(FILES)
    for url in late:
        assert requests.get(url, timeout=30).status_code == 403


@pytest.mark.parametrize("pinned", [True, False])
def test_the_store_refuses_a_write_url_after_its_end(lab, pinned):
    deposit = Deposit()
    grant = DtoolDserver().begin(lab.alice, lab.base_uri, deposit)
    items = [Item(name, entry["relpath"], hash="0" * 32) for name, entry in items_of(grant)]
    urls = lab.storage.uploads.write_urls(
        deposit.uuid, "s" * 32, items, past(seconds=60, ago=61), pinned=pinned
    )
    for request in urls.items.values():
        answer = requests.put(request.url, b"late", headers=dict(request.headers), timeout=30)
        assert (answer.status_code, "xpired" in answer.text) == (403, True)
    assert all(
        requests.put(u, b"late", timeout=30).status_code == 403 for u in urls.documents.values()
    )


def items_of(grant: Any) -> Any:
    return grant["upload_urls"]["items"].items()
