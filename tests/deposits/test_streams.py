"""A stream, whose length nobody knows beforehand, becomes a dataset of one item."""

from __future__ import annotations

import signal
import subprocess
import threading
import tracemalloc
from dataclasses import replace
from itertools import chain, count, repeat
from types import SimpleNamespace
from urllib.parse import urlsplit

import click
import pytest
import requests
from dservercore import sql_db
from dservercore.sql_models import Dataset

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.cli.stream_source import stream_source
from dserver_signed_url_plugin.cli.temp_share import temp_share
from dserver_signed_url_plugin.deposits.local_files import UnusableFile
from dserver_signed_url_plugin.deposits.streams import StreamFailed, StreamLeft, StreamTooLong
from dserver_signed_url_plugin.errors import InvalidField, StorageUnavailable, UploadIncomplete
from dserver_signed_url_plugin.permissions import permit_operator
from dserver_signed_url_plugin.storage.parts import PartLimits
from dserver_signed_url_plugin.uploads.models import PendingUpload
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI
from tests.support.clients import Deposit
from tests.support.dserver import Account
from tests.support.dserver_fixtures import dserver_on
from tests.support.proxy import Fault
from tests.support.shared_files import waiting
from tests.support.terminal import opened as terminal_opened

MIB = 1024**2
PART = 5 * MIB
RELPATH = "dumps/lab 1.sql"
BLOCK = bytes(range(256)) * 1000
# In parts; in one that is full, and less; nothing.
LONG, FULL, SHORT, EMPTY = 2 * PART + 7, PART, 1000, 0
SECONDS = 60

on_a_bucket = pytest.mark.parametrize("lab_place", ["lab_bucket"], indirect=True)


@pytest.fixture(scope="module")
def place(lab_place):
    """Where all tests deposit."""
    return lab_place


@pytest.fixture(scope="module")
def shared_dserver(place, lab_proxy, jwt_settings, database, jwt_tokens):
    """A dserver that divides streams into parts of 5 MiB."""
    settings = {**jwt_settings, **lab_proxy.public_settings(), "SIGNED_URL_PART_BYTES": PART}
    yield from dserver_on(place, settings, database, jwt_tokens)


@pytest.fixture
def proxy(place, lab_proxy, request):
    """What people, and the operator, send to the store, which is empty."""
    lab_proxy.heal()
    lab_proxy.forget()
    if isinstance(place, Account):
        blobs = request.getfixturevalue("blobs")
        for container in blobs.list_containers():
            blobs.delete_container(container.name)
        return lab_proxy
    s3 = request.getfixturevalue("s3")
    for found in s3.list_objects_v2(Bucket=place.name).get("Contents", []):
        s3.delete_object(Bucket=place.name, Key=found["Key"])
    for upload in s3.list_multipart_uploads(Bucket=place.name).get("Uploads", []):
        target = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
        s3.abort_multipart_upload(Bucket=place.name, **target)
    return lab_proxy


@pytest.fixture
def dserver(shared_dserver, proxy):
    """The dserver, which has no datasets and no uploads."""
    with shared_dserver.app.app_context():
        for [uri] in sql_db.session.execute(sql_db.select(Dataset.uri)).all():
            datasets.unregister(DatasetURI.parse(uri))
        sql_db.session.execute(sql_db.delete(PendingUpload))
        sql_db.session.commit()
    return shared_dserver


@pytest.fixture
def streams(dserver):
    """The service, which gives up a part at the second failure."""
    with dserver.app.app_context():
        yield replace(dserver.services.streams, pauses=(0,))


def content(size):
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


def blocks(size):
    whole = content(size)
    return (whole[start : start + 70_000] for start in range(0, size, 70_000))


def prepared(dserver, streams, relpath=RELPATH):
    return streams.prepare(BaseURI.parse(dserver.base_uri), "dump", relpath)


def deposited(dserver, streams, these, counted=None):
    counted = [] if counted is None else counted
    return streams.carry_out(prepared(dserver, streams), these, counted.append)


