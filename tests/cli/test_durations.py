"""Durations are written one way in every option that takes one."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import click
import pytest

from dserver_signed_url_plugin.cli.audit import audit
from dserver_signed_url_plugin.cli.durations import DAY, HOUR, SECOND, fractional, whole
from dserver_signed_url_plugin.cli.file_urls import url
from dserver_signed_url_plugin.cli.lifecycle import set_
from dserver_signed_url_plugin.cli.pending_upload import cleanup, list_uploads
from dserver_signed_url_plugin.cli.share import cleanup as clean_shares
from dserver_signed_url_plugin.cli.share import create as create_share
from dserver_signed_url_plugin.cli.temp_share import create

# (command, option): the unit of a plain number
OPTIONS = {
    (clean_shares, "--older-than"): DAY,
    (create, "--expires"): SECOND,
    (url, "--expires"): SECOND,
    (list_uploads, "--older-than"): HOUR,
    (cleanup, "--older-than"): HOUR,
    (set_, "--days"): DAY,
    (set_, "--abort-incomplete-days"): DAY,
}
ALL = pytest.mark.parametrize(
    ("command", "name", "unit"),
    [(*key, unit) for key, unit in OPTIONS.items()],
    ids=[f"{command.name} {name}" for command, name in OPTIONS],
)


def converted(command: click.Command, name: str, text: str):
    [option] = [each for each in command.params if name in each.opts]
    return option.type.convert(text, option, click.Context(command))


@ALL
def test_every_option_takes_a_number_or_a_number_with_a_unit(command, name, unit):
    assert converted(command, name, "600") == 600
    assert converted(command, name, "48h") == 48 * HOUR / unit
    assert converted(command, name, "7d") == 7 * DAY / unit
    assert converted(command, name, f"{2 * DAY}s") == 2 * DAY / unit
    assert converted(command, name, "2880m") == 2 * DAY / unit


@ALL
@pytest.mark.parametrize(
    "text",
    ["", "1.5h", "1w", "h", "7 d", "1h30m", "-1h", "inf", "nan", "1e999", "9" * 5000, "٣d"],
)
def test_every_option_refuses_what_is_no_duration(command, name, unit, text):
    with pytest.raises(click.BadParameter, match=r"is not a duration such as 600 \(\w+\), 90m"):
        converted(command, name, text)


@ALL
def test_every_option_refuses_a_duration_out_of_its_range(command, name, unit):
    with pytest.raises(click.BadParameter, match="99999999999d is more than [0-9,]+ "):
        converted(command, name, "99999999999d")
    with pytest.raises(click.BadParameter, match="-1 is less than "):
        converted(command, name, "-1")
    if unit != HOUR:
        with pytest.raises(click.BadParameter, match="0 is less than 1 "):
            converted(command, name, "0")


def test_how_long_a_link_works_has_a_unit():
    expected = {"90m": 5400, "24h": DAY, "7d": 7 * DAY, "30s": 30}
    assert {text: converted(create_share, "--expires", text) for text in expected} == expected
    for text in ("30", "0", "1.5", "-1", "1w", "", "٣d"):
        with pytest.raises(click.BadParameter, match="is not a duration with a unit, such as 90m"):
            converted(create_share, "--expires", text)
    with pytest.raises(click.BadParameter, match="0d is less than 1 second"):
        converted(create_share, "--expires", "0d")


def test_hours_may_be_fractions_and_zero_as_ever():
    hours = fractional(HOUR)
    texts = ("0", "0.5", ".5", "1e3", "1e-05", "90m")
    assert [hours(text) for text in texts] == [0, 0.5, 0.5, 1000, 0.00001, 1.5]


@pytest.mark.parametrize(("unit", "text"), [(DAY, "36h"), (DAY, "90m"), (SECOND, "1.5")])
def test_where_only_whole_units_count_nothing_is_rounded(unit, text):
    with pytest.raises(click.BadParameter, match="is not a whole number of"):
        whole(unit)(text)


@pytest.mark.parametrize(
    ("text", "ago"), [("600", 600), ("90m", 5400), ("24h", DAY), ("7d", 7 * DAY), ("0", 0)]
)
def test_since_takes_durations(text, ago):
    expected = datetime.now(timezone.utc) - timedelta(seconds=ago)
    assert abs(converted(audit, "--since", text) - expected) < timedelta(seconds=10)


def test_since_takes_times_in_utc_or_with_an_offset():
    eight = datetime(2026, 11, 20, 8, tzinfo=timezone.utc)
    for text in ("2026-11-20T08:00", "2026-11-20T08:00:00Z", "2026-11-20T10:00+02:00"):
        assert converted(audit, "--since", text) == eight


@pytest.mark.parametrize("text", ["-1", "1.5h", "1w", "99999999999d", "2026-13-01", "20261399"])
def test_since_refuses_what_is_neither_a_time_nor_a_duration(text):
    with pytest.raises(click.BadParameter, match="is neither a time such as 2026-11-20"):
        converted(audit, "--since", text)
