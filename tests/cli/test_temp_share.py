"""`flask temp_share …`: what an operator types, and what people without an account then fetch."""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from datetime import datetime, timezone

import pytest
import requests

from dserver_signed_url_plugin.cli.lifecycle import lifecycle
from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import encoded
from tests.support.links import Visitor
from tests.support.s3_holdings import verifies

AWKWARD = 'Übersicht "final" 2;.txt'
NOBODY_S = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def run(dserver):
    """Run a command as it is typed; return its result."""

    def act(*arguments, command=temp_share):
        return dserver.app.test_cli_runner().invoke(command, [str(each) for each in arguments])

    return act


@pytest.fixture
def create(run, dserver):
    """Share files; return what --json says."""

    def act(*arguments):
        result = run("create", dserver.base_uri, *arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return act


@pytest.fixture
def results(tmp_path):
    """What a long-running job has left."""
    place = tmp_path / "results"
    (place / "plots").mkdir(parents=True)
    (place / AWKWARD).write_text("gewachsen\n")
    (place / "empty.dat").touch()
    (place / "plots" / "heights.csv").write_bytes(b"day,height\n" * 100_000)
    return place


def keys(s3, bucket):
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket.name).get("Contents", [])]


def refusal(result, code=2):
    """Return the sentence of a command that refused, and said nothing else."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert "Traceback" not in result.stderr
    return result.stderr


# Making a share -----------------------------------------------------------------------------


def test_a_line_for_each_file_has_its_name_and_a_url_that_anybody_can_follow(run, dserver, results):
    result = run("create", dserver.base_uri, results / AWKWARD, results / "plots" / "heights.csv")
    fetched = dict(line.split("\t") for line in result.stdout.splitlines())
    assert fetched.keys() == {AWKWARD, "heights.csv"}
    for path in (results / AWKWARD, results / "plots" / "heights.csv"):
        assert requests.get(fetched[path.name], timeout=30).content == path.read_bytes()
    *_, end = result.stderr.splitlines()
    said = re.fullmatch(r"These URLs end at (\S+ \S+) UTC\.", end)
    ends = datetime.fromisoformat(said[1]).replace(tzinfo=timezone.utc)
    assert 590 < (ends - datetime.now(timezone.utc)).total_seconds() <= 600


def test_a_directory_is_shared_with_all_below_it_under_its_own_name(create, results):
    share = create(results)
    assert [file["relpath"] for file in share["files"]] == sorted(
        [f"results/{AWKWARD}", "results/empty.dat", "results/plots/heights.csv"]
    )
    for file in share["files"]:
        content = requests.get(file["url"], timeout=30).content
        assert content == (results.parent / file["relpath"]).read_bytes()
        assert file["size_in_bytes"] == len(content)


def test_a_share_is_a_dataset_like_any_other(
    create, run, dserver, results, s3, bucket, dtool_reads
):
    share = create(results, "--name", "heights")
    [found_dataset] = [
        entry for entry in dserver.alice.post("/uris", {}).json if entry["uri"] == share["uri"]
    ]
    assert found_dataset["name"] == "heights"
    files = {file["relpath"]: (results.parent / file["relpath"]) for file in share["files"]}
    contents = {relpath: path.read_bytes() for relpath, path in files.items()}
    assert verifies(dserver, Deposit(contents, uuid=share["uuid"]))
    assert not any("/upload/" in key for key in keys(s3, bucket))
    assert run("list", command=pending_upload).stdout == "No pending uploads found.\n"


def test_json_says_what_was_granted(create, results):
    share = create(results / "empty.dat", "--expires", 60)
    urls = {"uri", "uuid", "expiry_seconds", "expiry_timestamp", "files"}
    assert share.keys() == urls | {"id", "link", "expires_timestamp"}
    assert share["link"] is None
    assert (share["expiry_seconds"], share["uri"].rpartition("/")[2]) == (60, share["uuid"])
    [file] = share["files"]
    assert (file["relpath"], file["size_in_bytes"]) == ("empty.dat", 0)
    assert "X-Amz-Expires=60&" in file["url"]


def test_the_same_again_is_a_new_share(create, results):
    first, second = create(results), create(results)
    assert first["uuid"] != second["uuid"]
    assert [requests.get(file["url"], timeout=30).ok for file in first["files"]] == [True] * 3


def test_no_url_is_logged_and_each_use_is_in_the_audit_trail_once(
    create, run, results, dserver, caplog
):
    caplog.set_level(logging.DEBUG)
    share = create(results)
    assert run("url", share["uri"], "--item", "results/empty.dat").exit_code == 0
    for secret in ("X-Amz-Signature", dserver.bucket.secret_key):
        assert secret not in caplog.text
    trail = dserver.alice.get(f"/signed-urls/audit/{encoded(share['uri'])}").json["decisions"]
    size = sum(file["size_in_bytes"] for file in share["files"])
    told = [(each["action"], each["items"], each["size_in_bytes"]) for each in trail]
    assert told == [
        ("flask temp_share url", None, None),
        ("share-url", 1, 0),
        ("share-create", 3, size),
        ("upload-complete", 3, size),
    ]
    assert [each["expires_at"] for each in trail][2] == share["expiry_timestamp"]


def test_what_dserver_asks_of_the_store_does_not_grow_with_the_files(make_dserver, proxy, tmp_path):
    dserver, asked = make_dserver(**proxy.settings()), []
    runner = dserver.app.test_cli_runner()
    # A rule that reaches the files takes a look at how old they are.
    runner.invoke(lifecycle, ["set", dserver.base_uri, "--days", "1", "--ephemeral"])
    for number in (2, 40):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in range(number):
            (folder / f"{name}.txt").write_text(f"{name}")
        proxy.forget()
        assert runner.invoke(temp_share, ["create", dserver.base_uri, str(folder)]).exit_code == 0
        asked.append(len(proxy.requests))
    assert asked[0] == asked[1]


# One link -----------------------------------------------------------------------------------


@pytest.fixture
def linking(make_dserver):
    """A dserver whose address is set."""
    return make_dserver(SIGNED_URL_PUBLIC_URL="https://dserver.example.org")


@pytest.fixture
def shared(linking, results):
    """Share the results there; return the command's result."""

    def act(*arguments, code=0):
        typed = ["create", linking.base_uri, str(results), *arguments]
        result = linking.app.test_cli_runner().invoke(temp_share, typed)
        assert result.exit_code == code, result.output
        return result

    return act