def fetched(dserver, uri):
    """Return the only item of a dataset: its relpath, and its bytes by a signed URL."""
    with dserver.app.app_context():
        [file] = dserver.services.file_urls.urls(uri, (), 60).files
    return file.relpath, requests.get(file.url, timeout=30).content


def nothing_left(dserver, place, request):
    """Return whether the store holds neither objects nor parts, and dserver no upload."""
    if waiting(dserver):
        return False
    if place.base_uri.startswith("azure:"):
        return not list(request.getfixturevalue("blobs").list_containers())
    s3 = request.getfixturevalue("s3")
    has_objects = "Contents" in s3.list_objects_v2(Bucket=place.name)
    return not has_objects and "Uploads" not in s3.list_multipart_uploads(Bucket=place.name)


def puts(proxy):
    return [request for request in proxy.requests if request.method == "PUT"]


# What it becomes ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [LONG, SHORT])
def test_a_stream_becomes_an_item_that_dtool_verifies(dserver, streams, holdings, size):
    counted = []
    uri = deposited(dserver, streams, blocks(size), counted)
    assert sum(counted) == size
    assert fetched(dserver, uri) == (RELPATH, content(size))
    assert holdings.verifies(dserver, Deposit({RELPATH: content(size)}, uuid=uri.uuid))
    assert waiting(dserver) == []


@on_a_bucket
@pytest.mark.parametrize("size", [EMPTY, FULL, FULL + 1])
def test_any_number_of_bytes_is_taken(dserver, streams, size):
    assert fetched(dserver, deposited(dserver, streams, blocks(size))) == (RELPATH, content(size))


@on_a_bucket
@pytest.mark.parametrize(("size", "verified"), [(LONG, "parts"), (SHORT, "md5")])
def test_what_the_store_has_not_verified_is_said(dserver, streams, size, verified):
    uri = deposited(dserver, streams, blocks(size))
    with dserver.app.app_context():
        again = dserver.services.completions.complete(permit_operator(uri.base), uri.uuid)
    assert again.verified == (verified if verified == "parts" else None)


