"""Lifecycle rules in stores that are not like AWS: what they keep, forget, refuse or lack."""

from __future__ import annotations

import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    LifecycleUnsettled,
    LifecycleUnsupported,
    StorageUnavailable,
)
from dserver_signed_url_plugin.storage.lifecycle import Retention
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.s3.lifecycle import S3Lifecycle
from dserver_signed_url_plugin.storage.s3.lifecycle_document import Document
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.dserver import in_capitals
from tests.support.lifecycle_store import LifecycleStore, minio, naming, without_filters
from tests.support.proxy import Fault, Instead, StoreProxy

DAY = Retention(1)
SCRATCH = Retention(1, "scratch/")
UNKNOWN = (
    b"<Rule><ID>odd</ID><Prefix>x/</Prefix><Status>Enabled</Status><Unheard><Of/></Unheard></Rule>"
)
ANOTHER = UNKNOWN.replace(b"odd", b"another")
NOT_THERE = b"<Error><Code>NotImplemented</Code></Error>"
NAMELESS = b"<Rule><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"


def lifecycle_of(bucket, **more):
    config = in_capitals({**bucket.settings(), **more})
    return S3Lifecycle(BaseURI.parse(bucket.base_uri), Settings.load(config, {}))


def in_odd_store(*rules):
    return b"<LifecycleConfiguration>" + b"".join(rules) + b"</LifecycleConfiguration>"


def test_rules_nobody_understands_stay_as_they_are():
    store = LifecycleStore(in_odd_store(UNKNOWN))
    with store as bucket:
        lifecycle = lifecycle_of(bucket)
        lifecycle.change(Retention(1, "tmp/"))
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


def test_a_rule_that_the_store_gives_a_name_is_not_taken_for_lost():
    store = LifecycleStore(in_odd_store(NAMELESS, UNKNOWN), keeps=naming)
    with store as bucket:
        change = lifecycle_of(bucket).change(SCRATCH)
    assert store.asked == ["GET", "PUT", "GET"]
    assert [bool(rule.name) for rule in change.after] == [True] * 3


def test_a_rule_without_a_name_that_is_lost_is_put_back_although_ours_says_the_same():
    ours = Document().changed(DAY).xml
    store = LifecycleStore(in_odd_store(NAMELESS), stale=[in_odd_store(NAMELESS), ours])
    with store as bucket, pytest.raises(LifecycleUnsettled, match="it was taken back"):
        lifecycle_of(bucket).change(DAY)
    assert store.asked == ["GET", "PUT", "GET", "PUT", "GET"]
    assert NAMELESS in store.document
    assert store.document.count(b"<Rule>") == 1


def test_our_former_rule_is_not_taken_for_one_that_the_store_has_changed():
    store = LifecycleStore()
    with store as bucket:
        lifecycle_of(bucket).change(Retention(1, "tmp/"))
        store.stale = [store.document] * 3
        change = lifecycle_of(bucket).change(SCRATCH)
    [rule] = change.after
    assert rule.applies_to == "objects whose key begins with 'scratch/'"


def test_a_rule_of_which_a_store_keeps_a_part_is_taken_back():
    store = LifecycleStore(in_odd_store(UNKNOWN), keeps=minio)
    with store as bucket:
        lifecycle = lifecycle_of(bucket)
        with pytest.raises(LifecycleUnsettled, match="--abort-incomplete-days needs a rule"):
            lifecycle.change(Retention(1, "tmp/", abort_incomplete_days=7))
        assert store.document == in_odd_store(UNKNOWN)
        assert lifecycle.change(Retention(1, "tmp/")).differs


def test_a_rule_that_a_store_keeps_for_all_objects_is_taken_back():
    another = UNKNOWN.replace(b"<Prefix>x/</Prefix>", b"")
    store = LifecycleStore(in_odd_store(another), keeps=without_filters)
    with store as bucket, pytest.raises(LifecycleUnsettled, match="it was taken back"):
        lifecycle_of(bucket).change(SCRATCH)
    assert store.document == in_odd_store(another)
    assert store.asked == ["GET", "PUT", "GET", "PUT", "GET"]


