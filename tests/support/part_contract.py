"""What every storage must do that keeps items in parts, said against PartStore and nothing else.

A test module of one storage subclasses PartContract and provides the fixtures ``storage``,
``everything`` and ``hash_of``, which returns the hash that dtool reads beside an item.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import pytest
import requests

from dserver_signed_url_plugin.storage.parts import Division, PartUpload, StoredPart
from dserver_signed_url_plugin.storage.protocols import PartStore, Storage
from dserver_signed_url_plugin.storage.values import Freed, Item, Life, SignedRequest
from tests.support.stored_upload import REFUSED, Upload, get, put, uninterrupted

WRITTEN = {200, 201}
LATER = timedelta(days=1)


@dataclass
class PartedItem:
    """One item that is sent in parts, as the storage sees it."""

    storage: Storage
    content: bytes
    part_bytes: int
    life: Life
    upload: Upload = field(init=False)
    begun: PartUpload = field(init=False)

    def __post_init__(self) -> None:
        self.upload = Upload(self.storage, {"scan/big ä.tif": self.content})
        self.storage.uploads.create(self.upload.opening, uninterrupted)
        self.begun = self.begin()

    @property
    def parts(self) -> PartStore:
        assert self.storage.parts is not None
        return self.storage.parts

    @property
    def item(self) -> Item:
        return self.upload.items[0]

    @property
    def numbers(self) -> range:
        return range(1, Division(len(self.content), self.part_bytes).count + 1)

    def begin(self) -> PartUpload:
        return self.parts.begin(self.upload.uuid, self.item)

    def begin_undescribed(self) -> None:
        """Begin it anew, as an item whose size and hash nobody knows yet."""
        self.parts.abort(self.begun)
        self.begun = self.parts.begin(
            self.upload.uuid, Item(self.item.identifier, self.item.relpath)
        )

    def part(self, number: int) -> bytes:
        return self.content[(number - 1) * self.part_bytes : number * self.part_bytes]

    def md5(self, number: int) -> str:
        return hashlib.md5(self.part(number)).hexdigest()

    def urls(self, *, pinned: bool = False) -> Mapping[int, SignedRequest]:
        hashes = {number: self.md5(number) if pinned else None for number in self.numbers}
        return self.parts.part_urls(self.begun, hashes, self.life)

    def put_all(self) -> Mapping[int, SignedRequest]:
        urls = self.urls()
        for number, request in urls.items():
            assert put(request, self.part(number)) in WRITTEN
        return urls

    def stored(self) -> Mapping[int, StoredPart]:
        found = self.parts.stored_parts(self.begun)
        assert found is not None
        return found

    def assemble(self, parts: Mapping[int, StoredPart] | None = None) -> object:
        found = self.stored() if parts is None else parts
        return self.parts.assemble(self.begun, self.item, found)


class PartContract:
    """Fixtures to provide: ``storage``, ``hash_of``, and ``everything``, all the store holds."""

    part_bytes = 5 * 1024**2

    @pytest.fixture
    def parted(self, storage: Storage) -> PartedItem:
        """An upload of one item in two parts, of which none is there yet."""
        content = bytes(range(251)) * (self.part_bytes // 251 + 1) + b"the end"
        return PartedItem(storage, content, self.part_bytes, storage.uploads.life(600))

    def test_an_item_is_assembled_of_its_parts(self, parted):
        assert parted.stored() == {}
        parted.put_all()
        found = parted.stored()
        assert {number: part.size_in_bytes for number, part in found.items()} == {
            number: len(parted.part(number)) for number in parted.numbers
        }
        if parted.parts.limits.hashes_parts:
            assert {number: part.md5 for number, part in found.items()} == {
                number: parted.md5(number) for number in parted.numbers
            }
        expected = parted.parts.assembled_md5(parted.item, found)
        assembled = parted.assemble(found)
        assert (assembled.size_in_bytes, assembled.md5) == (len(parted.content), expected)
        assert parted.upload.held().final == {parted.item.identifier: assembled}
        parted.upload.freeze()
        parted.storage.uploads.delete_temporary(parted.upload.uuid)
        assert parted.upload.downloaded(parted.life) == parted.upload.contents

    def test_there_is_no_item_until_it_is_assembled(self, parted):
        parted.put_all()
        assert parted.upload.held().final == {}

    def test_a_pinned_part_takes_nothing_but_its_bytes(self, parted):
        for number, request in parted.urls(pinned=True).items():
            right = parted.part(number)
            assert put(request, bytes(len(right))) == 400
            assert parted.stored().keys() == set(range(1, number))
            assert put(request, right) in WRITTEN

    def test_a_part_may_be_put_again(self, parted):
        first = parted.urls()[1]
        assert put(first, b"!" * parted.part_bytes) in WRITTEN
        parted.put_all()
        parted.assemble()
        url = parted.storage.reads.item_url(parted.upload.uuid, parted.item.identifier, parted.life)
        assert get(url).content == parted.content

    def test_an_expired_part_url_is_refused(self, parted):
        start = parted.life.starts - timedelta(hours=1)
        parted.life = Life(start, 600, start + timedelta(seconds=600))
        assert put(parted.urls()[1], parted.part(1)) == 403
        assert parted.stored() == {}

    def test_a_part_url_is_good_for_its_part_only(self, parted):
        url = parted.urls()[1].url
        for other in (url.replace("partNumber=1", "partNumber=2"), url.partition("&uploadId")[0]):
            if other != url:
                assert put(SignedRequest(other), parted.part(1)) == 403
        for method in ("GET", "POST", "DELETE"):
            assert requests.request(method, url, timeout=30).status_code in REFUSED
        assert parted.stored() == {}

    def test_an_item_is_described_after_it_was_assembled(self, parted, hash_of):
        parted.begin_undescribed()
        parted.put_all()
        found = parted.stored()
        assembled = parted.assemble(found)
        for _ in range(2):
            described = parted.parts.describe(parted.begun, parted.item, found)
            [item] = parted.upload.held().final.values()
            assert (item.size_in_bytes, item.md5) == (assembled.size_in_bytes, described)
            assert hash_of(parted) == parted.item.hash
        parted.upload.freeze()
        assert parted.upload.downloaded(parted.life) == parted.upload.contents

    def test_the_urls_are_dead_after_assembly(self, parted, everything):
        urls = parted.put_all()
        parted.assemble()
        before = everything()
        for request in urls.values():
            assert put(request, b"late") in {403, 404}
        assert everything() == before
        assert parted.parts.stored_parts(parted.begun) is None

    def test_the_urls_are_dead_after_abort_which_may_be_repeated(self, parted, everything):
        before = everything()
        urls = parted.put_all()
        for _ in range(2):
            parted.parts.abort(parted.begun)
            assert parted.parts.stored_parts(parted.begun) is None
        for request in urls.values():
            assert put(request, b"late") in {403, 404}
        assert everything() == before

    def test_a_part_that_was_rewritten_meanwhile_is_not_assembled(self, parted):
        urls = parted.put_all()
        seen = parted.stored()
        assert put(urls[1], b"!" * parted.part_bytes) in WRITTEN
        assert parted.assemble(seen) is None
        assert parted.upload.held().final == {}
        parted.put_all()
        assert parted.assemble() is not None

    def test_a_part_that_is_not_there_is_not_assembled(self, parted):
        parted.put_all()
        seen = dict(parted.stored())
        seen[3] = seen[2]
        assert parted.assemble(seen) is None
        assert parted.upload.held().final == {}

    def test_assembling_may_be_repeated(self, parted):
        parted.put_all()
        seen = parted.stored()
        assert parted.assemble(seen) == parted.assemble(seen) != None  # noqa: E711

    def test_what_was_aborted_is_not_assembled(self, parted):
        parted.put_all()
        seen = parted.stored()
        parted.parts.abort(parted.begun)
        assert parted.assemble(seen) is None

    def test_discarding_frees_the_bytes_of_parts(self, parted, everything):
        urls = parted.put_all()
        held = parted.storage.discards.size(parted.upload.uuid, parted.upload.opening.claim)
        assert held.size_in_bytes > len(parted.content)
        assert parted.upload.discard() == held
        assert everything() == {}
        for request in urls.values():
            assert put(request, b"late") in {403, 404}
        assert parted.upload.discard() == Freed()

    def test_what_was_begun_and_not_assembled_is_found_after_a_while(self, parted):
        now = datetime.now(timezone.utc)

        def found(before: datetime) -> set[tuple[str, str, str]]:
            return {
                (one.uuid, one.identifier, one.upload_id)
                for one in parted.parts.incomplete(before)
                if one.uuid == parted.upload.uuid
            }

        parted.put_all()
        begun = (parted.upload.uuid, parted.item.identifier, parted.begun.upload_id)
        assert found(now - LATER) == set()
        assert found(now + LATER) == {begun}
        parted.assemble()
        assert found(now + LATER) == set()