def seen(dserver, link):
    """Return what somebody sees who follows a link."""
    assert link.startswith("https://dserver.example.org/signed-urls/s/")
    return Visitor(dserver, link.rpartition("/")[2]).open().json


def test_one_link_is_printed_to_all_files_for_ten_minutes(linking, shared):
    result = shared()
    [link] = result.stdout.splitlines()
    assert seen(linking, link)["number_of_items"] == 3
    assert 590 < seen(linking, link)["seconds_left"] <= 600
    assert [line.split()[0] for line in result.stderr.splitlines()] == ["Shared", "The"]
    assert "X-Amz" not in result.output


def test_urls_follow_the_link_only_if_they_are_requested(linking, shared):
    link, *lines = shared("--urls").stdout.splitlines()
    assert seen(linking, link)["number_of_items"] == 3
    urls = dict(line.split("\t") for line in lines)
    assert urls.keys() == {f"results/{AWKWARD}", "results/empty.dat", "results/plots/heights.csv"}
    assert all(requests.get(url, timeout=30).ok for url in urls.values())


def test_json_has_both_link_and_urls(linking, shared):
    said = json.loads(shared("--json", "--expires", "1h").stdout)
    assert seen(linking, said["link"])["id"] == said["id"]
    assert (said["expiry_seconds"], len(said["files"])) == (3600, 3)
    assert said["expires_timestamp"][:16] == said["expiry_timestamp"][:16]


def test_a_link_may_work_for_longer_than_any_url(linking, shared):
    result = shared("--expires", "30d", "--urls")
    link, line, *_ = result.stdout.splitlines()
    assert seen(linking, link)["seconds_left"] > 29 * 86_400
    assert "The URLs live 604800 seconds, not 2592000 as the link does" in result.stderr
    assert "X-Amz-Expires=604800&" in line


def test_a_link_for_longer_than_the_server_allows_is_refused_before_anything_is_stored(
    linking, shared, s3, bucket
):
    refused = refusal(shared("--expires", "91d", code=2))
    assert "must be at most 90d, which is SIGNED_URL_MAX_SHARE_DAYS" in refused
    assert keys(s3, bucket) == []


def test_without_an_address_a_remark_says_what_to_set(run, dserver, results):
    result = run("create", dserver.base_uri, results / "empty.dat")
    assert "For one link instead of URLs, set SIGNED_URL_PUBLIC_URL to" in result.stderr


# New URLs -----------------------------------------------------------------------------------


def test_new_urls_are_made_for_what_is_there(create, run, results):
    share = create(results)
    again = json.loads(run("url", share["uri"], "--json", "--expires", 3600).stdout)
    assert (again["uri"], again["expiry_seconds"]) == (share["uri"], 3600)
    assert [file["relpath"] for file in again["files"]] == [
        file["relpath"] for file in share["files"]
    ]
    assert all(requests.get(file["url"], timeout=30).ok for file in again["files"])


