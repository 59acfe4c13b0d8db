"""Decisions: what is kept of them, and what is not."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from dserver_signed_url_plugin.audit.decisions import Decision
from dserver_signed_url_plugin.audit.repository import SignedURLAudit
from dserver_signed_url_plugin.audit.texts import parsed
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import ConfigurationError, InvalidField
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

UUID = "550e8400-e29b-41d4-a716-446655440000"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
NEPAL = timezone(timedelta(hours=5, minutes=45))


def kept(uri: str = f"s3://lab/{UUID}", **facts) -> Decision:
    decision = {"action": "read-item", "username": "alice", "uri": uri, **facts}
    return Decision(**decision).storable()


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (f"s3://lab/{UUID}", f"s3://lab/{UUID}"),
        (f"s3:/lab/{UUID}", f"s3://lab/{UUID}"),
        ("s3:/lab", "s3://lab"),
        ("", ""),
    ],
)
def test_a_uri_is_kept_as_dserver_spells_it(text, known):
    assert kept(text).uri == known


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("s3://lab/my-dataset", "s3://lab/my-dataset"),
        (f"S3://lab/{UUID}", f"S3://lab/{UUID}"),
        (f"s3://lab/{UUID}?X-Amz-Signature=geheim", f"s3://lab/{UUID}…"),
        (f"s3://lab/{UUID}#geheim", f"s3://lab/{UUID}…"),
        ("s3%3A%2F%2Flab%3FX-Amz-Signature%3Dgeheim", "s3…"),
        ("s3://lab/a b=geheim", "s3://lab/a…"),
        ("https://alice:geheim@s3.example.org/lab", "https://s3.example.org/lab"),
        ("alice:geheim@lab", "lab"),
        (f"s3://lab/{TOKEN}", "s3://lab/…"),
        (f"Bearer {TOKEN}", "Bearer…"),
        (TOKEN, "…"),
        ("k3q7fzn2x5mvw4ah6tyb2cjd7ersgpou", "…"),
        ("/signed-urls/K3Q7FZN2X5MVW4AH6TYB2CJD7ERSGPOU.", "/signed-urls/…."),
        ("s3://lab/\x00geheim", "s3://lab/…"),
        ("s3://lab/\x1b[31mgeheim", "s3://lab/…"),
    ],
)
def test_of_what_is_no_uri_only_harmless_text_is_kept(text, known):
    assert kept(text).uri == known


@pytest.mark.parametrize("sign", ["u", "ü", "漢", "\U0001d54c", "\ud800", "\x00", "@", "/", "?"])
@pytest.mark.parametrize("start", ["own://lab/", "s3://lab/", ""])
@pytest.mark.parametrize("length", [1, 1014, 1024, 5000])
def test_whatever_a_person_sends_fits_the_table_and_its_index(start, sign, length):
    text = start + sign * length
    names = ("username", "action", "reason", "address", "request_id", "operator", "host")
    facts = dict.fromkeys(names, text)
    decision = kept(text, **facts)
    for name in ("uri", *facts):
        value = getattr(decision, name)
        assert len(value) <= SignedURLAudit.__table__.c[name].type.length
        assert value.isprintable()
        # PostgreSQL indexes 2,704 bytes; and halves of surrogate pairs cannot be encoded at all.
        assert len(value.encode()) <= 2600


def test_times_are_kept_and_said_in_utc():
    noon = datetime(2026, 11, 20, 12, tzinfo=NEPAL)
    decision = kept(time=noon, expires_at=noon + timedelta(hours=1))
    assert (decision.time, decision.time.utcoffset()) == (noon, timedelta(0))
    facts = decision.as_json()
    assert facts["time"] == "2026-11-20T06:15:00.000000Z"
    assert facts["expires_at"] == "2026-11-20T07:15:00.000000Z"
    assert json.loads(json.dumps(facts)) == facts


def test_a_place_is_a_dataset_or_else_a_base_uri():
    assert parsed(f"s3://lab/{UUID}") == DatasetURI(BaseURI("s3", "lab"), UUID)
    assert parsed("s3://lab") == BaseURI("s3", "lab")
    with pytest.raises(InvalidField, match="UUID"):
        parsed("s3://lab/my-dataset")


@pytest.mark.parametrize("days", [0, 1, 36_500])
def test_decisions_are_kept_for_as_many_days_as_the_setting_says(days):
    assert Settings.load({}, {"SIGNED_URL_AUDIT_DAYS": str(days)}).audit_days == days
    assert Settings.load({"SIGNED_URL_AUDIT_DAYS": days}, {}).audit_days == days


def test_decisions_are_kept_for_a_year_unless_told_otherwise():
    assert Settings.load({}, {}).audit_days == 365


@pytest.mark.parametrize("days", ["-1", "1.5", "a year", " ", "36501", "9" * 5000, -1, True])
def test_days_that_are_none_are_refused_by_name(days):
    with pytest.raises(ConfigurationError, match="SIGNED_URL_AUDIT_DAYS"):
        Settings.load({"SIGNED_URL_AUDIT_DAYS": days}, {})
