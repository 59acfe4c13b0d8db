"""`flask signed_url verify …`: what is wrong in a store is found, whatever its listing says."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.cli.signed_url import signed_url
from dserver_signed_url_plugin.uris import DatasetURI
from dserver_signed_url_plugin.verification import journal
from tests.support.audit_records import rows
from tests.support.blob_client import blob_service
from tests.support.clients import FILES, Deposit, DtoolDserver
from tests.support.dserver import Account, Bucket, Dserver
from tests.support.proxy import Fault, Request, StoreProxy

MANY = {f"images/{number}.tif": b"%d" % number for number in range(12)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache directory of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dserver-signed-url-plugin"


def deposited(dserver: Dserver, files: Any = FILES) -> str:
    deposit = Deposit(files)
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return f"{dserver.base_uri}/{deposit.uuid}"


def verify(dserver: Dserver, *arguments: str) -> Any:
    runner = dserver.app.test_cli_runner()
    return runner.invoke(signed_url, ["verify", *map(str, arguments)])


def facts(dserver: Dserver, *arguments: str, exit_code: int) -> Any:
    result = verify(dserver, *arguments, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


class Objects:
    """The items of a place, which are changed past dserver."""

    def __init__(self, place: Bucket | Account, s3: Any = None) -> None:
        self._place, self._s3 = place, s3
        self._blobs = None if s3 else blob_service(place)

    def put(self, uri: str, relpath: str, content: bytes) -> None:
        uuid, identifier = uri[-36:], generate_identifier(relpath)
        if self._blobs is None:
            key = f"{uuid}/data/{identifier}"
            self._s3.put_object(Bucket=self._place.name, Key=key, Body=content)
        else:
            self._blobs.create_blob_from_bytes(uuid, identifier, content)

    def delete(self, uri: str, relpath: str) -> None:
        uuid, identifier = uri[-36:], generate_identifier(relpath)
        if self._blobs is None:
            self._s3.delete_object(Bucket=self._place.name, Key=f"{uuid}/data/{identifier}")
        else:
            self._blobs.delete_blob(uuid, identifier)


@pytest.fixture
def objects(request, place) -> Objects:
    is_bucket = isinstance(place, Bucket)
    return Objects(place, request.getfixturevalue("s3") if is_bucket else None)


def test_a_dataset_that_is_as_its_manifest_says_is_equal(placed, cache):
    uri = deposited(placed)
    result = verify(placed, uri)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{uri}: 3 items: 3 equal.\n"
    assert facts(placed, uri, exit_code=0) | {"began_at": None} == {
        "uri": uri,
        "equal": True,
        "items": 3,
        "selected": 3,
        "resumed": 0,
        "began_at": None,
        "bytes_read": sum(map(len, FILES.values())),
        "counts": {
            "equal": 3,
            "different": 0,
            "missing": 0,
            "unreadable": 0,
            "not comparable": 0,
        },
        "differences": [],
    }
    assert list(cache.iterdir()) == []


def test_a_changed_byte_a_cut_item_and_a_missing_one_are_found(placed, objects):
    uri = deposited(placed, {"same": b"12", "changed": b"1234", "cut": b"12345", "gone": b"1"})
    objects.put(uri, "changed", b"1235")
    objects.put(uri, "cut", b"123")
    objects.delete(uri, "gone")
    result = verify(placed, uri)
    assert result.exit_code == 1
    md5 = {text: hashlib.md5(text.encode()).hexdigest() for text in ("1", "1234", "1235", "12345")}
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines == [
        ["RESULT", "MANIFEST", "STORE", "ITEM"],
        ["different", "4", "bytes", md5["1234"], "4", "bytes", md5["1235"], "changed"],
        ["different", "5", "bytes", md5["12345"], "3", "bytes", "cut"],
        ["missing", "1", "bytes", md5["1"], "gone"],
        [],
        [f"{uri}:", "4", "items:", *["1", "equal,", "2", "different,", "1", "missing."]],
    ]
    found = facts(placed, uri, exit_code=1)["differences"]
    assert [(one["relpath"], one["result"]) for one in found] == [
        ("changed", "different"),
        ("cut", "different"),
        ("gone", "missing"),
    ]
    assert found[0]["expected"] == {"size_in_bytes": 4, "hash": md5["1234"]}
    assert found[0]["found"] == {"size_in_bytes": 4, "hash": md5["1235"]}


def test_an_item_that_was_assembled_of_parts_is_read_whole(dserver, s3):
    content = b"0123456789abcdef" * 327_680 + b"end"
    uri = deposited(dserver, {"large.bin": content})
    key = f"{uri[-36:]}/data/{generate_identifier('large.bin')}"
    place = {"Bucket": dserver.bucket.name, "Key": key}

    def assemble(*parts: bytes) -> None:
        upload = {**place, "UploadId": s3.create_multipart_upload(**place)["UploadId"]}
        etags = [
            {"PartNumber": n, "ETag": s3.upload_part(**upload, PartNumber=n, Body=part)["ETag"]}
            for n, part in enumerate(parts, 1)
        ]
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": etags})

    assemble(content[: 5 * 1024**2], content[5 * 1024**2 :])
    assert facts(dserver, uri, exit_code=0)["bytes_read"] == len(content)
    assemble(content[: 5 * 1024**2], b"eNd")
    assert facts(dserver, uri, exit_code=1)["counts"]["different"] == 1


def test_an_item_without_a_hash_in_the_manifest_is_said_and_not_called_equal(dserver, s3):
    uri = deposited(dserver)
    place = {"Bucket": dserver.bucket.name, "Key": f"{uri[-36:]}/manifest.json"}
    manifest = json.loads(s3.get_object(**place)["Body"].read())
    del manifest["items"][generate_identifier("empty.dat")]["hash"]
    manifest["items"][generate_identifier("data/file1.txt")]["relpath"] = "two\nlines"
    s3.put_object(**place, Body=json.dumps(manifest).encode())
    result = verify(dserver, uri)
    assert result.exit_code == 1
    assert "not comparable  0 bytes" in result.stdout
    assert "the manifest has no MD5 of it  empty.dat\n" in result.stdout
    assert result.stdout.endswith("2 equal, 1 not comparable.\n")


@pytest.fixture
def many(lab) -> str:
    return deposited(lab, MANY)


def test_a_pattern_limits_what_is_read(lab, many):
    found = facts(lab, many, "--items", "images/1*.tif", exit_code=0)
    assert (found["items"], found["selected"], found["counts"]["equal"]) == (12, 3, 3)
    assert "3 of 12 items" in verify(lab, many, "--items", "images/1*.tif").stdout


def test_a_sample_limits_what_is_read(lab, many):
    assert facts(lab, many, "--sample", 5, exit_code=0)["selected"] == 5
    assert facts(lab, many, "--sample", 99, exit_code=0)["selected"] == 12
    found = facts(lab, many, "--sample", 2, "--items", "*1*", exit_code=0)
    assert (found["selected"], found["counts"]["equal"]) == (2, 2)


@pytest.mark.parametrize(
    "arguments", [["s3://lab"], ["--sample", "0"], ["--items", "nothing*"], ["--state", "/"], []]
)
def test_what_cannot_be_used_is_a_usage_error(lab, many, arguments):
    uri = [] if arguments[:1] == ["s3://lab"] or not arguments else [many]
    result = verify(lab, *uri, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr


def test_a_dataset_that_dserver_does_not_know_is_not_verified(lab):
    result = verify(lab, f"{lab.base_uri}/550e8400-e29b-41d4-a716-446655440000")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "550e8400" in result.stderr


def test_the_audit_has_who_read_how_much_and_that_all_of_it_was_equal(dserver):
    uri = deposited(dserver)
    verify(dserver, uri)
    verify(dserver, uri, "--sample", 1)
    whole, sample = [row for row in rows(dserver) if row["action"] == "verify"]
    size = sum(map(len, FILES.values()))
    assert (whole["action"], whole["uri"], whole["username"]) == ("verify", uri, "")
    assert (whole["items"], whole["size_in_bytes"], whole["verified"]) == (3, size, "md5")
    assert (sample["action"], sample["items"], sample["verified"]) == ("verify", 1, None)


# Interruptions ------------------------------------------------------------------------------


@pytest.fixture
def hindered(make_dserver, proxy) -> Dserver:
    """A dserver whose URLs lead through the proxy, and which repeats at once."""
    made = make_dserver(**proxy.public_settings())
    made.services.verifications = replace(made.services.verifications, pauses=(0, 0))
    return made


@contextmanager
def broken_after(proxy: StoreProxy, number: int, fault: Fault, state: Path) -> Iterator[None]:
    """Let a number of items pass, and fail the others as soon as one of them is noted."""
    proxy.forget()

    def fail(request: Request) -> Fault | None:
        deadline = time.monotonic() + 30
        while request.number > number and not noted(state) and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        return fault if request.number > number else None

    proxy.before = fail
    yield
    proxy.heal()


def state_of(uri: str) -> Path:
    """Return where the state of a run is, unless another file is named."""
    return journal.default_path(DatasetURI.parse(uri))


def noted(state: Path) -> set[str]:
    """Return the identifiers in a state file."""
    lines = state.read_text().splitlines(keepends=True)[1:] if state.exists() else []
    return {json.loads(line) for line in lines if line.endswith("\n")}


def requested(proxy: StoreProxy) -> set[str]:
    """Return the identifiers of the items that were read through the proxy."""
    return {request.target.partition("?")[0].rpartition("/")[2] for request in proxy.requests}


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.DROPPED])
def test_a_run_that_the_store_ended_goes_on_where_it_stopped(hindered, proxy, fault, cache):
    uri = deposited(hindered, MANY)
    with broken_after(proxy, 7, fault, state_of(uri)):
        result = verify(hindered, uri)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The same command goes on where it stopped." in result.stderr
    assert "X-Amz" not in result.output
    equal = noted(state_of(uri))
    proxy.forget()
    found = facts(hindered, uri, exit_code=0)
    assert found["counts"]["equal"] == 12
    assert found["resumed"] == len(equal) > 0
    assert not equal & requested(proxy)
    assert list(cache.iterdir()) == []


def test_what_was_read_is_read_again_on_request(hindered, proxy):
    uri = deposited(hindered, MANY)
    with broken_after(proxy, 7, Fault.AWAY, state_of(uri)):
        verify(hindered, uri)
    assert facts(hindered, uri, "--restart", exit_code=0)["resumed"] == 0


def test_a_state_file_is_where_the_operator_wants_it(hindered, proxy, tmp_path, cache):
    uri, state = deposited(hindered, MANY), tmp_path / "state"
    with broken_after(proxy, 7, Fault.AWAY, state):
        verify(hindered, uri, "--state", state)
    assert state.exists()
    assert not cache.exists()
    assert facts(hindered, uri, "--state", state, exit_code=0)["resumed"] > 0
    assert not state.exists()


def test_where_the_home_cannot_be_written_a_run_only_cannot_go_on(hindered, proxy, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/proc/none")
    uri = deposited(hindered, FILES)
    result = verify(hindered, uri)
    assert (result.exit_code, result.stdout) == (0, f"{uri}: 3 items: 3 equal.\n")
    assert result.stderr.startswith("This run cannot go on after an interruption. /proc/none/")
    assert "--state" in result.stderr
    assert verify(hindered, uri, "--sample", 2).stderr == ""
    proxy.forget()
    proxy.before = lambda request: Fault.AWAY if request.number > 2 else None
    result = verify(hindered, uri)
    proxy.heal()
    assert result.exit_code == 1
    assert "goes on where" not in result.stderr


def test_a_state_file_that_is_named_and_cannot_be_written_is_an_error(lab, many):
    result = verify(lab, many, "--state", "/proc/none/state")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "/proc/none/state cannot be used" in result.stderr


@pytest.mark.parametrize("part", [["--sample", 12], ["--sample", 3], ["--items", "images/*1.tif"]])
def test_a_run_of_some_items_leaves_what_a_run_of_all_goes_on_with(hindered, proxy, part):
    uri = deposited(hindered, MANY)
    with broken_after(proxy, 7, Fault.AWAY, state_of(uri)):
        verify(hindered, uri)
    equal = noted(state_of(uri))
    found = facts(hindered, uri, *part, exit_code=0)
    assert "--sample" not in part or found["resumed"] == 0
    assert facts(hindered, uri, exit_code=0)["resumed"] >= len(equal) > 0
    assert not state_of(uri).exists()


def test_a_sample_is_read_while_a_run_of_all_items_goes_on(lab, many):
    uri = DatasetURI.parse(many)
    with journal.opened(state_of(many), uri, {}, None, restart=False):
        assert facts(lab, many, "--sample", 5, exit_code=0)["counts"]["equal"] == 5


def test_an_interrupted_sample_is_not_said_to_go_on(hindered, proxy, cache):
    uri = deposited(hindered, MANY)
    proxy.forget()
    proxy.before = lambda request: Fault.AWAY if request.number > 3 else None
    result = verify(hindered, uri, "--sample", 12)
    proxy.heal()
    assert (result.exit_code, result.stdout) == (1, "")
    assert "goes on" not in result.stderr
    assert not cache.exists()


def test_single_failures_are_repeated(hindered, proxy):
    uri = deposited(hindered, MANY)
    proxy.fail(Fault.AWAY, 2, 3)
    assert facts(hindered, uri, exit_code=0)["counts"]["equal"] == 12


def test_ctrl_c_is_answered_with_how_to_go_on(hindered, proxy):
    uri = deposited(hindered, MANY)
    proxy.forget()

    def interrupt(request: Request) -> None:
        if request.number == 7:
            os.kill(os.getpid(), signal.SIGINT)

    proxy.after = interrupt
    result = verify(hindered, uri)
    proxy.heal()
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "Interrupted. The same command goes on where it stopped.\n"
    assert facts(hindered, uri, exit_code=0)["counts"]["equal"] == 12
