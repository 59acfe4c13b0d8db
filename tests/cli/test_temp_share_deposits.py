"""`flask temp_share list` and `end`: what is out, and taking it back, on S3 and on Azure."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from itertools import count

import pytest
import requests
from dservercore import sql_db
from dservercore.sql_models import Dataset

from dserver_signed_url_plugin.cli.share import share
from dserver_signed_url_plugin.cli.temp_share import temp_share
from dserver_signed_url_plugin.deposits import repository as deposit_repository
from dserver_signed_url_plugin.deposits.repository import TempShareDeposit
from dserver_signed_url_plugin.uploads.models import PendingUpload
from dserver_signed_url_plugin.uris import DatasetURI
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import encoded
from tests.support.dserver_fixtures import dserver_on
from tests.support.links import Visitor
from tests.support.proxy import Fault
from tests.support.shared_files import waiting
from tests.uploads.test_cleanup import fail_to_register

ADDRESS = "https://dserver.example.org"
on_s3 = pytest.mark.parametrize("lab_place", ["lab_bucket"], indirect=True)


@pytest.fixture(scope="module")
def place(lab_place):
    """Where all tests deposit."""
    return lab_place


@pytest.fixture(scope="module")
def shared_dserver(place, lab_proxy, jwt_settings, database, jwt_tokens):
    """A dserver whose address is set, and whose store can be hindered."""
    settings = {**jwt_settings, "SIGNED_URL_PUBLIC_URL": ADDRESS, **lab_proxy.settings()}
    yield from dserver_on(place, settings, database, jwt_tokens)


@pytest.fixture
def dserver(shared_dserver, lab_proxy):
    """The dserver, which has forgotten what another test has deposited or begun."""
    with shared_dserver.app.app_context():
        for model in (deposit_repository.TempShareDeposit, PendingUpload):
            sql_db.session.execute(sql_db.delete(model))
        sql_db.session.commit()
    yield shared_dserver
    lab_proxy.heal()


@pytest.fixture
def run(dserver):
    """Run a command as it is typed; return its result."""

    def act(*arguments, code=0, command=temp_share, **options):
        typed = [str(each) for each in arguments]
        result = dserver.app.test_cli_runner().invoke(command, typed, **options)
        assert result.exit_code == code, result.output
        return result

    return act


@pytest.fixture
def create(run, dserver, tmp_path):
    """Deposit a file; return what --json says."""
    (tmp_path / "one.txt").write_text("eins")

    def act(*arguments):
        return json.loads(
            run("create", dserver.base_uri, tmp_path / "one.txt", *arguments, "--json").stdout
        )

    return act


def status(dserver, link):
    return Visitor(dserver, link.rpartition("/")[2]).open().status_code


def trail(dserver, uri):
    return dserver.alice.get(f"/signed-urls/audit/{encoded(uri)}").json["decisions"]


def listed(run):
    return json.loads(run("list", "--json").stdout)


def is_registered(dserver, uri):
    return uri in [entry["uri"] for entry in dserver.alice.post("/uris", {}).json]


# List ---------------------------------------------------------------------------------------


@on_s3
def test_the_list_has_each_deposit_with_its_links_newest_first(run, create, dserver):
    first, second = create(), create("--expires", "1h")
    again = json.loads(run("create", first["uri"], "--json", command=share).stdout)
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        second["uri"],
        second["id"],
        first["uri"],
        again["id"],
        first["id"],
    ]
    assert "one.txt  1 item, 4 bytes  deposited 20" in lines[0]
    assert "works until 20" in lines[1]
    newest, oldest = listed(run)
    assert (newest["uri"], newest["name"], newest["size_in_bytes"]) == (second["uri"], "one.txt", 4)
    assert [each["expires_timestamp"] for each in newest["shares"]] == [second["expires_timestamp"]]
    assert [each["id"] for each in oldest["shares"]] == [again["id"], first["id"]]
    for made in (first, second):
        assert made["link"].rpartition("/")[2] not in "".join(lines)


@on_s3
def test_what_others_deposited_or_dserver_has_deleted_is_not_listed(run, create, dserver):
    made, other = create(), Deposit({"one.txt": b"1"})
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, other).status_code == 200
    run("create", f"{dserver.base_uri}/{other.uuid}", command=share)
    assert [each["uri"] for each in listed(run)] == [made["uri"]]
    run("revoke", made["id"], command=share)
    assert "  no link works" in run("list").stdout.splitlines()
    assert dserver.alice.delete(f"/uris/{encoded(made['uri'])}").status_code == 200
    assert listed(run) == []
    assert "is left" in run("list").stdout


# End ----------------------------------------------------------------------------------------


@on_s3
def test_all_links_to_a_deposit_end_and_the_files_stay(run, create, dserver):
    made, other = create(), create()
    theirs = dserver.bob.post(f"/signed-urls/shares/{encoded(made['uri'])}", {}).json
    assert run("end", made["uri"]).stdout == f"{made['uri']}: 2 links revoked\n"
    assert status(dserver, made["link"]) == 410
    assert dserver.bob.delete(f"/signed-urls/shares/{theirs['id']}").json["state"] == "revoked"
    assert status(dserver, other["link"]) == 200
    assert requests.get(made["files"][0]["url"], timeout=30).text == "eins"
    assert run("end", made["link"]).stdout == f"{made['uri']}: 0 links revoked\n"
    assert listed(run)[0]["uri"] == other["uri"]
    actions = [(each["action"], each["share"]) for each in trail(dserver, made["uri"])]
    assert ("share-revoke", made["id"]) in actions


def test_a_deposit_and_nothing_else_is_deleted(run, create, dserver, holdings):
    made, kept = create(), create()
    result = run("end", made["id"], "--delete-storage", "--yes")
    assert result.stdout == f"{made['uri']}: 1 link revoked; deleted: 1 item, 4 bytes\n"
    assert not holdings.of(made["uuid"])
    assert (is_registered(dserver, made["uri"]), is_registered(dserver, kept["uri"])) == (
        False,
        True,
    )
    assert requests.get(made["files"][0]["url"], timeout=30).status_code in (403, 404)
    assert requests.get(kept["files"][0]["url"], timeout=30).text == "eins"
    assert (status(dserver, made["link"]), status(dserver, kept["link"])) == (410, 200)
    assert [each["uri"] for each in listed(run)] == [kept["uri"]]
    assert "is no dataset that" in run("end", made["uri"], "--delete-storage", "-y", code=1).stderr
    found = [(each["action"], each["size_in_bytes"]) for each in trail(dserver, made["uri"])]
    assert ("temp-share-delete", 4) in found


@on_s3
def test_a_deposit_that_is_named_twice_is_deleted_once(run, create, dserver):
    made = create()
    again = json.loads(run("create", made["uri"], "--json", command=share).stdout)
    names = made["uri"], again["id"], made["id"], made["link"]
    result = run("end", *names, "--delete-storage", "--yes")
    assert result.stdout == f"{made['uri']}: 2 links revoked; deleted: 1 item, 4 bytes\n"
    actions = [each["action"] for each in trail(dserver, made["uri"])]
    assert actions.count("temp-share-delete") == 1


@on_s3
def test_a_dry_run_changes_nothing(run, create, dserver):
    made = create()
    result = run("end", made["uri"], "--delete-storage", "--dry-run")
    assert "1 link would be revoked; would be deleted: 1 item, 4 bytes" in result.stdout
    said = json.loads(run("end", made["uri"], "--delete-storage", "--dry-run", "--json").stdout)
    assert (said["dry_run"], said["deposits"][0]["deleted"]) == (True, False)
    assert said["deposits"][0]["ended_shares"] == [made["id"]]
    assert status(dserver, made["link"]) == 200
    assert requests.get(made["files"][0]["url"], timeout=30).text == "eins"


@on_s3
def test_nothing_is_deleted_without_confirmation(run, create, dserver):
    made = create()
    result = run("end", made["uri"], "--delete-storage", code=2)
    assert "confirm it by --yes" in result.stderr
    assert (status(dserver, made["link"]), result.stdout) == (200, "")


@on_s3
def test_a_base_uri_is_no_deposit_and_ends_nothing(run, create, dserver):
    made = create()
    result = run("end", dserver.base_uri, made["uri"], code=2)
    assert "Invalid value for URI_OR_ID_OR_LINK: does not end in a dataset" in result.stderr
    assert status(dserver, made["link"]) == 200


@on_s3
def test_what_temp_share_did_not_deposit_is_refused_and_the_others_are_ended(run, create, dserver):
    made, other = create(), Deposit({"one.txt": b"1"})
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, other).status_code == 200
    uri = f"{dserver.base_uri}/{other.uuid}"
    foreign = json.loads(run("create", uri, "--json", command=share).stdout)
    unknown = f"{ADDRESS}/signed-urls/s/{'a' * 32}"
    given = [uri, foreign["id"], "f" * 16, unknown, made["uri"]]
    result = run("end", *given, "--delete-storage", "--yes", code=1)
    for problem in (
        f"{uri} is no dataset",
        f"{foreign['id']}: ",
        f"{'f' * 16}: There is no such share",
    ):
        assert problem in result.stderr
    assert f"{uri}: " not in result.stderr
    assert "/signed-urls/s/…: There is no such share" in result.stderr
    assert "a" * 32 not in result.output
    assert result.stdout.startswith(f"{made['uri']}: 1 link revoked; deleted")
    assert (status(dserver, foreign["link"]), is_registered(dserver, uri)) == (200, True)


@pytest.mark.parametrize("passed", [0, 1])
def test_an_interrupted_deletion_is_listed_and_can_be_repeated(
    run, create, lab_proxy, holdings, dserver, passed
):
    made, deletions = create(), count()

    def refuse(request):
        is_deletion = request.method == "DELETE" or "?delete" in request.target
        return Fault.REFUSED if is_deletion and next(deletions) >= passed else None

    lab_proxy.before = refuse
    result = run("end", made["uri"], "--delete-storage", "--yes", code=1)
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith(f"{made['uri']}: ")
    lab_proxy.heal()
    [waiting] = listed(run)
    assert (waiting["uri"], waiting["is_being_deleted"], waiting["shares"]) == (
        made["uri"],
        True,
        [],
    )
    assert "its deletion was interrupted" in run("list").stdout
    run("end", made["uri"], "--delete-storage", "--yes")
    assert not holdings.of(made["uuid"])
    assert (listed(run), is_registered(dserver, made["uri"])) == ([], False)


def test_objects_are_deleted_although_dserver_has_deleted_the_dataset_in_between(
    run, create, dserver, holdings
):
    made = create()
    with dserver.app.app_context():
        deposit_repository.begin_deletion(DatasetURI.parse(made["uri"]))
    assert dserver.alice.delete(f"/uris/{encoded(made['uri'])}").status_code == 200
    [waiting] = listed(run)
    assert (waiting["is_being_deleted"], waiting["name"]) == (True, None)
    assert " objects, " in run("end", made["uri"], "--delete-storage", "--yes").stdout
    assert (holdings.of(made["uuid"]) or None, listed(run)) == (None, [])


@on_s3
def test_a_new_upload_of_the_uuid_is_not_deleted(run, create, dserver, holdings):
    made = create()
    run("end", made["uri"], "--delete-storage", "--yes")
    with dserver.app.app_context():
        # What a process leaves that is killed before its last step.
        deposit_repository.note(DatasetURI.parse(made["uri"]))
        deposit_repository.begin_deletion(DatasetURI.parse(made["uri"]))
    again = Deposit({"two.txt": b"2"}, uuid=made["uuid"])
    DtoolDserver().begin(dserver.alice, dserver.base_uri, again)
    before = holdings.of(made["uuid"])
    assert "nothing was left" in run("end", made["uri"], "--delete-storage", "--yes").stdout
    assert before
    assert (holdings.of(made["uuid"]), listed(run)) == (before, [])
    # Other tests use the same dserver.
    upload = f"/signed-urls/upload/{encoded(made['uri'])}"
    assert dserver.alice.delete(upload).status_code == 200


def test_what_a_killed_deposit_has_left_does_not_outlast_its_deletion(
    run, create, dserver, holdings, tmp_path
):
    (tmp_path / "one.txt").write_text("eins")
    heal = fail_to_register(dserver)
    run("create", dserver.base_uri, tmp_path / "one.txt", code=1)
    heal()
    with dserver.app.app_context():
        table = PendingUpload.__table__
        newest = sql_db.select(table).order_by(table.c.created_at.desc()).limit(1)
        row = sql_db.session.execute(newest).one()
    made = create()
    with dserver.app.app_context():
        # What a process leaves that is killed before it deletes the row.
        sql_db.session.execute(PendingUpload.__table__.insert(), dict(row._mapping))
        sql_db.session.commit()
    run("end", made["uri"], "--delete-storage", "--yes")
    assert (waiting(dserver), holdings.of(made["uuid"]) or None) == ([], None)


@on_s3
def test_the_clean_up_of_shares_forgets_old_deposits_without_a_dataset(run, create, dserver):
    lost, kept = create(), create()

    def known():
        with dserver.app.app_context():
            found = sql_db.session.scalars(sql_db.select(TempShareDeposit.uri))
            return {made["uri"] for made in (lost, kept)} & set(found)

    with dserver.app.app_context():
        created_at = datetime.now(timezone.utc) - timedelta(days=31)
        sql_db.session.execute(sql_db.update(TempShareDeposit).values(created_at=created_at))
        sql_db.session.execute(sql_db.delete(Dataset).where(Dataset.uri == lost["uri"]))
        sql_db.session.commit()
    run("cleanup", "--dry-run", command=share)
    assert known() == {lost["uri"], kept["uri"]}
    run("cleanup", command=share)
    assert known() == {kept["uri"]}
