"""`flask pending_upload …`: what an operator sees, and what is left afterwards."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
import requests
from dservercore import sql_db
from sqlalchemy import update

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.uploads.cleanup import CleanupOptions
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.clients import Deposit, DtoolDserver, RelpathsOnly, WithHeaders
from tests.support.databases import on_each_database
from tests.support.dserver import encoded
from tests.support.proxy import Fault
from tests.support.s3_holdings import verifies

pytestmark = on_each_database

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}


@pytest.fixture
def place(request):
    """A bucket, unless a test names each store."""
    return request.getfixturevalue(getattr(request, "param", "bucket"))


on_each_store = pytest.mark.parametrize("place", ["bucket", "account"], indirect=True)


@pytest.fixture
def dserver(make_dserver_on, place):
    """A dserver as it comes, with its datasets there."""
    return make_dserver_on(place)


@pytest.fixture
def run(dserver):
    """Run a command; return (exit code, stdout)."""

    def act(*arguments):
        result = dserver.app.test_cli_runner().invoke(pending_upload, list(arguments))
        return result.exit_code, result.stdout

    return act


@pytest.fixture
def begin(dserver):
    """Begin an upload, some hours ago, and PUT its items; its URLs end with ``alive`` hours."""

    def act(hours=72.0, alive=-1.0, client=None, **deposit):
        client, deposit = client or DtoolDserver(), Deposit(FILES, **deposit)
        client.put(client.begin(dserver.alice, dserver.base_uri, deposit), deposit)
        now = datetime.now(timezone.utc)
        age(dserver, deposit, now - timedelta(hours=hours), now + timedelta(hours=alive))
        return deposit

    return act


def age(dserver, deposit, created, ends):
    """Let an upload be old; nobody waits for two days."""
    row = update(PendingUpload).where(PendingUpload.uuid == deposit.uuid)
    with dserver.app.app_context():
        times = {"created_at": created, "last_active_at": created, "urls_expire_at": ends}
        sql_db.session.execute(row.values(**times))
        sql_db.session.commit()


def keys(s3, bucket):
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket.name).get("Contents", [])]


def fail_to_register(dserver):
    """Let dserver's search plugin be away; returns what brings it back."""
    search = dserver.app.search

    class Away:
        def register_dataset(self, dataset_info):
            raise ConnectionError("away")

    dserver.app.search = Away()

    def back():
        dserver.app.search = search

    return back


def test_the_list_shows_what_the_spec_shows_oldest_first(run, begin):
    young = begin(hours=25, name="another-dataset")
    old = begin(hours=26.5)
    code, output = run("list")
    assert code == 0
    lines = [line.strip() for line in output.splitlines()]
    assert lines[0] == "Found 2 pending upload(s):"
    first = lines.index(f"UUID: {old.uuid}")
    assert lines[first + 1] == "Name: my-dataset"
    assert lines[first + 2].endswith(old.uuid)
    assert lines[first + 3] == "Creator: alice"
    assert lines[first + 4].startswith("Created: 20")
    assert lines[first + 4].endswith("(26.5 hours ago)")
    assert lines[first + 5] == "Items: 2"
    assert lines[first + 6].startswith("Last active: 20")
    assert first < lines.index(f"UUID: {young.uuid}")


def test_the_list_can_be_limited_and_read_by_scripts(run, begin):
    begin(hours=1)
    old = begin(hours=25)
    code, output = run("list", "--older-than", "24", "--json")
    [upload] = json.loads(output)
    assert (code, upload["uuid"], upload["items"], upload["size_in_bytes"]) == (0, old.uuid, 2, 8)
    assert run("list", "--older-than", "48") == (0, "No pending uploads found.\n")


def test_a_row_with_a_uri_that_cannot_be_read_hides_no_other(run, begin, dserver):
    odd, other = begin(hours=26), begin(hours=25)
    text = f"file:///data/{odd.uuid}"
    with dserver.app.app_context():
        row = sql_db.update(PendingUpload).where(PendingUpload.uuid == odd.uuid)
        sql_db.session.execute(row.values(uri_text=text))
        sql_db.session.commit()
    listed = json.loads(run("list", "--json")[1])
    assert (listed[0]["uuid"], listed[0]["uri"]) == (odd.uuid, text)
    assert f"URI: {text}" in run("list")[1]
    code, output = run("cleanup", "--older-than", "0", "--delete-storage", "--force", "--json")
    results = {each["uuid"]: each["result"] for each in json.loads(output)["uploads"]}
    assert (code, results) == (1, {odd.uuid: "failed", other.uuid: "removed"})