def test_new_urls_can_be_made_for_some_items_in_the_order_they_are_named(create, run, results):
    share = create(results)
    wanted = ["results/plots/heights.csv", "results/empty.dat"]
    result = run("url", share["uri"], "--item", wanted[0], "--item", wanted[1])
    assert [line.partition("\t")[0] for line in result.stdout.splitlines()] == wanted


def test_an_item_or_a_dataset_that_is_not_there_is_said_to_be_unknown(
    create, run, results, dserver
):
    share = create(results)
    refused = refusal(run("url", share["uri"], "--item", "results/none"), code=1)
    assert "has no item 'results/none'; without --item all are listed" in refused
    refused = refusal(run("url", f"{dserver.base_uri}/{NOBODY_S}"), code=1)
    assert "dserver has no dataset" in refused


@pytest.mark.parametrize(("stored", "typed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_an_item_is_found_in_the_other_unicode_form(create, run, results, stored, typed):
    (results / unicodedata.normalize(stored, AWKWARD)).write_text("gewachsen\n")
    if stored == "NFD":
        (results / AWKWARD).unlink()
    share = create(results)
    wanted = f"results/{unicodedata.normalize(typed, AWKWARD)}"
    name, _, url = run("url", share["uri"], "--item", wanted).stdout.strip().partition("\t")
    assert name == f"results/{unicodedata.normalize(stored, AWKWARD)}"
    assert requests.get(url, timeout=30).text == "gewachsen\n"


def test_of_items_that_look_the_same_the_one_that_is_typed_is_meant_or_all_are_named(
    create, run, results
):
    composed, mixed, decomposed = "\xe9\xe9", "\xe9e\u0301", "e\u0301e\u0301"
    for name in (composed, decomposed):
        (results / name).write_text(ascii(name))
    share = create(results)
    for name in (composed, decomposed):
        [file] = json.loads(run("url", share["uri"], "--item", f"results/{name}", "--json").stdout)[
            "files"
        ]
        assert requests.get(file["url"], timeout=30).text == ascii(name)
    refused = refusal(run("url", share["uri"], "--item", f"results/{mixed}"), code=1)
    for name in (composed, decomposed):
        assert ascii(f"results/{name}") in refused


def test_an_item_that_would_break_the_lines_is_quoted(run, dserver, s3, bucket):
    deposit = Deposit({"one.txt": b"1"})
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    key = f"{deposit.uuid}/manifest.json"
    manifest = s3.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    odd = manifest.replace(b'"one.txt"', rb'"one\n\u001b[2Jtxt"')
    s3.put_object(Bucket=bucket.name, Key=key, Body=odd)
    name, _, url = run("url", f"{dserver.base_uri}/{deposit.uuid}").stdout.partition("\t")
    assert name == r"'one\n\x1b[2Jtxt'"
    assert url.startswith("http")


# What is refused, before anything is written ------------------------------------------------


def test_a_base_uri_that_dserver_does_not_know_is_refused_with_the_command(run, results):
    refused = refusal(run("create", "s3://unheard-of", results))
    assert "flask base_uri add s3://unheard-of" in refused


def test_a_file_larger_than_the_store_takes_is_refused_before_it_is_read(run, dserver, results):
    large = results / "large.bin"
    with large.open("wb") as stream:
        stream.truncate(5 * 1024**4 + 1)
    refused = refusal(run("create", dserver.base_uri, results))
    assert str(large) in refused
    assert f"{5 * 1024**4} bytes" in refused


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["{base}"], "Missing argument"),
        (["{base}", ""], "does not exist"),
        (["{base}", "{folder}/none"], "does not exist"),
        (["{base}", "{folder}", "--name", "two words"], "is not a name for dtool"),
        (["{base}", "{folder}", "--expires", "0"], "0 is less than 1 second"),
        (["{base}/path", "{folder}"], "has a path"),
        (["bucket", "{folder}"], "Invalid value for BASE_URI: is not a URI"),
        (["{base}", "{folder}/empty.dat", "{folder}/empty.dat"], "would both be called"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused_with_a_sentence(
    run, dserver, results, s3, bucket, arguments, word
):
    typed = [each.format(base=dserver.base_uri, folder=results) for each in arguments]
    assert word in refusal(run("create", *typed))
    assert keys(s3, bucket) == []
    assert run("list", command=pending_upload).stdout == "No pending uploads found.\n"


@pytest.mark.parametrize("command", ["create", "end", "url"])
def test_every_help_text_has_an_example(run, command):
    assert f"flask temp_share {command} s3://tempstore" in run(command, "--help").stdout
