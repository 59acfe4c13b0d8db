"""`flask temp_share create` sends large files in parts, and what is stored not again."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.cli.temp_share import temp_share
from dserver_signed_url_plugin.deposits.local_files import ChangedFile, UnusableFile, found
from dserver_signed_url_plugin.permissions import permit_operator
from dserver_signed_url_plugin.uploads.parts_plan import PartsPlan
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.pending_copies import HASTE, copying
from tests.support.proxy import Fault, StoreProxy
from tests.support.shared_files import waiting
from tests.support.stored_upload import put

PART = 5 * 1024**2
CONTENT = bytes(range(256)) * (PART // 256) + b"the end\n"
SMALL = b"small"
PARTS = 2


@pytest.fixture
def dserver(make_dserver_on, place, proxy):
    """A dserver that has large files sent in parts of 5 MiB."""
    return make_dserver_on(place, **proxy.public_settings(), SIGNED_URL_PART_BYTES=PART)


@pytest.fixture
def folder(tmp_path):
    """A large file and a small one."""
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "large.tif").write_bytes(CONTENT)
    (folder / "notes.txt").write_bytes(SMALL)
    return folder


@contextmanager
def unseen(label, total):
    yield lambda count: None


def sent(proxy):
    """How many times something was sent."""
    return sum(request.method == "PUT" for request in proxy.requests)


def check_shared(result):
    assert result.exit_code == 0, result.stderr
    shared = {file["relpath"]: file["url"] for file in json.loads(result.stdout)["files"]}
    contents = {name: requests.get(url, timeout=30).content for name, url in shared.items()}
    assert contents == {"scans/large.tif": CONTENT, "scans/notes.txt": SMALL}


def test_what_is_stored_is_not_sent_again_after_an_interruption(dserver, proxy, share):
    # The small file and one part arrive.
    proxy.before = lambda request: Fault.REFUSED if request.number > PARTS else None
    refused = share()
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "large.tif' was not stored" in refused.stderr
    proxy.heal()
    proxy.forget()
    check_shared(share())
    assert sent(proxy) == 1
    assert waiting(dserver) == []


@pytest.mark.parametrize("place", ["account"], indirect=True)
def test_a_store_that_copies_a_large_item_for_long_is_waited_for(make_dserver_on, place, folder):
    with StoreProxy(place) as inside:
        inside.rewritten = copying(looks=5)
        settings = {"SIGNED_URL_PART_BYTES": PART, **HASTE, **inside.settings()}
        dserver = make_dserver_on(place, **settings)
        command = ["create", dserver.base_uri, str(folder), "--json"]
        check_shared(dserver.app.test_cli_runner().invoke(temp_share, command))


@pytest.mark.parametrize("place", ["bucket"], indirect=True)
class TestOnABucket:
    def test_what_was_refused_once_is_sent_through_a_new_url(self, proxy, share):
        proxy.fail(Fault.REFUSED, at=3)
        check_shared(share())
        assert sent(proxy) == 1 + PARTS + 1

    def test_a_part_with_other_bytes_is_sent_again(self, dserver, proxy, share):
        proxy.before = lambda request: Fault.REFUSED if request.number > PARTS else None
        assert share().exit_code == 1
        proxy.heal()
        spoil_a_part(dserver)
        proxy.forget()
        check_shared(share())
        assert sent(proxy) == 2

    @pytest.mark.parametrize("at", [0, -1])
    def test_a_file_that_changed_since_it_was_read_is_not_shared(
        self, dserver, folder, s3, place, at
    ):
        deposits = dserver.services.deposits
        with dserver.app.app_context():
            prepared = deposits.prepare(
                BaseURI.parse(dserver.base_uri), "scans", found([folder]), unseen
            )
            changed = bytearray(CONTENT)
            changed[at] ^= 1
            (folder / "large.tif").write_bytes(changed)
            with pytest.raises(ChangedFile):
                deposits.carry_out(prepared, unseen)
        assert waiting(dserver) == []
        assert "Contents" not in s3.list_objects_v2(Bucket=place.name)
        assert "Uploads" not in s3.list_multipart_uploads(Bucket=place.name)

    def test_the_bar_counts_every_byte_once(self, dserver, proxy, share, folder):
        proxy.before = lambda request: Fault.REFUSED if request.number > PARTS else None
        assert share().exit_code == 1
        proxy.heal()
        counted = []

        @contextmanager
        def bar(label, total):
            counted.append([label, total, 0])

            def advance(count):
                counted[-1][2] += count

            yield advance

        deposits = dserver.services.deposits
        with dserver.app.app_context():
            prepared = deposits.prepare(
                BaseURI.parse(dserver.base_uri), "scans", found([folder]), bar
            )
            deposits.carry_out(prepared, bar)
        both = len(CONTENT) + len(SMALL)
        assert counted == [
            ["Reading 2 files", both, both],
            ["Sending 1 file, 1 stored already", len(CONTENT), len(CONTENT)],
        ]

    def test_a_file_above_what_one_put_carries_is_read(self, dserver, folder):
        for size, expected in ((6 * 1024**3, Read), (6 * 1024**4, UnusableFile)):
            with (folder / "large.tif").open("wb") as stream:
                stream.truncate(size)
            with dserver.app.app_context(), pytest.raises(expected):
                dserver.services.deposits.prepare(
                    BaseURI.parse(dserver.base_uri), "scans", found([folder]), reading
                )


class Read(Exception):
    """The files are about to be read: there is nothing to refuse."""


@contextmanager
def reading(label, total):
    raise Read
    yield


def spoil_a_part(dserver):
    """PUT other bytes, of the same size, over a part that is stored."""
    [begun] = waiting(dserver)
    uuid = begun["uuid"]
    with dserver.app.app_context():
        permit = permit_operator(BaseURI.parse(dserver.base_uri))
        identifier = generate_identifier("scans/large.tif")
        grant = dserver.services.parts.sign(permit, uuid, identifier, PartsPlan({1: None, 2: None}))
    # Of two parts one is.
    assert put(grant.requests[min(grant.stored)], bytes(PART)) == 200
