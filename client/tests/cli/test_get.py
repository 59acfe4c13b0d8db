"""Fetching and verifying datasets."""

from __future__ import annotations

from pathlib import Path

from client.tests.cli.conftest import FILES


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
