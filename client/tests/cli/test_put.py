"""Depositing files."""

from __future__ import annotations

import json
import os
import re

import pytest
from dserver_client.client import Client

from client.tests.cli.conftest import FILES
from client.tests.support.deposits import Interrupted, StopsAfter, one_at_a_time


@pytest.fixture
def results(tmp_path):
    """A directory with files."""
    directory = tmp_path / "results"
    for relpath, content in {**FILES, "drafts/b.tmp": b"draft"}.items():
        path = directory / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def test_a_directory_becomes_a_dataset(run, results, lab):
    readme = results.with_name("README.yml")
    readme.write_text("---\ndescription: Größe\n", encoding="utf-8")
    done = run(
        "put",
        results,
        lab.base_uri,
        "--name=growth",
        f"--readme={readme}",
        "--tag=cress",
        "--annotation=project=growth",
        "--ignore=*.tmp",
    )
    assert done.exit_code == 0, done.output
    assert done.stderr == "growth: 3 files, 13 B, registered.\n"
    [uri] = done.stdout.splitlines()
    found = json.loads(run("info", uri, "--items", "--json").stdout)
    assert (found["name"], found["creator_username"]) == ("growth", "alice")
    assert (found["tags"], found["annotations"]) == (["cress"], {"project": "growth"})
    assert found["readme"] == "---\ndescription: Größe\n"
    assert {item["relpath"] for item in found["items"]} == set(FILES)


def test_a_template_describes_a_dataset(document, results, lab):
    template = results.with_name("template.yml")
    template.write_text(
        "name: from-template\ntags: [a]\nannotations: {n: one}\nignore: ['*.tmp']\n"
    )
    deposited = document("put", results, lab.base_uri, "--template", template)
    assert (deposited["name"], deposited["items"]) == ("from-template", 3)
    found = document("info", deposited["uri"])
    assert (found["tags"], found["annotations"]) == (["a"], {"n": "one"})


def test_the_only_base_uri_where_one_may_deposit_can_be_left_out(document, results, lab):
    deposited = document("put", results)
    assert deposited["uri"].startswith(lab.base_uri)
    assert deposited["name"] == "results"


def test_who_may_deposit_nowhere_is_told_so(run, results):
    done = run("put", results, person="bob")
    assert done.exit_code == 2
    assert "bob may deposit nowhere" in done.stderr


def test_several_files_keep_their_names(document, results, lab):
    paths = [results / "a.csv", results / "images"]
    deposited = document("put", *paths, lab.base_uri, "--name", "some")
    found = document("info", deposited["uri"], "--items")
    assert {each["relpath"] for each in found["items"]} == {"a.csv", "images/größe 1.raw"}


def test_a_dry_run_shows_what_would_be_deposited(run, document, results, lab):
    shown = run("put", results, lab.base_uri, "--dry-run", "--ignore", "*.tmp").stdout
    assert shown.splitlines()[-1] == f"3 files, 13 B would be deposited at {lab.base_uri}."
    found = document("put", results, lab.base_uri, "--dry-run", "--name", "dry")
    assert (found["name"], found["size_in_bytes"], len(found["items"])) == ("dry", 18, 4)
    assert document("ls", "--search", "dry") == {"datasets": []}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_that_dserver_refuses_are_found_by_a_dry_run(run, document, results, lab):
    (results / "x:y?*.csv").write_text("1")
    found = document("put", results, lab.base_uri, "--dry-run")
    assert found["names_that_may_be_refused"] == ["x:y?*.csv"]
    done = run("put", results, lab.base_uri)
    assert done.exit_code != 0
    assert done.stderr.startswith("Error: dserver refuses a file: 'x:y?*.csv' ")
    assert done.stderr.endswith("Rename it, or leave it out with --ignore.\n")


def test_a_directory_without_files_is_refused(run, tmp_path, lab):
    (tmp_path / "mounted").mkdir()
    for options in ([], ["--dry-run"]):
        done = run("put", tmp_path / "mounted", lab.base_uri, *options)
        assert done.exit_code == 2
        assert "There are no files to deposit" in done.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["s3://lab"], "Name a directory or files"),
        (["{results}", "s3://lab", "--tag"], "requires an argument"),
        (["{results}", "http://127.0.0.1:9"], "is at another dserver|names no base URI"),
        (["{results}/missing", "{base_uri}"], "no such file"),
        (["{results}", "lab"], "lab: no such file or directory. If it is a base URI, write s3:"),
        (["{results}", "s3://"], "names no bucket"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(run, results, lab, words, reason):
    typed = [word.format(results=results, base_uri=lab.base_uri) for word in words]
    done = run("put", *typed)
    assert done.exit_code in (1, 2)
    assert re.search(reason, done.stderr), done.stderr


def test_a_changed_deposit_is_refused_or_begun_anew(run, document, results, lab, dserver_url):
    with Client(dserver_url, lab.tokens["alice"]) as client, pytest.raises(Interrupted):
        one_at_a_time(client, results, lab.base_uri, StopsAfter("send", items=2))
    [unfinished] = document("status")["unfinished"]

    error = document("put", results, lab.base_uri, "--tag=cress", code=6)["error"]
    assert error["slug"] == "deposit-changed"
    assert unfinished["uri"] in error["message"]

    deposited = document("put", results, lab.base_uri, "--tag=cress", "--restart")
    assert deposited["uri"] != unfinished["uri"]
    assert run("status", unfinished["uri"]).exit_code == 5
    assert document("status") == {"unfinished": []}


def test_a_base_uri_without_permission_is_refused(document, results, lab):
    error = document("put", results, lab.base_uri, person="bob", code=4)["error"]
    assert (error["status"], error["slug"]) == (403, "permission-denied")
    assert lab.base_uri in error["message"]