def test_a_rule_that_a_store_keeps_for_all_objects_gives_way_to_our_former_one():
    store = LifecycleStore(keeps=without_filters)
    with store as bucket:
        lifecycle = lifecycle_of(bucket)
        lifecycle.change(Retention(9))
        former = store.document
        with pytest.raises(LifecycleUnsettled, match="it was taken back"):
            lifecycle.change(SCRATCH)
    assert store.document == former


@pytest.mark.parametrize(
    "failure", [Fault.REFUSED, Fault.AWAY, Instead(501, NOT_THERE), Instead(405, b"")]
)
def test_a_rule_that_cannot_be_taken_back_is_told_of_with_what_to_do(failure):
    with LifecycleStore(keeps=without_filters) as odd, StoreProxy(odd) as proxy:
        lifecycle = lifecycle_of(odd, **proxy.settings())
        proxy.before = lambda request: failure if request.method == "DELETE" else None
        said = "rule may still be active: run `flask lifecycle remove s3://odd` now"
        with pytest.raises(LifecycleUnsettled, match=said):
            lifecycle.change(SCRATCH)


@pytest.mark.parametrize(
    "failure", [Fault.AWAY, Fault.DROPPED, Instead(200, b"<html>"), Instead(501, NOT_THERE)]
)
def test_rules_that_cannot_be_read_back_are_restored(failure):
    store = LifecycleStore(in_odd_store(UNKNOWN))
    with store as odd, StoreProxy(odd) as proxy:
        lifecycle = lifecycle_of(odd, **proxy.settings())

        def before(request):
            is_read = request.method == "GET" and not request.target.endswith("?versioning")
            return failure if is_read and store.puts == 1 else None

        proxy.before = before
        said = "could not be read after a change; it was taken back"
        with pytest.raises(LifecycleUnsettled, match=said):
            lifecycle.change(DAY)
    assert store.document == in_odd_store(UNKNOWN)


def test_a_store_that_changes_a_rule_of_others_gets_it_back_or_it_is_printed():
    named = UNKNOWN.replace(b"<Prefix>x/</Prefix>", b"<Filter><Prefix>x/</Prefix></Filter>")
    store = LifecycleStore(in_odd_store(named), keeps=without_filters)
    with store as bucket, pytest.raises(LifecycleUnsettled) as caught:
        lifecycle_of(bucket).change(DAY)
    assert store.asked == ["GET", "PUT", "GET", "PUT", "GET"]
    message = caught.value.message
    assert "does not show them as they were: look with `flask lifecycle show s3://odd`" in message
    assert "<Prefix>x/</Prefix>" in message


def test_the_least_size_of_transitions_stays_as_it_was():
    store = LifecycleStore(in_odd_store(UNKNOWN), transition_minimum="varies_by_storage_class")
    with store as bucket:
        lifecycle_of(bucket).change(DAY)
        assert store.transition_minimum == "varies_by_storage_class"
        lifecycle_of(bucket).change(None)
    assert store.transition_minimum == "varies_by_storage_class"


@pytest.mark.parametrize(
    ("refusal", "warned"), [((403, "AccessDenied"), True), ((501, "NotImplemented"), False)]
)
def test_a_store_that_does_not_say_whether_it_keeps_old_versions(refusal, warned):
    with LifecycleStore(hides_versioning=refusal) as bucket:
        warnings = lifecycle_of(bucket).change(DAY).warnings
    assert ["s3:GetBucketVersioning" in warning for warning in warnings] == [True] * warned


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
    with store as bucket:
        lifecycle = lifecycle_of(bucket)
        for ask in (lifecycle.change, lifecycle.planned):
            with pytest.raises(LifecycleUnsettled, match="1,000 lifecycle rules"):
                ask(DAY)
    assert store.puts == 0


@pytest.mark.parametrize(
    ("base_uri", "said"),
    [("azure://account", "az storage account management-policy"), ("own://x", "its means")],
)
def test_other_storages_have_their_lifecycle_elsewhere(base_uri, said):
    with pytest.raises(LifecycleUnsupported, match=said):
        Storages(Settings.load({}, {})).lifecycle(BaseURI.parse(base_uri))