@pytest.mark.parametrize("work", ["announced", "signed for", "tried to complete"])
def test_what_was_begun_long_ago_and_worked_on_today_is_not_old(run, begin, dserver, work):
    deposit = begin(hours=72, client=RelpathsOnly())
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    if work == "announced":
        RelpathsOnly().begin(dserver.alice, dserver.base_uri, deposit)
    elif work == "signed for":
        assert dserver.alice.get(f"/signed-urls/upload/{encoded(uri)}?urls=true").status_code == 200
    else:
        back = fail_to_register(dserver)
        assert dserver.alice.complete(uri).status_code == 502
        back()
    with dserver.app.app_context():
        now = datetime.now(timezone.utc)
        sql_db.session.execute(update(PendingUpload).values(urls_expire_at=now))
        sql_db.session.commit()
    assert run("list", "--older-than", "48") == (0, "No pending uploads found.\n")
    code, output = run("cleanup", "--older-than", "48", "--delete-storage", "--force")
    assert (code, "nothing to clean up" in output) == (0, True)
    [listed] = json.loads(run("list", "--json")[1])
    assert listed["created_at"] < listed["last_active_at"]
    assert "(72.0 hours ago)" in run("list")[1]
    assert "(0.0 hours ago)" in run("list")[1]
    assert dserver.alice.complete(uri).status_code == 200


def test_looking_at_an_upload_is_no_work_on_it(run, begin, dserver):
    deposit = begin(hours=72)
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    assert dserver.alice.get(f"/signed-urls/upload/{encoded(uri)}").status_code == 200
    assert deposit.uuid in run("list", "--older-than", "48")[1]


def test_what_a_cleanup_could_not_repair_is_tried_again_by_the_next(run, begin, dserver):
    deposit = begin(hours=72)
    back = fail_to_register(dserver)
    dserver.alice.complete(f"{dserver.base_uri}/{deposit.uuid}")
    then = datetime.now(timezone.utc) - timedelta(hours=50)
    age(dserver, deposit, then, then)
    assert run("cleanup", "--older-than", "48")[0] == 1
    back()
    code, output = run("cleanup", "--older-than", "48")
    assert (code, "it is registered now" in output) == (0, True)


def held(holdings, deposits):
    return [(holdings.of(each.uuid), holdings.sizes(each.uuid)) for each in deposits]


@on_each_store
def test_a_cleanup_deletes_every_object_and_the_row(run, begin, holdings):
    # WithHeaders says no hash, so that S3 has staged keys too.
    begun = [begin(), begin(client=WithHeaders(), more={"tags": ["t"], "annotations": {"a": 1}})]
    before = held(holdings, begun)
    sizes = [size for _, each in before for size in each]
    freed = {"objects": len(sizes), "bytes": sum(sizes)}
    command = ["cleanup", "--older-than", "48", "--delete-storage"]
    code, output = run(*command, "--dry-run", "--json")
    assert (code, json.loads(output)["freed"]) == (0, freed)
    assert "would remove" in run(*command, "--dry-run")[1]
    assert held(holdings, begun) == before
    code, output = run(*command)
    assert (code, holdings.is_empty()) == (0, True)
    assert "2 removed" in output
    assert f" {len(sizes):,} objects, {sum(sizes):,} bytes." in output
    assert run("list") == (0, "No pending uploads found.\n")
    assert run(*command)[0] == 0


@on_each_store
def test_young_uploads_and_living_urls_are_left_alone(run, begin, holdings):
    kept = [begin(hours=1), begin(alive=1)]
    before = held(holdings, kept)
    code, output = run("cleanup", "--older-than", "48", "--delete-storage")
    assert (code, held(holdings, kept)) == (0, before)
    alive = kept[1].uuid
    assert f"{alive} my-dataset: kept: URLs of upload" in output
    assert run("delete", alive, "--delete-storage")[0] == 1
    assert run("delete", alive, "--delete-storage", "--force")[0] == 0
    assert holdings.of(alive) == {}


