"""Lifecycle rules in a bucket: ours come and go, all others stay, whoever else writes."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    LifecycleUnsettled,
    LifecycleUnsupported,
    StorageUnavailable,
)
from dserver_signed_url_plugin.storage import Storages
from dserver_signed_url_plugin.storage.lifecycle import Lifetime
from dserver_signed_url_plugin.storage.s3.lifecycle import S3Lifecycle
from dserver_signed_url_plugin.uris import BaseURI
from tests.dserver import in_capitals
from tests.lifecycle_store import LifecycleStore
from tests.proxy import StoreProxy

OURS = "dserver-signed-url-expire"
DAY = Lifetime(1)
UNKNOWN = (
    b"<Rule><ID>odd</ID><Prefix>x/</Prefix><Status>Enabled</Status><Unheard><Of/></Unheard></Rule>"
)
ANOTHER = UNKNOWN.replace(b"odd", b"another")


def lifecycle_of(bucket, **more):
    config = in_capitals({**bucket.settings(), **more})
    return S3Lifecycle(BaseURI.parse(bucket.base_uri), Settings.load(config, {}))


def rule(name, **what):
    action = what or {"Expiration": {"Days": 30}}
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": f"{name}/"}, **action}


def put(s3, bucket, *rules):
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration={"Rules": list(rules)}
    )


def rules(s3, bucket):
    with suppress(ClientError):
        return s3.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
    return []


def names(s3, bucket):
    return [each["ID"] for each in rules(s3, bucket)]


def in_odd_store(*rules_):
    return b"<LifecycleConfiguration>" + b"".join(rules_) + b"</LifecycleConfiguration>"


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
    change = lifecycle.change(Lifetime(3, "tmp/", 7))
    [set_] = rules(s3, bucket)
    assert (set_["ID"], set_["Status"], set_["Filter"]) == (OURS, "Enabled", {"Prefix": "tmp/"})
    assert set_["Expiration"] == {"Days": 3}
    assert set_["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert (change.differs, change.before) == (True, [])
    assert lifecycle.change(None).differs
    assert rules(s3, bucket) == []
    assert not lifecycle.change(None).differs


def test_the_same_again_asks_once_and_writes_nothing(bucket, proxy, overtaken):
    overtaken.change(DAY)
    proxy.forget()
    assert not overtaken.change(DAY).differs
    assert [request.method for request in proxy.requests] == ["GET"]


def test_other_days_replace_our_rule_and_nobody_elses(bucket, s3):
    others = [
        rule("logs", Transitions=[{"Days": 30, "StorageClass": "GLACIER"}]),
        rule("tidy", NoncurrentVersionExpiration={"NoncurrentDays": 3}),
    ]
    put(s3, bucket, *others)
    before = rules(s3, bucket)
    lifecycle = lifecycle_of(bucket)
    lifecycle.change(DAY)
    lifecycle.change(Lifetime(2))
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


def test_a_rule_put_between_reading_and_writing_is_kept(bucket, s3, proxy, overtaken):
    put(s3, bucket, rule("first"))

    def somebody(request):
        if request.number == 1:
            put(s3, bucket, rule("first"), rule("theirs"))

    proxy.after = somebody
    overtaken.change(DAY)
    assert names(s3, bucket) == ["first", "theirs", OURS]


def test_a_rule_that_somebody_writes_over_is_written_again(bucket, s3, proxy, overtaken):
    put(s3, bucket, rule("first"))
    written = []

    def somebody(request):
        if request.method == "PUT" and not written:
            written.append(request)
            put(s3, bucket, rule("first"), rule("theirs"))

    proxy.after = somebody
    overtaken.change(DAY)
    assert names(s3, bucket) == ["first", "theirs", OURS]


def test_a_removal_that_somebody_writes_over_is_done_again(bucket, s3, proxy, overtaken):
    put(s3, bucket, rule("first"))
    overtaken.change(DAY)
    proxy.forget()
    stale = rules(s3, bucket)
    written = []

    def somebody(request):
        if request.method == "PUT" and not written:
            written.append(request)
            put(s3, bucket, *stale, rule("theirs"))

    proxy.after = somebody
    overtaken.change(None)
    assert names(s3, bucket) == ["first", "theirs"]


def test_a_rule_seen_once_and_lost_by_a_writer_who_had_not_seen_it_is_put_back(
    bucket, s3, proxy, overtaken
):
    put(s3, bucket, rule("first"), rule("second"))
    written = []

    def somebody(request):
        if request.method == "PUT" and not written:
            written.append(request)
            put(s3, bucket, rule("first"), rule("theirs"))

    proxy.after = somebody
    overtaken.change(DAY)
    assert sorted(names(s3, bucket)) == sorted(["first", "second", "theirs", OURS])


def test_a_rule_is_put_back_although_ours_is_there_already(bucket, s3, proxy, overtaken):
    lifecycle_of(bucket).change(DAY)
    [ours] = rules(s3, bucket)
    put(s3, bucket, rule("first"))

    def somebody(request):
        if request.number == 1:
            put(s3, bucket, rule("first"), rule("theirs"))
        elif request.number == 3:
            put(s3, bucket, rule("first"), ours)

    proxy.after = somebody
    overtaken.change(DAY)
    assert sorted(names(s3, bucket)) == sorted(["first", "theirs", OURS])


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


def test_rules_nobody_understands_keep_every_byte():
    store = LifecycleStore(in_odd_store(UNKNOWN))
    with store as bucket:
        lifecycle = lifecycle_of(bucket)
        lifecycle.change(Lifetime(1, "tmp/"))
        assert UNKNOWN in store.document
        # Beside a rule with a prefix of its own, AWS takes no filter.
        assert b"<Filter>" not in store.document
        lifecycle.change(None)
    assert store.document == in_odd_store(UNKNOWN)


def test_a_store_that_answers_for_a_while_what_was_there_before():
    before = in_odd_store(UNKNOWN)
    store = LifecycleStore(in_odd_store(UNKNOWN, ANOTHER), stale=[in_odd_store(UNKNOWN, ANOTHER)])
    store.stale += [in_odd_store(UNKNOWN, ANOTHER), before, before]
    with store as bucket:
        lifecycle_of(bucket).change(DAY)
    assert UNKNOWN in store.document
    assert ANOTHER in store.document
    assert store.document.count(b"<Rule>") == 3


def test_a_store_that_keeps_a_part_of_our_rule_is_told_of():
    def minio(document):
        start, tag, rest = document.partition(b"<AbortIncompleteMultipartUpload>")
        return start + rest.partition(b"</AbortIncompleteMultipartUpload>")[2] if tag else document

    with LifecycleStore(keeps=minio) as bucket:
        lifecycle = lifecycle_of(bucket)
        with pytest.raises(LifecycleUnsettled, match="MinIO drops --abort-incomplete-days"):
            lifecycle.change(Lifetime(1, abort_incomplete_days=7))
        assert not lifecycle.change(DAY).differs


@pytest.mark.parametrize(
    "refusal", [(501, "NotImplemented"), (501, ""), (405, "MethodNotAllowed"), (405, "")]
)
def test_a_store_without_lifecycle_is_named_with_what_to_do_instead(refusal):
    with LifecycleStore(refuses=refusal) as bucket:
        lifecycle = lifecycle_of(bucket)
        for ask in (lifecycle.rules, lifecycle.document, lambda: lifecycle.change(DAY)):
            with pytest.raises(LifecycleUnsupported, match="by its own means"):
                ask()


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((403, "AccessDenied"), "grant it s3:GetLifecycleConfiguration"),
        ((404, "NoSuchBucket"), "has no bucket odd"),
        ((400, "InvalidRequest"), "InvalidRequest"),
    ],
)
def test_a_refusal_is_a_sentence(refusal, said):
    with LifecycleStore(refuses=refusal) as bucket, pytest.raises(StorageUnavailable, match=said):
        lifecycle_of(bucket).rules()


def test_a_thousand_rules_are_the_most():
    full = [UNKNOWN.replace(b"odd", b"%d" % number) for number in range(1000)]
    store = LifecycleStore(in_odd_store(*full))
    with store as bucket, pytest.raises(LifecycleUnsettled, match="1,000 lifecycle rules"):
        lifecycle_of(bucket).change(DAY)
    assert store.puts == 0


@pytest.mark.parametrize(
    ("base_uri", "said"),
    [("azure://account", "az storage account management-policy"), ("own://x", "its means")],
)
def test_other_storages_have_their_lifecycle_elsewhere(base_uri, said):
    with pytest.raises(LifecycleUnsupported, match=said):
        Storages(Settings.load({}, {})).lifecycle(BaseURI.parse(base_uri))