@on_a_bucket
def test_no_more_than_four_parts_are_in_memory(make_dserver_on, place, proxy):
    # The proxy, which keeps bodies, is not in between.
    dserver = make_dserver_on(place, SIGNED_URL_PART_BYTES=PART)
    size = 8 * PART
    with dserver.app.app_context():
        streams = dserver.services.streams
        # Clients of the store and modules that are imported late stay in memory.
        streams.carry_out(prepared(dserver, streams), blocks(LONG), uncounted)
        tracemalloc.start()
        try:
            uri = streams.carry_out(
                prepared(dserver, streams), repeat(bytes(MIB), size // MIB), uncounted
            )
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        [file] = dserver.services.file_urls.urls(uri, (), 60).files
    assert file.size_in_bytes == size
    assert most < 4 * PART + 4 * MIB


# Failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.DROPPED])
@on_a_bucket
def test_a_part_that_the_store_did_not_take_is_sent_again(dserver, streams, proxy, fault):
    proxy.fail(fault, at=2)
    uri = deposited(dserver, streams, blocks(LONG))
    assert len(puts(proxy)) == 4
    proxy.heal()
    assert fetched(dserver, uri) == (RELPATH, content(LONG))


@pytest.mark.parametrize("size", [LONG, SHORT])
def test_what_the_store_refuses_is_not_kept(dserver, streams, proxy, place, request, size):
    proxy.fail(Fault.REFUSED, at=size // PART, until=99)
    with pytest.raises(StreamFailed, match="answered 403. Nothing of it was kept"):
        deposited(dserver, streams, blocks(size))
    assert nothing_left(dserver, place, request)


@pytest.mark.parametrize("failure", [UnusableFile("gone"), KeyboardInterrupt()])
def test_a_stream_that_breaks_off_leaves_nothing(dserver, streams, place, request, failure):
    def fail():
        raise failure

    with pytest.raises(type(failure)):
        deposited(dserver, streams, chain(blocks(LONG), called(fail)))
    assert nothing_left(dserver, place, request)


@on_a_bucket
def test_a_part_that_others_have_changed_is_noticed(dserver, streams, place, request, s3):
    def spoil():
        [upload] = s3.list_multipart_uploads(Bucket=place.name)["Uploads"]
        target = {"Bucket": place.name, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        s3.upload_part(**target, PartNumber=1, Body=bytes(PART))

    with pytest.raises(StorageUnavailable, match="has not kept what was sent"):
        deposited(dserver, streams, chain(blocks(3 * PART), called(spoil)))
    assert nothing_left(dserver, place, request)


@on_a_bucket
def test_nobody_completes_a_stream_that_is_still_sent(dserver, streams):
    stream = prepared(dserver, streams)

    def complete():
        with pytest.raises(UploadIncomplete):
            dserver.services.completions.complete(stream.permit, stream.plan.uuid)

    uri = streams.carry_out(stream, chain(blocks(3 * PART), called(complete)), uncounted)
    assert fetched(dserver, uri) == (RELPATH, content(3 * PART))


@on_a_bucket
@pytest.mark.parametrize("target", ["copy", "DELETE"])
def test_what_could_not_be_finished_is_removed_or_named(
    make_dserver_on, place, proxy, request, target
):
    dserver = make_dserver_on(place, **proxy.settings(), SIGNED_URL_PART_BYTES=PART)
    refused = {"copy"} if target == "copy" else {"copy", "DELETE"}
    proxy.before = lambda sent: (
        Fault.REFUSED if {"copy" if sent.is_copy else sent.method} & refused else None
    )
    with dserver.app.app_context():
        failure = StorageUnavailable if target == "copy" else StreamLeft
        with pytest.raises(failure):
            deposited(dserver, dserver.services.streams, blocks(LONG))
    proxy.heal()
    if target == "DELETE":
        assert len(waiting(dserver)) == 1
        clean_up(dserver)
    assert nothing_left(dserver, place, request)


@on_a_bucket
def test_what_an_interrupted_removal_leaves_is_named_and_cleaned_up(
    dserver, streams, place, request
):
    def fail():
        raise KeyboardInterrupt

    class Interrupted:
        def cancel(self, permit, uuid):
            raise KeyboardInterrupt

    impatient = replace(streams, cancellations=Interrupted())
    with pytest.raises(StreamLeft, match="interrupted again"):
        deposited(dserver, impatient, chain(blocks(LONG), called(fail)))
    # As after `kill -9`.
    [left] = waiting(dserver)
    assert (left["items"], left["size_in_bytes"]) == (1, None)
    clean_up(dserver)
    assert nothing_left(dserver, place, request)


@on_a_bucket
@pytest.mark.parametrize(("step", "first"), [("uploadId=", 1), ("uploads", 2)])
def test_a_store_that_does_not_answer_at_the_end_is_tried_again(
    make_dserver_on, place, proxy, step, first
):
    """It assembles the parts, or begins the copy to which the MD5 is added."""
    dserver = make_dserver_on(place, **proxy.settings(), SIGNED_URL_PART_BYTES=PART)
    calls = count(1)

    def fail(sent):
        if sent.method == "POST" and step in urlsplit(sent.target).query:
            return Fault.AWAY if first <= next(calls) < first + 3 else None
        return None

    proxy.before = fail
    with dserver.app.app_context():
        streams = replace(dserver.services.streams, pauses=(0,))
        uri = deposited(dserver, streams, blocks(LONG))
    assert fetched(dserver, uri) == (RELPATH, content(LONG))


@on_a_bucket
@pytest.mark.parametrize("relpath", ["../up", "/etc/passwd", "a\nb", "", "\udcff"])
def test_a_name_is_checked_before_anything_is_read(dserver, streams, relpath):
    with pytest.raises(InvalidField):
        prepared(dserver, streams, relpath)


@on_a_bucket
def test_more_than_a_stream_may_have_is_refused(dserver, streams, place, request):
    storages = FewParts(dserver.services.storages)
    with pytest.raises(StreamTooLong, match=f"more than {2 * PART} bytes"):
        deposited(dserver, replace(streams, storages=storages), blocks(LONG))
    assert nothing_left(dserver, place, request)


@on_a_bucket
def test_a_storage_that_assembles_nothing_takes_one_part(dserver, streams, place, request):
    whole = replace(streams, storages=NoParts(dserver.services.storages))
    assert fetched(dserver, deposited(dserver, whole, blocks(FULL))) == (RELPATH, content(FULL))
    [registered] = dserver.alice.post("/uris", {}).json
    holdings = request.getfixturevalue("holdings")
    with pytest.raises(StreamTooLong, match="a file may have 5368709120"):
        deposited(dserver, whole, blocks(FULL + 1))
    assert waiting(dserver) == []
    holdings.delete(registered["uuid"])
    assert nothing_left(dserver, place, request)


def uncounted(count):
    """Show no progress."""


def called(act):
    """Call a function where a stream has come to its end."""
    act()
    return
    yield


def clean_up(dserver):
    command = ["cleanup", "--older-than", "0", "--delete-storage", "--force"]
    result = dserver.app.test_cli_runner().invoke(pending_upload, command)
    assert result.exit_code == 0, result.output


class NoParts:
    """Storages that assemble no items."""

    parts = None

    def __init__(self, storages):
        self._storages = storages

    def of(self, base_uri):
        storage = self._storages.of(base_uri)
        return replace(storage, parts=self.parts and self.parts(storage.parts))


class FewParts(NoParts):
    """Storages that assemble items of at most two parts."""

    @staticmethod
    def parts(store):
        limits = PartLimits(5 * 1024**4, PART, PART, max_parts=2)
        return SimpleNamespace(limits=limits)


# The command --------------------------------------------------------------------------------


@on_a_bucket
class TestTheCommand:
    def test_standard_input_is_shared_under_its_name(self, dserver):
        result = run(dserver, "-", "--as", "table.csv", input=content(SHORT))
        assert result.exit_code == 0, result.stderr
        [registered] = dserver.alice.post("/uris", {}).json
        assert registered["name"] == "table.csv"
        uri = DatasetURI.parse(registered["uri"])
        assert fetched(dserver, uri) == ("table.csv", content(SHORT))

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["-"], "Standard input has no name: add --as NAME"),
            (["-", "--as", "../a"], "has an empty, '.' or '..' segment"),
            (["-", "-", "--as", "a"], "shared alone"),
            (["-", ".", "--as", "a"], "shared alone"),
            (["-", "--as", "a", "--archive"], "not for '-'"),
            (["pyproject.toml", "--as", "a"], "--as names standard input"),
            (["pyproject.toml", "--archive"], "--archive is for one directory"),
            (["docs", "docs", "--archive=zip"], "--archive is for one directory"),
            (["docs", "--archive=rar"], "'rar' is not one of 'tar.zst', 'zip'"),
        ],
    )
    def test_arguments_that_contradict_each_other_are_refused(self, dserver, arguments, said):
        result = run(dserver, *arguments, input=b"unread")
        assert (result.exit_code, result.stdout, waiting(dserver)) == (2, "", [])
        assert said in " ".join(result.stderr.split())

    def test_a_terminal_is_refused(self, dserver, monkeypatch):
        ours, theirs = terminal_opened()
        with open(theirs) as terminal, open(ours, "wb"):
            monkeypatch.setattr("sys.stdin", terminal)
            with pytest.raises(click.UsageError, match="is a terminal"):
                stream_source(["-"], "a", None)

    def test_what_was_interrupted_is_removed(self, dserver, proxy, start, place, request):
        is_sending = threading.Event()
        proxy.before = lambda sent: is_sending.set() if sent.number == 2 else None
        process = start(dserver, "-", "--as", "dump.sql", stdin=subprocess.PIPE)
        process.stdin.write(content(3 * PART))
        process.stdin.flush()
        assert is_sending.wait(SECONDS)
        process.send_signal(signal.SIGINT)
        said, remarks = process.communicate(timeout=SECONDS)
        assert (process.returncode, said) == (130, b"")
        assert remarks == b"Interrupted. Nothing of it was kept.\n"
        assert nothing_left(dserver, place, request)


def run(dserver, *arguments, **options):
    command = ["create", dserver.base_uri, *arguments]
    return dserver.app.test_cli_runner().invoke(temp_share, command, **options)