@on_each_store
def test_what_is_frozen_is_registered_and_never_removed(run, begin, dserver, holdings):
    deposit = begin()
    back = fail_to_register(dserver)
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    assert dserver.alice.complete(uri).status_code == 502
    assert dserver.alice.delete(f"/signed-urls/upload/{encoded(uri)}").status_code == 409

    code, output = run("cleanup", "--older-than", "0", "--delete-storage", "--force")
    assert code == 1
    assert "failed" in output
    back()
    code, output = run("cleanup", "--older-than", "0", "--delete-storage", "--force")
    assert code == 0
    assert "repaired" in output
    holdings.check_dataset(dserver, deposit)
    assert holdings.verifies(dserver, deposit)
    assert run("list") == (0, "No pending uploads found.\n")


def test_what_is_frozen_in_storage_alone_is_finished_too(run, begin, dserver, dtool_reads):
    """A worker was killed between freezing and noting it."""
    deposit = begin()
    back = fail_to_register(dserver)
    dserver.alice.complete(f"{dserver.base_uri}/{deposit.uuid}")
    row = update(PendingUpload).where(PendingUpload.uuid == deposit.uuid)
    with dserver.app.app_context():
        sql_db.session.execute(row.values(state="open"))
        sql_db.session.commit()
    back()
    assert run("cleanup", "--older-than", "0", "--delete-storage")[0] == 0
    assert verifies(dserver, deposit)


def test_what_is_being_completed_is_left_alone(run, begin, dserver):
    deposit = begin()
    row = update(PendingUpload).where(PendingUpload.uuid == deposit.uuid)
    ends = datetime.now(timezone.utc).timestamp() + 60
    with dserver.app.app_context():
        sql_db.session.execute(row.values(lease="somebody", lease_ends=ends))
        sql_db.session.commit()
    code, output = run("cleanup", "--older-than", "48", "--delete-storage")
    assert code == 0
    assert "kept" in output
    assert deposit.uuid in run("list")[1]


def test_a_store_that_fails_leaves_the_row_and_the_rest_goes_on(make_dserver, proxy, s3, bucket):
    dserver = make_dserver(**proxy.settings())
    client, now = DtoolDserver(), datetime.now(timezone.utc)
    for hours, deposit in ((100, Deposit(FILES)), (50, Deposit(FILES))):
        client.begin(dserver.alice, dserver.base_uri, deposit)
        age(dserver, deposit, now - timedelta(hours=hours), now - timedelta(hours=1))
    once = iter([Fault.REFUSED])
    proxy.before = lambda request: next(once, None) if request.method == "POST" else None

    command = ["cleanup", "--older-than", "48", "--delete-storage", "--json"]
    result = dserver.app.test_cli_runner().invoke(pending_upload, command)
    results = [upload["result"] for upload in json.loads(result.stdout)["uploads"]]
    assert (result.exit_code, results) == (1, ["failed", "removed"])
    assert dserver.app.test_cli_runner().invoke(pending_upload, command).exit_code == 0
    assert keys(s3, bucket) == []


def test_without_its_row_an_upload_can_be_begun_again(run, begin, dserver, dtool_reads):
    deposit = begin()
    assert run("delete", deposit.uuid)[0] == 0
    plan = DtoolDserver().plan(deposit)
    assert dserver.carol.begin(dserver.base_uri, plan).status_code == 409
    grant = dserver.alice.begin(dserver.base_uri, plan)
    assert grant.status_code == 200
    assert dserver.alice.complete(grant.json["uri"]).status_code == 200
    assert verifies(dserver, deposit)


def test_an_unknown_upload_is_said_to_be_unknown(run):
    code, _ = run("delete", "550e8400-e29b-41d4-a716-446655440000")
    assert code == 1


def test_old_urls_cannot_reach_what_is_begun_after_a_forced_removal(
    run, begin, dserver, s3, bucket
):
    deposit = begin(alive=1)
    assert run("delete", deposit.uuid, "--delete-storage", "--force")[0] == 0
    other = Deposit({"one.txt": b"other"}, uuid=deposit.uuid)
    refused = dserver.alice.begin(dserver.base_uri, DtoolDserver().plan(other))
    assert refused.status_code == 409
    assert "use a new UUID" in refused.json["message"]
    assert run("list") == (0, "No pending uploads found.\n")

    now = datetime.now(timezone.utc)
    age(dserver, deposit, now, now - timedelta(seconds=1))
    assert run("cleanup", "--older-than", "48")[0] == 0
    client = DtoolDserver()
    assert client.upload(dserver.alice, dserver.base_uri, other).status_code == 200


