"""What only looks gone is kept; of what is gone, nothing is in the way of a new deposit."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import dtoolcore
import pytest
from dservercore import sql_db
from dservercore.sql_models import Dataset
from dservercore.utils import generate_dataset_info, register_dataset

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.cli.lifecycle import lifecycle
from dserver_signed_url_plugin.uris import BaseURI
from tests.lifecycle.test_sweep import deposited, expire, registered, states, sweep
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import in_capitals
from tests.support.proxy import Fault

pytestmark = pytest.mark.database(
    "sqlite", reason="what the store still has is in doubt, not the database"
)

ELSEWHERE = "objects of this UUID are elsewhere in the store"


def below(bucket, prefix):
    return {f"DTOOL_S3_DATASET_PREFIX_{bucket.name}": prefix}


def restarted(make_dserver, dserver, **config):
    """The same dserver in a new process, which remembers nothing but its database."""
    url = dserver.app.config["SQLALCHEMY_DATABASE_URI"]
    return make_dserver(SQLALCHEMY_DATABASE_URI=url, **config)


def keys(s3, bucket, prefix=""):
    found = s3.list_objects_v2(Bucket=bucket.name, Prefix=prefix).get("Contents", [])
    return [entry["Key"] for entry in found]


def delete(s3, bucket, *names):
    for name in names:
        s3.delete_object(Bucket=bucket.name, Key=name)


def without_count(dserver):
    """Let the register be as it was before dserver counted items."""
    with dserver.app.app_context():
        sql_db.session.execute(sql_db.update(Dataset).values(number_of_items=None))
        sql_db.session.commit()


def test_a_dataset_below_the_prefix_of_another_setting_is_kept(make_dserver, bucket, s3):
    before = make_dserver(**in_capitals(below(bucket, "old/")))
    [uuid] = deposited(before)
    delete(s3, bucket, f"dtool-{uuid}")
    after = restarted(make_dserver, before, **in_capitals(below(bucket, "new/")))
    code, report = sweep(after)
    assert (code, states(report)) == (0, {uuid: "partly gone"})
    assert ELSEWHERE in report["datasets"][0]["reason"]
    assert registered(after) == {uuid}
    assert len(keys(s3, bucket, f"old/{uuid}/")) > 3


@pytest.mark.usefixtures("dtool_reads")
def test_a_dataset_that_dtool_put_below_a_prefix_of_its_own_is_kept(
    dserver, bucket, s3, monkeypatch
):
    monkeypatch.setenv(*below(bucket, "u/alice-").popitem())
    with dtoolcore.DataSetCreator("mine", bucket.base_uri) as creator:
        creator.put_readme("---\n")
    dataset = dtoolcore.DataSet.from_uri(creator.uri)
    with dserver.app.app_context():
        register_dataset(generate_dataset_info(dataset, dserver.base_uri))
    monkeypatch.delenv(*below(bucket, ""))
    assert states(sweep(dserver, "--dry-run")[1]) == {dataset.uuid: "present"}
    delete(s3, bucket, f"dtool-{dataset.uuid}")
    assert registered(dserver) == {dataset.uuid}


@pytest.mark.parametrize(("is_registration_key_gone", "listings"), [(True, 1), (False, 0)])
def test_the_bucket_is_listed_once_and_only_if_a_registration_key_is_gone(
    make_dserver, bucket, s3, proxy, is_registration_key_gone, listings
):
    before = make_dserver()
    gone = deposited(before, 3)
    for uuid in gone[:2]:
        delete(s3, bucket, *keys(s3, bucket, f"{uuid}/"))
        if is_registration_key_gone:
            delete(s3, bucket, f"dtool-{uuid}")
    after = restarted(make_dserver, before, **proxy.settings())
    assert sorted(states(sweep(after)[1]).values()) == ["present", "removed", "removed"]
    whole = [request for request in proxy.requests if "&prefix=&" in request.target]
    assert len(whole) == listings


def test_while_the_bucket_cannot_be_listed_nothing_is_forgotten(make_dserver, bucket, s3, proxy):
    before = make_dserver()
    [uuid] = deposited(before)
    expire(s3, bucket, uuid)
    after = restarted(make_dserver, before, **proxy.settings())
    proxy.before = lambda request: Fault.REFUSED if "&prefix=&" in request.target else None
    code, report = sweep(after)
    assert (code, states(report), registered(after)) == (1, {uuid: "failed"}, {uuid})


def test_what_is_there_costs_one_listing(make_dserver, proxy):
    dserver = make_dserver(**proxy.settings())
    deposited(dserver)
    proxy.forget()
    sweep(dserver)
    assert [(request.method, "list-type=2" in request.target) for request in proxy.requests] == [
        ("GET", True)
    ]


def test_a_dataset_that_nobody_can_read_is_partly_gone(dserver, s3, bucket):
    [uuid] = deposited(dserver)
    delete(s3, bucket, f"{uuid}/manifest.json")
    code, report = sweep(dserver)
    assert (code, states(report)) == (0, {uuid: "partly gone"})
    assert report["datasets"][0]["reason"] == "its manifest is gone"


def test_a_dataset_whose_items_nobody_counted_is_partly_gone_without_any(dserver, s3, bucket):
    [uuid] = deposited(dserver)
    without_count(dserver)
    assert states(sweep(dserver)[1]) == {uuid: "present"}
    delete(s3, bucket, *keys(s3, bucket, f"{uuid}/data/"))
    code, report = sweep(dserver)
    assert (code, states(report)) == (0, {uuid: "partly gone"})
    assert report["datasets"][0]["reason"] == "none of its items is there"


def test_a_uuid_of_which_only_the_registration_key_was_left_can_be_used_again(
    make_dserver, bucket, s3
):
    dserver = make_dserver(**in_capitals(below(bucket, "tmp/")))
    deposit = Deposit()
    DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    delete(s3, bucket, *keys(s3, bucket, "tmp/"))
    assert states(sweep(dserver, "--dry-run")[1]) == {deposit.uuid: "gone"}
    assert keys(s3, bucket) == [f"dtool-{deposit.uuid}"]
    assert states(sweep(dserver)[1]) == {deposit.uuid: "removed"}
    assert keys(s3, bucket) == []
    done = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    assert done.status_code == 200


def test_the_container_that_azure_keeps_is_told_of(azure_dserver, blobs):
    [uuid] = deposited(azure_dserver)
    for blob in blobs.list_blobs(uuid):
        blobs.delete_blob(uuid, blob.name)
    [found] = sweep(azure_dserver)[1]["datasets"]
    assert found["state"] == "removed"
    assert found["reason"] == "its empty container stays, and keeps its UUID taken"
    assert blobs.exists(uuid)


# Gone for no known reason ---------------------------------------------------------------------


@pytest.fixture
def emptied(dserver, s3, bucket):
    """A dserver whose store has nothing left, as if it were another one."""
    for uuid in deposited(dserver, 3):
        expire(s3, bucket, uuid)
    return dserver


def known(dserver):
    """Return how many datasets dserver has in its register."""
    with dserver.app.app_context():
        return len(datasets.below(BaseURI.parse(dserver.base_uri)))


def invoke(dserver, *words):
    return dserver.app.test_cli_runner().invoke(lifecycle, words)


def check_doubted(dserver, number, *options):
    """Fail unless a sweep refuses to forget so many, and forgets none."""
    before = known(dserver)
    result = invoke(dserver, "sweep", dserver.base_uri, *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{number} registered dataset(s) of {dserver.base_uri} are gone, and no" in result.stderr
    assert "--even-if-all" in result.stderr
    assert known(dserver) == before


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--json"]])
def test_that_all_are_gone_is_doubted(emptied, options):
    check_doubted(emptied, 3, *options)


def test_that_all_are_gone_may_be_meant(emptied):
    code, report = sweep(emptied)
    assert (code, set(states(report).values())) == (0, {"removed"})
    assert registered(emptied) == set()


def test_that_one_is_gone_is_doubted(dserver, s3, bucket):
    gone, _ = deposited(dserver, 2)
    expire(s3, bucket, gone)
    check_doubted(dserver, 1)


def test_that_all_others_are_gone_is_doubted_although_there_is_a_new_one(emptied):
    [kept] = deposited(emptied)
    check_doubted(emptied, 3)
    assert sweep(emptied)[0] == 0
    assert registered(emptied) == {kept}


def test_what_azure_has_deleted_is_doubted_because_nobody_can_ask_it_why(azure_dserver, blobs):
    for uuid in deposited(azure_dserver, 2):
        blobs.delete_container(uuid)
    check_doubted(azure_dserver, 2)
    assert sweep(azure_dserver)[0] == 0
    assert known(azure_dserver) == 0


def test_that_all_others_are_gone_is_doubted_while_one_cannot_be_looked_for(
    make_dserver, proxy, s3, bucket
):
    dserver = make_dserver(**proxy.settings())
    unknown, *others = deposited(dserver, 4)
    for uuid in others:
        expire(s3, bucket, uuid)
    proxy.before = lambda request: Fault.REFUSED if unknown in request.target else None
    check_doubted(dserver, 3)
    proxy.heal()
    assert known(dserver) == 4


def let_them_be_old(dserver, hours, uuids=None):
    """Let datasets, or all, have been frozen so many hours ago."""
    frozen_at = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(hours=hours)
    some = sql_db.update(Dataset).values(frozen_at=frozen_at)
    with dserver.app.app_context():
        sql_db.session.execute(some if uuids is None else some.where(Dataset.uuid.in_(uuids)))
        sql_db.session.commit()


@pytest.mark.parametrize(("age", "code"), [(23, 1), (25, 0)])
def test_that_all_are_gone_is_no_wonder_where_a_rule_had_the_time_to_delete_them(
    emptied, age, code
):
    result = invoke(emptied, "set", emptied.base_uri, "--days", "1", "--ephemeral")
    assert result.exit_code == 0
    let_them_be_old(emptied, age)
    assert invoke(emptied, "sweep", emptied.base_uri).exit_code == code
    assert known(emptied) == (3 if code else 0)


def test_what_a_rule_has_deleted_is_forgotten_although_another_is_gone_for_no_known_reason(
    dserver, s3, bucket
):
    old, young, kept = deposited(dserver, 3)
    for uuid in (old, young):
        expire(s3, bucket, uuid)
    invoke(dserver, "set", dserver.base_uri, "--days", "1", "--ephemeral")
    let_them_be_old(dserver, 25, [old])
    result = invoke(dserver, "sweep", dserver.base_uri, "--json")
    found = states(json.loads(result.stdout))
    assert (result.exit_code, found) == (1, {old: "removed", young: "failed", kept: "present"})
    assert "--even-if-all" in result.stdout
    assert registered(dserver) == {young, kept}
