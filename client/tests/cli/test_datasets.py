"""Finding datasets."""

from __future__ import annotations

import hashlib

import pytest

from client.tests.cli.conftest import FILES
from tests.support.clients import Deposit, DtoolDserver


def test_ls_lists_datasets_with_size_and_name(run, uri, lab):
    [line] = [each for each in run("ls", lab.base_uri).stdout.splitlines() if uri in each]
    assert line.startswith(uri)
    assert line.endswith("growth-of-cress")


def test_ls_finds_by_words_and_takes_every_kind_of_uri(document, uri, lab, dserver_url):
    address = dserver_url.removeprefix("http://")
    server = f"dserver://{address}"
    for words in (["--search", "cress"], [f"{server}/s3/{lab.bucket.name}"], [server], []):
        assert uri in {each["uri"] for each in document("ls", *words)["datasets"]}
    assert document("ls", "--search", "nonsense") == {"datasets": []}


def test_ls_says_on_stderr_that_there_is_nothing(run):
    done = run("ls", "--search", "nonsense")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "No dataset found.\n")


@pytest.mark.parametrize("person", ["alice", "dave"])
def test_ls_refuses_a_base_uri_that_one_may_not_read(document, lab, person):
    base_uri = "s3://not-known" if person == "alice" else lab.base_uri
    error = document("ls", base_uri, person=person, code=4)["error"]
    assert f"{person} may not read at {base_uri}" in error["message"]


def test_ls_begins_with_the_newest_dataset(document, lab, uri):
    newer = Deposit({"a": b"1"}, name="newer")
    assert DtoolDserver().upload(lab.alice, lab.base_uri, newer).status_code == 200
    listed = document("ls", lab.base_uri)["datasets"]
    assert [each["uri"] for each in listed].index(uri) > 0
    times = [each["frozen_at"] for each in listed]
    assert times == sorted(times, reverse=True)


def test_info_shows_what_describes_a_dataset(run, uri):
    shown = run("info", uri).stdout
    for text in ("growth-of-cress", "alice", "cress", "project = growth", "Cress at 22 °C"):
        assert text in shown


def test_info_lists_items_if_asked(run, document, uri):
    found = document("info", uri, "--items")
    assert {item["relpath"]: item["size_in_bytes"] for item in found["items"]} == {
        relpath: len(content) for relpath, content in FILES.items()
    }
    assert [item["relpath"] for item in found["items"]] == sorted(FILES)
    shown = run("info", uri, "--items").stdout
    assert hashlib.md5(FILES["a.csv"]).hexdigest() + "  11 B  a.csv" in shown


def test_a_dataset_that_is_not_there_is_not_found(run, lab, document):
    uri = f"{lab.base_uri}/00000000-0000-4000-8000-000000000000"
    error = document("info", uri, code=5)["error"]
    assert error["status"] == 404
    assert error["message"].startswith(f"dserver has no dataset {uri}. ")
    assert "You may not read" in document("info", uri, person="dave", code=4)["error"]["message"]
    assert run("info", "nonsense").exit_code == 2
    assert run("info", lab.base_uri).exit_code == 2


def test_verbose_logs_requests_without_secrets(run, uri, lab):
    done = run("info", uri, "--items", "--verbose")
    assert '"GET /uris/' in done.stderr
    assert "Signature" not in done.stderr
    assert lab.tokens["alice"] not in done.stderr
    assert "GET" not in run("info", uri).stderr
