"""Fetching and verifying datasets."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.tests.cli.conftest import FILES
from tests.support.links import shared


def files_below(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def test_a_dataset_is_fetched_once(run, uri, tmp_path):
    done = run("get", uri, tmp_path / "fetched")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    assert done.stdout == f"{tmp_path / 'fetched'}: 3 files, 13 B, verified.\n"
    assert files_below(tmp_path / "fetched") == FILES
    again = run("get", uri, tmp_path / "fetched").stdout
    assert again.endswith("verified; 3 files were already there.\n")


def test_some_items_are_fetched_by_pattern(document, uri, tmp_path):
    fetched = document("get", uri, tmp_path / "some", "--item", "images/*", "--item", "a.csv")
    assert fetched["items"] == 2
    assert set(files_below(tmp_path / "some")) == {"images/größe 1.raw", "a.csv"}


def test_a_dataset_is_fetched_for_dtool(run, uri, tmp_path):
    assert run("get", uri, tmp_path / "dataset", "--dtool").exit_code == 0
    assert (tmp_path / "dataset" / ".dtool" / "manifest.json").is_file()


def test_files_that_differ_are_replaced_if_that_is_wanted(run, document, uri, tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    error = document("get", uri, tmp_path, code=6)["error"]
    assert (error["slug"], list(error["items"])) == ("files-exist", ["a.csv"])
    assert error["message"].endswith("--overwrite replaces it.")
    assert (tmp_path / "a.csv").read_text() == "mine"
    assert run("get", uri, tmp_path, "--overwrite").exit_code == 0
    assert (tmp_path / "a.csv").read_bytes() == FILES["a.csv"]


def test_a_dataset_in_the_store_is_verified(run, document, uri):
    assert run("verify", uri).stdout == ("3 files, 13 B: all sizes and MD5s match the manifest.\n")
    found = document("verify", uri, "--full")
    assert (found["items"], found["hashes_compared"], found["missing"]) == (3, 3, [])


def test_a_directory_that_differs_is_told_file_by_file(run, document, uri, tmp_path):
    assert run("get", uri, tmp_path / "fetched").exit_code == 0
    assert run("verify", uri, tmp_path / "fetched").stdout == (
        "3 files, 13 B: all sizes match the manifest. MD5s are compared with --full.\n"
    )
    (tmp_path / "fetched" / "empty.txt").unlink()
    (tmp_path / "fetched" / "a.csv").write_bytes(FILES["a.csv"].upper())
    assert run("verify", uri, tmp_path / "fetched").exit_code == 8
    done = run("verify", uri, tmp_path / "fetched", "--full")
    assert done.exit_code == 8
    assert done.stderr == (
        "Error: 2 of 3 files differ:\n  empty.txt: missing\n  a.csv: another MD5\n"
    )
    error = document("verify", uri, tmp_path / "fetched", "--full", code=8)["error"]
    assert error["items"] == {"empty.txt": "missing", "a.csv": "another MD5"}
    assert (error["missing"], error["wrong_hash"]) == (["empty.txt"], ["a.csv"])
    (tmp_path / "fetched" / "empty.txt").touch()
    done = run("verify", uri, tmp_path / "fetched", "--full")
    assert done.stderr.startswith("Error: 1 of 3 files differs:\n")


def test_a_directory_in_place_of_a_file_is_never_replaced(run, uri, tmp_path):
    (tmp_path / "a.csv").mkdir()
    for options in ([], ["--overwrite"]):
        done = run("get", uri, tmp_path, *options)
        assert done.exit_code == 6
        assert "fetch into another directory" in done.stderr
        assert "--overwrite" not in done.stderr


def test_an_item_that_the_dataset_does_not_have_is_not_found(run, uri, tmp_path):
    done = run("get", uri, tmp_path / "some", "--item", "nope*")
    assert done.exit_code == 5
    assert "has no item 'nope*'" in done.stderr


def test_a_dataset_that_one_may_not_read_is_refused(run, uri, tmp_path):
    done = run("get", uri, tmp_path / "fetched", person="dave")
    assert done.exit_code == 4
    assert not (tmp_path / "fetched").exists()


NO_SETTINGS = {"DSERVER_URL": ""}


@pytest.fixture
def link(lab, dserver_url, uri):
    visitor = shared(lab, uri, note="For Erika", max_downloads=5)
    return f"{dserver_url}{visitor.path}"


def test_a_link_is_fetched_without_settings(run, document, link, tmp_path):
    done = run("get", link, tmp_path / "fetched", "--verbose", person=None, env=NO_SETTINGS)
    assert done.exit_code == 0, done.output
    assert files_below(tmp_path / "fetched") == FILES
    assert "/signed-urls/s/…/" in done.stderr
    assert link[-32:] not in done.output
    fetched = document("get", link, tmp_path / "fetched", person=None, env=NO_SETTINGS)
    assert (fetched["already_there"], fetched["uri"]) == (3, f"{link[:-32]}…")
    done = run("verify", "--full", link, tmp_path / "fetched", person=None, env=NO_SETTINGS)
    assert done.stdout == "3 files, 13 B: all sizes and MD5s match the manifest.\n"


def test_a_link_is_fetched_into_a_directory_with_the_name_of_the_dataset(
    run, link, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = run("get", link, "--item", "*.csv", person=None, env=NO_SETTINGS)
    assert done.exit_code == 0, done.output
    assert files_below(tmp_path / "growth-of-cress") == {"a.csv": FILES["a.csv"]}


def test_what_is_behind_a_link_is_shown(run, document, link):
    done = run("info", link, "--items", person=None, env=NO_SETTINGS)
    assert done.exit_code == 0, done.output
    for expected in ("growth-of-cress", "For Erika", "3", "13 B", "Downloads left", "a.csv"):
        assert expected in done.stdout
    found = document("info", link, person=None, env=NO_SETTINGS)
    assert (found["downloads_left"], found["number_of_items"]) == (5, 3)
    assert link[-32:] not in str(found)


@pytest.mark.parametrize(
    "words", [["ls"], ["share"], ["shares"], ["status"], ["cancel"], ["put", "."], ["login"]]
)
def test_a_link_is_no_uri_of_other_commands(run, link, words):
    done = run(*words, link, input="token\n")
    assert done.exit_code == 2, done.output
    assert link[-32:] not in done.output


def test_a_link_that_has_ended_says_whom_to_ask(run, lab, dserver_url, uri, tmp_path):
    visitor = shared(lab, uri)
    visitor.revoke()
    for words in (["get", tmp_path / "dest"], ["info"], ["verify", tmp_path]):
        command, *more = words
        done = run(command, f"{dserver_url}{visitor.path}", *more, person=None, env=NO_SETTINGS)
        assert done.exit_code == 5, done.output
        assert "ask whoever sent it for a new one" in done.stderr
    assert not (tmp_path / "dest").exists()