def test_what_comes_late_is_swept_when_the_urls_have_ended(run, begin, dserver, s3, bucket):
    client, deposit = DtoolDserver(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    assert run("delete", deposit.uuid, "--delete-storage", "--force")[0] == 0
    item = next(iter(grant["upload_urls"]["items"].values()))
    content = FILES[item["relpath"]]
    assert requests.put(item["url"], content, headers=item["headers"], timeout=30).ok
    assert len(keys(s3, bucket)) == 1
    now = datetime.now(timezone.utc)
    age(dserver, deposit, now, now - timedelta(seconds=1))
    assert run("cleanup", "--older-than", "48")[0] == 0
    assert keys(s3, bucket) == []


@pytest.mark.parametrize("command", ["list", "cleanup", "delete"])
def test_every_help_text_has_an_example(run, command):
    code, output = run(command, "--help")
    assert code == 0
    assert f"flask pending_upload {command}" in output


@on_each_store
def test_what_is_removed_is_in_the_audit_trail(run, begin, dserver):
    deposit = begin()
    assert run("cleanup", "--older-than", "48", "--delete-storage")[0] == 0
    path = f"/signed-urls/audit/{encoded(f'{dserver.base_uri}/{deposit.uuid}')}"
    decisions = dserver.alice.get(path).json["decisions"]
    [removal] = [each for each in decisions if each["action"] == "cleanup"]
    assert (removal["uri"], removal["items"]) == (f"{dserver.base_uri}/{deposit.uuid}", 2)
    assert removal["outcome"] == "granted"


def test_an_upload_resumed_after_it_was_listed_is_kept(begin, dserver):
    deposit = begin()
    with dserver.app.app_context():
        [listed] = dserver.services.cleanup.older_than(48)
    uri = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)["uri"]
    with dserver.app.app_context():
        outcome = dserver.services.cleanup.treat(listed, CleanupOptions(delete_storage=True))
    assert outcome.is_kept
    assert dserver.alice.complete(uri).status_code == 200


def version(s3, bucket, status):
    s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": status})


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_old_versions_that_a_bucket_keeps_are_told_and_free_nothing(
    dserver, run, begin, s3, bucket, status
):
    version(s3, bucket, "Enabled")
    first, second = begin(), begin()
    version(s3, bucket, status)
    for more in (["--dry-run"], []):
        _, said = run("delete", first.uuid, "--delete-storage", *more)
        assert " 0 bytes" in said
        assert "the bucket keeps old versions" in said
    assert s3.list_object_versions(Bucket=bucket.name, Prefix=first.uuid).get("Versions")
    code, said = run("cleanup", "--older-than", "48", "--delete-storage", "--json")
    [outcome] = json.loads(said)["uploads"]
    assert (code, outcome["bytes"], outcome["old_versions_remain"]) == (0, 0, True)
    assert outcome["objects"] > len(second.files)


def test_what_was_written_while_versioning_is_suspended_is_freed(run, begin, s3, bucket):
    version(s3, bucket, "Enabled")
    version(s3, bucket, "Suspended")
    _, said = run("delete", begin().uuid, "--delete-storage")
    assert "old versions" not in said
    assert " 0 bytes" not in said


def test_cancelling_tells_of_old_versions_too(dserver, begin, s3, bucket):
    path = f"/signed-urls/upload/{encoded(dserver.base_uri)}%2F"
    cancelled = dserver.alice.delete(f"{path}{begin().uuid}").json
    assert cancelled["bytes"] > 0
    assert "old_versions_remain" not in cancelled
    version(s3, bucket, "Enabled")
    cancelled = dserver.alice.delete(f"{path}{begin().uuid}").json
    assert cancelled["objects"] > 0
    assert (cancelled["bytes"], cancelled["old_versions_remain"]) == (0, True)


def test_a_store_that_says_nothing_of_versions_frees_what_it_deletes(make_dserver, proxy):
    dserver = make_dserver(**proxy.settings())
    deposit = Deposit(FILES)
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    proxy.before = lambda request: Fault.REFUSED if "versioning" in request.target else None
    cancelled = dserver.alice.delete(f"/signed-urls/upload/{encoded(grant['uri'])}").json
    assert cancelled["bytes"] > 0
