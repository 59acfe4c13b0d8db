"""`flask lifecycle sweep`: dserver forgets what its store has deleted, and nothing else."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from dservercore import sql_db
from dservercore.sql_models import Dataset
from dtoolcore.utils import generate_identifier
from sqlalchemy import text

from dserver_signed_url_plugin.cli.lifecycle import lifecycle
from dserver_signed_url_plugin.lifecycle.sweep import DatasetState
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver import encoded
from tests.support.proxy import Fault


def sweep(dserver, *options):
    """Run the command for a bucket without rules; return (exit code, what it says)."""
    words = ["sweep", dserver.base_uri, "--json", "--even-if-all", *options]
    result = dserver.app.test_cli_runner().invoke(lifecycle, words)
    return result.exit_code, json.loads(result.stdout)


def states(report):
    return {found["uri"].rpartition("/")[2]: found["state"] for found in report["datasets"]}


def deposited(dserver, number=1):
    deposits = [Deposit() for _ in range(number)]
    for deposit in deposits:
        done = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
        assert done.status_code == 200
    return [deposit.uuid for deposit in deposits]


def expire(s3, bucket, uuid, ending=""):
    """Delete what the store would delete, or only what ends so."""
    for prefix in (f"dtool-{uuid}", f"{uuid}/"):
        found = s3.list_objects_v2(Bucket=bucket.name, Prefix=prefix).get("Contents", [])
        for key in [each["Key"] for each in found if each["Key"].endswith(ending)]:
            s3.delete_object(Bucket=bucket.name, Key=key)


def registered(dserver):
    """Return the UUIDs that dserver's search still finds."""
    return {each["uuid"] for each in dserver.bob.post("/uris", {}).json}


def test_what_the_store_has_deleted_is_forgotten_everywhere(dserver, s3, bucket):
    gone, kept = deposited(dserver, 2)
    expire(s3, bucket, gone)
    code, report = sweep(dserver)
    assert (code, states(report)) == (0, {gone: "removed", kept: "present"})
    assert registered(dserver) == {kept}
    assert dserver.bob.get(f"/uris/{encoded(f'{dserver.base_uri}/{gone}')}").status_code == 404
    assert dserver.bob.read(f"{dserver.base_uri}/{kept}").status_code == 200
    assert states(sweep(dserver)[1]) == {kept: "present"}


@on_each_database
def test_an_index_that_lacks_a_table_is_named_in_a_sentence(dserver, s3, bucket):
    [uuid] = deposited(dserver)
    expire(s3, bucket, uuid)
    with dserver.app.app_context():
        sql_db.session.execute(text("DROP TABLE sql_index_tag"))
        sql_db.session.commit()
    words = ["sweep", dserver.base_uri, "--even-if-all"]
    result = dserver.app.test_cli_runner().invoke(lifecycle, words)
    assert result.exit_code == 1
    assert "a table is missing: run `flask db upgrade" in result.stderr


def test_what_was_forgotten_may_be_deposited_again(dserver, s3, bucket):
    deposit = Deposit()
    for _ in range(2):
        done = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
        assert done.status_code == 200
        expire(s3, bucket, deposit.uuid)
        assert sweep(dserver)[0] == 0


def test_a_dry_run_forgets_nothing(dserver, s3, bucket):
    [uuid] = deposited(dserver)
    expire(s3, bucket, uuid)
    code, report = sweep(dserver, "--dry-run")
    assert (code, states(report), report["dry_run"]) == (0, {uuid: "gone"}, True)
    assert registered(dserver) == {uuid}


@pytest.mark.parametrize(
    ("ending", "why"),
    [("/dtool", "its admin metadata is gone"), ("ITEM", "2 of 3 items are there")],
)
def test_what_is_partly_gone_is_reported_and_kept(dserver, s3, bucket, ending, why):
    [uuid] = deposited(dserver)
    expire(s3, bucket, uuid, ending.replace("ITEM", generate_identifier("empty.dat")))
    code, report = sweep(dserver)
    assert (code, states(report)) == (0, {uuid: "partly gone"})
    assert why in report["datasets"][0]["reason"]
    assert registered(dserver) == {uuid}


@pytest.mark.parametrize("fault", list(Fault))
def test_a_store_that_cannot_be_asked_makes_nothing_forgotten(
    make_dserver, bucket, s3, proxy, fault
):
    dserver = make_dserver(**proxy.settings())
    [uuid] = deposited(dserver)
    expire(s3, bucket, uuid)
    proxy.fail(fault, at=1, until=1000)
    code, report = sweep(dserver)
    assert (code, states(report)) == (1, {uuid: "failed"})
    assert registered(dserver) == {uuid}
    proxy.heal()
    assert states(sweep(dserver)[1]) == {uuid: "removed"}


def test_a_bucket_that_is_gone_is_no_dataset_that_is_gone(dserver, s3, bucket):
    [uuid] = deposited(dserver)
    expire(s3, bucket, uuid)
    s3.delete_bucket(Bucket=bucket.name)
    code, report = sweep(dserver)
    assert (code, states(report)) == (1, {uuid: "failed"})
    assert registered(dserver) == {uuid}


def test_one_that_fails_stops_no_other(make_dserver, bucket, s3, proxy):
    dserver = make_dserver(**proxy.settings())
    gone = deposited(dserver, 3)
    for uuid in gone:
        expire(s3, bucket, uuid)
    bad = sorted(gone)[0]
    proxy.before = lambda request: Fault.REFUSED if bad in request.target else None
    code, report = sweep(dserver)
    assert code == 1
    assert states(report) == {uuid: "failed" if uuid == bad else "removed" for uuid in gone}


