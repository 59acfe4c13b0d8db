"""Creating, listing and revoking links to datasets."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from client.tests.cli.conftest import FILES
from client.tests.cli.test_get import files_below
from tests.support.http_server import serving
from tests.support.reference_only import ReferenceOnly


def test_a_link_is_created_and_leads_to_the_dataset(run, uri, tmp_path):
    done = run("share", uri, "--expires", "30d", "--note", "For Erika")
    assert done.exit_code == 0, done.output
    link, ends, revocation = done.stdout.splitlines()
    expected = datetime.now(timezone.utc) + timedelta(days=30)
    assert ends.startswith("It works until ")
    assert f"{expected:%Y-%m-%d}" in ends
    assert revocation.startswith("'dserver unshare ")
    assert run("get", link, tmp_path, person=None, env={"DSERVER_URL": ""}).exit_code == 0
    assert files_below(tmp_path) == FILES


def test_some_files_are_shared_by_pattern(document, uri, tmp_path):
    made = document("share", uri, "--item", "images/*", "--item", "a.csv", "--downloads", "2")
    assert (made["number_of_items"], made["max_downloads"], made["downloads"]) == (2, 2, 0)
    assert document("get", made["link"], tmp_path, person=None)["items"] == 2
    assert set(files_below(tmp_path)) == {"images/größe 1.raw", "a.csv"}
    error = document("share", uri, "--item", "nope*", code=5)["error"]
    assert "no item 'nope*'" in error["message"]


def test_links_are_listed_without_what_opens_them(run, document, uri):
    made = document("share", uri, "--note", "For Erika", "--downloads", "7")
    found = document("shares", uri)["shares"]
    [mine] = [each for each in found if each["id"] == made["id"]]
    assert (mine["state"], mine["note"], mine["max_downloads"]) == ("active", "For Erika", 7)
    assert made["link"][-32:] not in str(found)
    listed = run("shares").stdout
    assert f"{made['id']}  works until " in listed
    assert "0 of 7 downloads" in listed
    assert '"For Erika"' in listed
    assert document("shares", person="carol")["shares"] == []
    assert run("shares", person="carol").stdout == "No links.\n"


def test_links_are_revoked_by_their_ids(run, document, uri, tmp_path):
    made = [document("share", uri) for _ in range(2)]
    ids = [each["id"] for each in made]
    assert run("unshare", *ids, ids[0]).stdout == "2 links revoked.\n"
    assert document("unshare", *ids) == {"revoked": ids}
    states = {each["id"]: each["state"] for each in document("shares", uri)["shares"]}
    assert [states[each] for each in ids] == ["revoked", "revoked"]
    assert f"{ids[0]}  revoked " in run("shares", uri).stdout
    assert run("get", made[0]["link"], tmp_path, person=None).exit_code == 5


def test_an_unknown_id_does_not_keep_others_from_being_revoked(document, uri):
    made = document("share", uri)
    error = document("unshare", "0" * 16, made["id"], code=5)["error"]
    assert (error["slug"], error["ids"]) == ("share-not-found", ["0" * 16])
    assert (error["revoked"], "1 link revoked." in error["message"]) == ([made["id"]], True)
    [state] = [
        each["state"] for each in document("shares", uri)["shares"] if each["id"] == made["id"]
    ]
    assert state == "revoked"


def test_links_of_others_are_not_revoked(document, uri):
    made = document("share", uri)
    assert document("unshare", made["id"], person="bob", code=5)["error"]["ids"] == [made["id"]]


def test_who_may_not_read_a_dataset_shares_nothing(run, uri):
    assert run("share", uri, person="dave").exit_code == 4


def test_a_dserver_without_links_says_so(lab, run, uri):
    with serving(ReferenceOnly(lab.app)) as url:
        done = run("share", uri, env={"DSERVER_URL": url})
    assert done.exit_code == 1
    assert "cannot create links" in done.stderr


def test_of_a_long_note_the_list_has_the_beginning(run, document, uri):
    made = document("share", uri, "--note", f"For Erika\n{'x' * 100}", "--downloads", "1")
    [line] = [each for each in run("shares", uri).stdout.splitlines() if made["id"] in each]
    assert line.endswith('"For Erika…"')
    assert "  0 of 1 download  " in line


def test_no_download_at_all_is_refused(run, uri):
    refused = run("share", uri, "--downloads", "0")
    assert (refused.exit_code, "must be at least 1" in refused.stderr) == (2, True)


@pytest.mark.parametrize("duration", ["7", "0x1h", "1w", "-1h", "1.5h"])
def test_a_duration_has_a_unit(run, uri, duration):
    done = run("share", uri, f"--expires={duration}")
    assert done.exit_code == 2
    assert "such as 90m, 24h or 7d" in done.stderr


def test_more_days_than_dserver_allows_are_refused_with_the_most(run, uri):
    done = run("share", uri, "--expires", "1000d")
    assert done.exit_code == 2
    assert "90" in done.stderr or "7776000" in done.stderr
