"""Lifecycle rules in a bucket: ours come and go, all others stay, whoever else writes."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    LifecycleUnsettled,
)
from dserver_signed_url_plugin.storage.lifecycle import Retention
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.s3.lifecycle import S3Lifecycle
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.bucket_lifecycle import put, rules
from tests.support.dserver import in_capitals
from tests.support.proxy import StoreProxy

OURS = "dserver-signed-url-expire"
DAY = Retention(1)
MIDNIGHT = datetime(2030, 1, 1, tzinfo=timezone.utc)


def lifecycle_of(bucket, **more):
    config = in_capitals({**bucket.settings(), **more})
    return S3Lifecycle(BaseURI.parse(bucket.base_uri), Settings.load(config, {}))


def rule(name, **what):
    action = what or {"Expiration": {"Days": 30}}
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": f"{name}/"}, **action}


def names(s3, bucket):
    return [each["ID"] for each in rules(s3, bucket)]


@pytest.fixture
def proxy(bucket):
    with StoreProxy(bucket) as running:
        yield running


@pytest.fixture
def overtaken(bucket, proxy):
    """A lifecycle whose every request can be overtaken by somebody else's."""
    return lifecycle_of(bucket, **proxy.settings())


def test_a_rule_is_set_and_taken_away(bucket, s3):
    lifecycle = lifecycle_of(bucket)
    change = lifecycle.change(Retention(3, "tmp/", 7))
    [set_] = rules(s3, bucket)
    assert (set_["ID"], set_["Status"], set_["Filter"]) == (OURS, "Enabled", {"Prefix": "tmp/"})
    assert set_["Expiration"] == {"Days": 3}
    assert set_["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert (change.differs, change.before) == (True, [])
    assert lifecycle.change(None).differs
    assert rules(s3, bucket) == []
    assert not lifecycle.change(None).differs


def asked(proxy):
    """What was asked about the lifecycle."""
    return [request.method for request in proxy.requests if "?lifecycle" in request.target]


def test_the_same_again_asks_once_and_writes_nothing(bucket, proxy, overtaken):
    overtaken.change(DAY)
    proxy.forget()
    assert not overtaken.change(DAY).differs
    assert asked(proxy) == ["GET"]


def test_rules_are_read_in_the_request_right_before_they_are_written(bucket, proxy, overtaken):
    overtaken.change(DAY)
    assert [request.method for request in proxy.requests[-3:]] == ["GET", "PUT", "GET"]
    assert asked(proxy) == ["GET", "PUT", "GET"]


def test_other_days_replace_our_rule_and_nobody_elses(bucket, s3):
    others = [
        rule("logs", Transitions=[{"Days": 30, "StorageClass": "GLACIER"}]),
        rule("tidy", NoncurrentVersionExpiration={"NoncurrentDays": 3}),
    ]
    put(s3, bucket, *others)
    before = rules(s3, bucket)
    lifecycle = lifecycle_of(bucket)
    lifecycle.change(DAY)
    lifecycle.change(Retention(2))
    assert rules(s3, bucket)[:2] == before
    assert [each["Expiration"] for each in rules(s3, bucket)[2:]] == [{"Days": 2}]
    lifecycle.change(None)
    assert rules(s3, bucket) == before


def test_what_is_planned_is_not_done(bucket, s3):
    lifecycle = lifecycle_of(bucket)
    planned = lifecycle.planned(DAY)
    assert [each.name for each in planned.after] == [OURS]
    assert rules(s3, bucket) == []
    assert lifecycle.change(DAY) == planned


def overtaking(proxy, *writes):
    """Let somebody write after each of our PUTs, as long as there is something to write."""
    left = list(writes)

    def somebody(request):
        if request.method == "PUT" and left:
            left.pop(0)()

    proxy.after = somebody


def test_a_rule_that_somebody_writes_over_is_refused_and_theirs_stay(bucket, s3, proxy, overtaken):
    put(s3, bucket, rule("first"))
    overtaking(proxy, lambda: put(s3, bucket, rule("first"), rule("theirs")))
    with pytest.raises(LifecycleUnsettled, match="somebody else keeps changing them"):
        overtaken.change(DAY)
    assert names(s3, bucket) == ["first", "theirs"]


def test_a_removal_that_somebody_writes_over_is_refused(bucket, s3, proxy, overtaken):
    put(s3, bucket, rule("first"))
    overtaken.change(DAY)
    stale = rules(s3, bucket)
    overtaking(proxy, lambda: put(s3, bucket, *stale, rule("theirs")))
    with pytest.raises(LifecycleUnsettled, match="somebody else keeps changing them"):
        overtaken.change(None)
    assert names(s3, bucket) == ["first", OURS, "theirs"]


def test_a_rule_lost_by_a_writer_who_had_not_seen_it_is_put_back(bucket, s3, proxy, overtaken):
    put(s3, bucket, rule("first"), rule("second"))
    overtaking(proxy, lambda: put(s3, bucket, rule("first"), rule("theirs")))
    with pytest.raises(LifecycleUnsettled, match="it was taken back"):
        overtaken.change(DAY)
    assert sorted(names(s3, bucket)) == ["first", "second", "theirs"]


def test_a_rule_is_put_back_although_ours_is_there_already(bucket, s3, proxy, overtaken):
    lifecycle_of(bucket).change(DAY)
    [ours] = rules(s3, bucket)
    put(s3, bucket, rule("first"), ours)
    overtaking(proxy, lambda: put(s3, bucket, {**ours, "Expiration": {"Days": 2}}))
    with pytest.raises(LifecycleUnsettled, match="it was taken back"):
        overtaken.change(Retention(2))
    assert sorted(names(s3, bucket)) == [OURS, "first"]
    assert lifecycle_of(bucket).rules()[-1].does == ("deleted 1 day after they were written",)


def test_two_at_once_leave_one_rule(bucket, s3):
    put(s3, bucket, rule("first"))
    both = [lifecycle_of(bucket) for _ in range(2)]
    threads = [threading.Thread(target=each.change, args=(DAY,)) for each in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(s3, bucket) == ["first", OURS]


def test_somebody_who_never_stops_is_told_of(bucket, s3, proxy, overtaken):
    def somebody(request):
        if request.method == "PUT":
            put(s3, bucket, rule("theirs"))

    proxy.after = somebody
    with pytest.raises(LifecycleUnsettled, match="somebody else keeps changing them"):
        overtaken.change(DAY)
    assert names(s3, bucket) == ["theirs"]


def test_where_old_versions_are_kept_they_go_a_day_later(bucket, s3):
    lifecycle = lifecycle_of(bucket)
    lifecycle.change(DAY)
    assert "NoncurrentVersionExpiration" not in rules(s3, bucket)[0]
    s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    planned = lifecycle.planned(DAY)
    assert lifecycle.change(DAY) == planned
    assert rules(s3, bucket)[0]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert planned.after[0].does == (
        "deleted 1 day after they were written",
        "old versions deleted 1 day after they were replaced",
    )
    assert not lifecycle.change(DAY).differs


def expiring(prefix, days, status="Enabled", **more):
    name, filter_ = f"{prefix}-{days}-{status}", {"Prefix": prefix, **more}
    filter_ = {"And": filter_} if more else filter_
    when = {"Days": days} if isinstance(days, int) else {"Date": days}
    return {**rule(name, Expiration=when), "Filter": filter_, "Status": status}


def aborting(prefix, days):
    abort = {"DaysAfterInitiation": days}
    named = rule(f"abort-{prefix}-{days}", AbortIncompleteMultipartUpload=abort)
    return {**named, "Filter": {"Prefix": prefix}}


NOW = datetime.now(timezone.utc)
A_DAY, THREE = timedelta(days=1), timedelta(days=3)
UUID, LARGE, SMALL = str(uuid4()), "1" * 40, "2" * 40


@pytest.fixture
def stored(bucket, s3):
    """A dataset of two items, one of 100 bytes and one of 2, written now."""
    for name, size in ((LARGE, 100), (SMALL, 2)):
        s3.put_object(Bucket=bucket.name, Key=f"{UUID}/data/{name}", Body=b"." * size)


@pytest.mark.parametrize(
    ("rules_", "all_", "small"),
    [
        ([], None, None),
        ([expiring("scratch/", 1)], None, None),
        ([expiring("dtool-", 1)], None, None),
        ([expiring("", 1, "Disabled")], None, None),
        ([expiring("", 1, Tags=[{"Key": "a", "Value": "b"}])], None, None),
        ([expiring("", 1, ObjectSizeGreaterThan=1000)], None, None),
        ([expiring("", 1, ObjectSizeGreaterThan=2)], A_DAY, None),
        ([expiring("", 1, ObjectSizeLessThan=100)], A_DAY, A_DAY),
        ([expiring(f"{UUID}/data/1", 1), expiring("", 3)], A_DAY, THREE),
        ([expiring("", 9), expiring("", 3), expiring("logs/", 1)], THREE, THREE),
        ([expiring("", 2**31 - 1)], None, None),
        ([rule("old", NoncurrentVersionExpiration={"NoncurrentDays": 3})], None, None),
    ],
)
def test_a_rule_ends_what_it_reaches(bucket, s3, stored, rules_, all_, small):
    if rules_:
        put(s3, bucket, *rules_)
    lifecycle = lifecycle_of(bucket)
    for expected, ends in ((all_, lifecycle.ends(UUID)), (small, lifecycle.ends(UUID, SMALL))):
        if expected is None:
            assert ends is None
        else:
            assert abs(ends - NOW - expected) < timedelta(hours=1)


@pytest.mark.parametrize(
    ("rules_", "ends"),
    [
        ([], None),
        ([expiring("", 1)], MIDNIGHT + A_DAY),
        ([expiring("", 1, ObjectSizeGreaterThan=2)], None),
        ([expiring("", MIDNIGHT + THREE)], MIDNIGHT + THREE),
        ([expiring("", MIDNIGHT - THREE)], MIDNIGHT - THREE),
        ([expiring("", 1), expiring("", MIDNIGHT + THREE)], MIDNIGHT + A_DAY),
        ([expiring("", 2**31 - 1)], None),
    ],
)
def test_what_is_gone_may_have_ended_by_days_or_by_a_date(bucket, s3, rules_, ends):
    if rules_:
        put(s3, bucket, *rules_)
    assert lifecycle_of(bucket).would_end(UUID, MIDNIGHT) == ends


def test_parts_end_by_the_first_rule_that_aborts_them(bucket, s3):
    assert lifecycle_of(bucket).parts_end(UUID, MIDNIGHT) is None
    put(s3, bucket, expiring("", 1), aborting("", 3), aborting(f"{UUID}/", 2), aborting("x/", 1))
    lifecycle = lifecycle_of(bucket)
    assert lifecycle.parts_end(UUID, MIDNIGHT) == MIDNIGHT + 2 * A_DAY
    assert lifecycle.ends(UUID) is None


def test_a_dataset_is_reached_where_it_is_whatever_the_setting_is_now(bucket, s3):
    put(s3, bucket, expiring("old/", 1))
    s3.put_object(Bucket=bucket.name, Key=f"dtool-{UUID}", Body=b"old/")
    s3.put_object(Bucket=bucket.name, Key=f"old/{UUID}/data/{SMALL}", Body=b"..")
    lifecycle = lifecycle_of(bucket, DTOOL_S3_DATASET_PREFIX="new/")
    assert lifecycle.ends(UUID) is not None
    assert lifecycle.ends(str(uuid4())) is None


def test_an_item_costs_one_page_and_other_peoples_rules_nothing(bucket, s3, stored, proxy):
    others = [expiring(f"{number}/", 1) for number in range(50)]
    put(s3, bucket, expiring("", 3), *others)
    lifecycle = lifecycle_of(bucket, **proxy.settings())
    assert lifecycle.ends(UUID, SMALL) is not None
    assert len(proxy.requests) == 3
    proxy.forget()
    # The rules are known.
    assert lifecycle.ends(UUID, SMALL) is not None
    assert len(proxy.requests) == 2
    put(s3, bucket, *others)
    lifecycle.rules()
    proxy.forget()
    assert lifecycle.ends(UUID, SMALL) is None
    assert len(proxy.requests) <= 1


def test_many_may_read_the_rules_at_once(bucket, s3, stored):
    put(s3, bucket, expiring("", MIDNIGHT))
    lifecycle = lifecycle_of(bucket)
    assert set(each(lambda _: lifecycle.ends(UUID), range(64))) == {MIDNIGHT}