@pytest.mark.parametrize(
    "odd",
    [
        {"uri": "{base}/550E8400-E29B-41D4-A716-446655440000"},
        {"uri": "{base}//{uuid}"},
        {"uri": "{base}/{uuid}?versionId=1"},
        {"uri": "{base}/"},
        {"uuid": "550e8400-e29b-41d4-a716-446655440000"},
        {"uuid": ""},
    ],
)
def test_an_odd_uri_in_the_register_fails_and_stops_no_other(dserver, s3, bucket, odd):
    strange, gone, kept = deposited(dserver, 3)
    for uuid in (strange, gone):
        expire(s3, bucket, uuid)
    [(column, value)] = odd.items()
    written = {column: value.format(base=dserver.base_uri, uuid=strange)}
    with dserver.app.app_context():
        sql_db.session.execute(
            sql_db.update(Dataset).where(Dataset.uuid == strange).values(written)
        )
        sql_db.session.commit()
    code, report = sweep(dserver)
    assert code == 1
    assert sorted(found["state"] for found in report["datasets"]) == [
        "failed", "present", "removed"
    ]  # fmt: skip
    left = s3.list_objects_v2(Bucket=bucket.name, Prefix=f"{kept}/")
    assert left["KeyCount"] > 3


@pytest.mark.parametrize(
    ("asked", "state"), [("list-type", "present"), ("/manifest.json", "partly gone")]
)
def test_a_dataset_that_is_back_before_its_turn_is_kept(
    make_dserver, bucket, s3, proxy, asked, state
):
    dserver = make_dserver(**proxy.settings())
    [uuid] = deposited(dserver)
    saved = s3.get_object(Bucket=bucket.name, Key=f"{uuid}/manifest.json")["Body"].read()
    expire(s3, bucket, uuid)

    def somebody(request):
        if asked in request.target and not seen:
            seen.append(request)
            s3.put_object(Bucket=bucket.name, Key=f"{uuid}/manifest.json", Body=saved)

    seen = []
    proxy.after = somebody
    assert states(sweep(dserver)[1]) == {uuid: state}
    assert registered(dserver) == {uuid}


def test_azure_keeps_the_container_of_what_its_policy_has_deleted(azure_dserver, blobs):
    emptied, deleted, partly, kept = deposited(azure_dserver, 4)
    for blob in blobs.list_blobs(emptied):
        blobs.delete_blob(emptied, blob.name)
    blobs.delete_container(deleted)
    blobs.delete_blob(partly, generate_identifier("empty.dat"))
    code, report = sweep(azure_dserver)
    expected = {emptied: "removed", deleted: "removed", partly: "partly gone", kept: "present"}
    assert (code, states(report)) == (0, expected)
    assert registered(azure_dserver) == {partly, kept}


def test_an_index_that_fails_is_tried_again_by_the_next_run(dserver, s3, bucket):
    [uuid] = deposited(dserver)
    expire(s3, bucket, uuid)
    retrieve = dserver.app.retrieve

    class Away:
        def delete_dataset(self, uri):
            raise ConnectionError("postgresql://user:password@host is away")

    dserver.app.retrieve = Away()
    code, report = sweep(dserver)
    assert (code, states(report)) == (1, {uuid: "failed"})
    assert "password" not in json.dumps(report)
    dserver.app.retrieve = retrieve
    assert states(sweep(dserver)[1]) == {uuid: "removed"}
    assert registered(dserver) == set()


def test_each_removal_is_in_the_audit_trail_once(dserver, s3, bucket):
    [uuid] = deposited(dserver)
    expire(s3, bucket, uuid)
    sweep(dserver)
    sweep(dserver)
    path = f"/signed-urls/audit/{encoded(f'{dserver.base_uri}/{uuid}')}"
    decisions = dserver.alice.get(path).json["decisions"]
    [removal] = [each for each in decisions if each["action"] == "sweep"]
    assert (removal["items"], removal["outcome"]) == (3, "granted")


def test_two_sweeps_at_once_forget_each_dataset_once(dserver, s3, bucket):
    gone = deposited(dserver, 4)
    for uuid in gone:
        expire(s3, bucket, uuid)
    base_uri, both = BaseURI.parse(dserver.base_uri), threading.Barrier(2)

    def one(_):
        with dserver.app.app_context():
            sweep_ = dserver.services.sweep
            listed = sweep_.registered(base_uri)
            both.wait()
            findings = sweep_.findings(base_uri, listed, dry_run=False, even_if_all=True)
            return [found.state for found in findings]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(one, range(2))) == [[DatasetState.REMOVED] * 4] * 2
    assert registered(dserver) == set()


def test_a_report_for_people_leaves_out_what_is_there(dserver, s3, bucket):
    gone, kept = deposited(dserver, 2)
    expire(s3, bucket, gone)
    words = ["sweep", dserver.base_uri, "--even-if-all"]
    result = dserver.app.test_cli_runner().invoke(lifecycle, [*words, "--dry-run"])
    assert result.stdout.splitlines() == [
        f"{dserver.base_uri}/{gone} my-dataset: would remove",
        "Dry run: 1 gone, 1 present.",
    ]
    result = dserver.app.test_cli_runner().invoke(lifecycle, words)
    assert result.stdout.splitlines()[-1] == "1 present, 1 removed."
    assert kept not in result.stdout


def test_where_nothing_is_registered_nothing_is_done(dserver):
    result = dserver.app.test_cli_runner().invoke(lifecycle, ["sweep", dserver.base_uri])
    assert (result.exit_code, result.stdout) == (0, "no dataset is registered there.\n")


def test_cron_hears_nothing_of_progress(dserver, s3, bucket):
    deposited(dserver)
    result = dserver.app.test_cli_runner().invoke(lifecycle, ["sweep", dserver.base_uri])
    assert (result.stdout, result.stderr) == ("1 present.\n", "")
