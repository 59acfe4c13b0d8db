"""What every storage must do, said against the protocols in storage/protocols.py and nothing else.

A test module of one storage subclasses StorageContract and provides the fixtures ``storage`` and
``everything``; every URL is followed to the real store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import ClassVar
from uuid import uuid4

import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.errors import (
    DatasetNotFound,
    ItemNotFound,
    StorageOccupied,
    UploadBusy,
    UploadFrozen,
)
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.values import (
    DOCUMENTS,
    EMPTY_MD5,
    Claim,
    Contents,
    Freed,
    Item,
    Life,
    SignedRequest,
    StoredItem,
)
from tests.support.stored_upload import (
    AWKWARD,
    README,
    REFUSED,
    Upload,
    get,
    put,
    tampered,
    uninterrupted,
)


class StorageContract:
    """Fixtures to provide: ``storage``, and ``everything``, which tells all the store holds."""

    # What the store demands of any PUT that carries a whole object.
    put_headers: ClassVar[Mapping[str, str]] = {}
    # Parts of a URL that the store in the tests, unlike the real one, does not look at.
    overlooked: ClassVar[frozenset[str]] = frozenset()

    def in_place(self, held: Contents, pinned: bool) -> Mapping[str, StoredItem]:
        """Where an item is found after its PUT: at its place, or where it waits for promotion."""
        return held.final

    def demanded(self, headers: Mapping[str, str]) -> Iterable[str]:
        """Return those of a pinned PUT's headers without which the store refuses it."""
        return headers

    def put_in_every_way(self, upload: Upload, life: Life) -> None:
        """PUT all items wherever an uploader can."""
        upload.put_all(life, pinned=True)

    @pytest.fixture
    def soon(self, storage: Storage) -> Life:
        """A life that began now."""
        return storage.reads.life(600)

    @pytest.fixture
    def past(self, soon: Life) -> Life:
        """A life that is over."""
        start = soon.starts - timedelta(hours=1)
        return Life(start, 600, start + timedelta(seconds=600))

    @pytest.fixture
    def upload(self, storage: Storage) -> Upload:
        """An opened upload that nobody has PUT anything to."""
        opened = Upload(storage)
        storage.uploads.create(opened.opening, uninterrupted)
        return opened

    @pytest.fixture
    def dataset(self, upload: Upload, soon: Life) -> Upload:
        """A frozen dataset."""
        return upload.deposit(soon)

    # Reading and writing -------------------------------------------------------------------

    def test_empty_items_are_written_as_if_somebody_had_put_them(self, storage, upload):
        items = [
            Item(generate_identifier(relpath), relpath, 0, EMPTY_MD5)
            for relpath in ("empty", *AWKWARD)
        ]
        assert not storage.uploads.write_empty_items(upload.uuid, items, 0)
        assert not upload.held().final
        written = storage.uploads.write_empty_items(upload.uuid, items, 30)
        held = upload.held().final
        assert written == held.keys() == {item.identifier for item in items}
        assert all(held[item.identifier].fits(item) for item in items)

    @pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "staged"])
    def test_what_is_put_and_frozen_can_be_read(self, upload, soon, everything, pinned):
        upload.put_all(soon, pinned)
        held = upload.held()
        there = self.in_place(held, pinned)
        sizes = {identifier: len(data) for identifier, data in upload.contents.items()}
        assert held.opened
        assert {i: found.size_in_bytes for i, found in there.items()} == sizes
        assert {i: found.md5 for i, found in there.items()} == {
            item.identifier: item.hash for item in upload.items
        }
        assert len(held.staged) + len(held.final) == len(there)

        promotions = upload.promotions()
        found = upload.promote(promotions) if promotions else held.final
        assert {i: f.md5 for i, f in found.items()} == {i: f.md5 for i, f in there.items()}
        upload.freeze()
        assert upload.downloaded(soon) == upload.contents

    def test_read_urls_name_and_open_all_of_a_dataset(self, dataset, storage, soon):
        urls = storage.reads.read_urls(dataset.uuid, soon)
        assert (
            get(urls.readme).content == README.encode() == storage.uploads.readme(dataset.uuid, 100)
        )
        assert set(get(urls.manifest).json()["items"]) == set(dataset.contents)
        assert get(urls.admin_metadata).json()["type"] == "dataset"
        annotations = {name: get(url).json() for name, url in urls.annotations.items()}
        overlays = {name: get(url).json() for name, url in urls.overlays.items()}
        assert annotations == dataset.opening.annotations
        assert overlays == dataset.opening.overlays
        assert sorted(urls.tags) == ["blue", "red"]

    def test_an_item_url_opens_that_item(self, dataset, storage, soon):
        for identifier, data in dataset.contents.items():
            assert get(storage.reads.item_url(dataset.uuid, identifier, soon)).content == data

    def test_an_unknown_item_is_not_found(self, dataset, storage, soon):
        with pytest.raises(ItemNotFound):
            storage.reads.item_url(dataset.uuid, generate_identifier("no such file"), soon)

    @pytest.mark.parametrize("limit", [0, 3, 5, 6, 100])
    def test_the_beginning_of_an_item_is_read_by_the_server_itself(self, dataset, storage, limit):
        for identifier, data in dataset.contents.items():
            beginning = storage.reads.beginning(dataset.uuid, identifier, limit)
            assert beginning == data[: limit + 1]

    def test_what_is_not_there_has_no_beginning(self, dataset, storage):
        for uuid in (dataset.uuid, str(uuid4())):
            with pytest.raises(ItemNotFound):
                storage.reads.beginning(uuid, generate_identifier("no such file"), 9)

    def test_what_storage_does_not_hold_is_not_found(self, upload, storage, soon):
        for uuid in (str(uuid4()), upload.uuid):
            with pytest.raises(DatasetNotFound):
                storage.reads.read_urls(uuid, soon)

    @pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "staged"])
    def test_awkward_relpaths_come_back(self, storage, soon, pinned):
        longest = "ü" * (storage.uploads.limits.max_relpath_bytes // 2)
        files = {path: path.encode() for path in [*AWKWARD, longest]}
        upload = Upload(storage, files)
        storage.uploads.create(upload.opening, uninterrupted)
        assert upload.deposit(soon, pinned=pinned).downloaded(soon) == upload.contents

    def test_a_life_is_in_whole_seconds_and_no_longer_than_asked_for(self, storage):
        life = storage.reads.life(77)
        assert (life.seconds, life.starts.microsecond) == (77, 0)
        assert life.ends == life.starts + timedelta(seconds=77)
        assert life.ends.utcoffset() == timedelta(0)

    # What a URL cannot do ------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("pinned", "with_md5", "expected"),
        [(True, True, True), (False, True, False), (True, False, False)],
    )
    def test_urls_are_pinned_if_every_item_has_an_md5(
        self, upload, storage, soon, pinned, with_md5, expected
    ):
        items = [*upload.items, Item("f" * 40, "more", 1, "0" * 32 if with_md5 else None)]
        write_urls = storage.uploads.write_urls
        assert (
            write_urls(upload.uuid, upload.staging, items, soon, pinned=pinned).pinned is expected
        )
        assert write_urls(upload.uuid, upload.staging, [], soon, pinned=pinned).pinned is pinned

    def test_a_pinned_url_refuses_other_bytes(self, upload, soon):
        requested = upload.urls(soon, pinned=True).items
        for identifier, data in upload.contents.items():
            for other in (data + b"!", b"!" * len(data)):
                if other != data:
                    assert put(requested[identifier], other) in REFUSED
        assert upload.held().final == {}

    def test_a_pinned_url_refuses_a_missing_header(self, upload, soon):
        requested = upload.urls(soon, pinned=True).items
        for identifier, request in requested.items():
            assert request.headers
            for name in self.demanded(request.headers):
                fewer = {n: value for n, value in request.headers.items() if n != name}
                assert put(replace(request, headers=fewer), upload.contents[identifier]) in REFUSED
        assert upload.held().final == {}

    def test_an_expired_read_url_is_refused(self, dataset, storage, past):
        urls = storage.reads.read_urls(dataset.uuid, past)
        identifier = next(iter(dataset.contents))
        item = storage.reads.item_url(dataset.uuid, identifier, past)
        for url in (urls.readme, urls.manifest, urls.admin_metadata, *urls.items.values(), item):
            assert get(url).status_code in REFUSED

    @pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "staged"])
    def test_an_expired_write_url_is_refused(self, upload, past, everything, pinned):
        before = everything()
        urls = upload.urls(past, pinned)
        for identifier, data in upload.contents.items():
            assert put(urls.items[identifier], data) in REFUSED
        for name in DOCUMENTS:
            assert upload.put_document(urls, name, b"late") in REFUSED
        assert everything() == before

    def test_a_read_url_cannot_write_or_delete(self, dataset, storage, soon, everything):
        before = everything()
        urls = storage.reads.read_urls(dataset.uuid, soon)
        for url in (urls.readme, *urls.items.values()):
            assert put(SignedRequest(url, self.put_headers), b"mine now") in REFUSED
            assert requests.delete(url, timeout=30).status_code in REFUSED
        assert everything() == before

    def test_a_write_url_cannot_read_or_delete(self, upload, soon):
        upload.put_all(soon, pinned=False)
        for request in upload.urls(soon, pinned=False).items.values():
            assert get(request.url).status_code in REFUSED
            assert requests.delete(request.url, timeout=30).status_code in REFUSED
        assert self.in_place(upload.held(), pinned=False).keys() == upload.contents.keys()

    def test_a_url_for_one_item_does_not_open_another(self, dataset, storage, soon):
        one, other = list(dataset.contents)[:2]
        url = storage.reads.item_url(dataset.uuid, one, soon)
        assert get(url.replace(one, other)).status_code in REFUSED

    def test_a_tampered_url_is_refused(self, dataset, storage, soon):
        url = storage.reads.item_url(dataset.uuid, next(iter(dataset.contents)), soon)
        assert get(url).status_code == 200
        answers = {name: get(other).status_code for name, other in tampered(url).items()}
        obeyed = {name for name, status in answers.items() if status not in REFUSED}
        assert obeyed <= self.overlooked

    def test_no_url_of_an_upload_changes_the_dataset(self, upload, soon):
        pinned, staged = upload.urls(soon, pinned=True), upload.urls(soon, pinned=False)
        upload.deposit(soon)
        for identifier in upload.contents:
            assert put(pinned.items[identifier], b"changed") in REFUSED
            put(staged.items[identifier], b"changed")
        for name in DOCUMENTS:
            upload.put_document(staged, name, b"changed")
        assert upload.downloaded(soon) == upload.contents
        assert upload.storage.uploads.readme(upload.uuid, 100) == README.encode()
        urls = upload.storage.reads.read_urls(upload.uuid, soon)
        assert get(urls.admin_metadata).json()["type"] == "dataset"

    # Opening, verifying, freezing ----------------------------------------------------------

    def test_opening_twice_is_harmless(self, upload, storage, soon, everything):
        upload.put_all(soon, pinned=True)
        before = everything()
        storage.uploads.create(upload.opening, uninterrupted)
        assert everything() == before

    def test_opening_refuses_what_somebody_else_began(self, upload, storage, everything):
        before = everything()
        with pytest.raises(StorageOccupied):
            storage.uploads.create(
                replace(upload.opening, claim=Claim({"uploader": "carol"}, was_written=True)),
                uninterrupted,
            )
        assert everything() == before

    @pytest.mark.parametrize("tidied", [True, False])
    def test_opening_refuses_a_frozen_dataset(self, upload, storage, soon, everything, tidied):
        upload.put_all(soon, pinned=True)
        upload.freeze()
        if tidied:
            storage.uploads.delete_temporary(upload.uuid)
        before = everything()
        with pytest.raises(StorageOccupied):
            storage.uploads.create(upload.opening, uninterrupted)
        assert everything() == before

    def test_nothing_is_held_of_what_was_never_opened(self, storage):
        held = Upload(storage).held()
        assert (held.opened, held.final, held.staged, held.temporary) == (False, {}, {}, {})

    def test_a_staged_document_is_read_up_to_a_limit(self, upload, storage, soon):
        urls = upload.urls(soon, pinned=True)
        assert storage.uploads.staged_document(upload.uuid, upload.staging, "readme", 10) is None
        assert upload.put_document(urls, "readme", b"0123456789") in {200, 201}
        for limit, expected in ((10, b"0123456789"), (3, b"0123")):
            found = storage.uploads.staged_document(upload.uuid, upload.staging, "readme", limit)
            assert found == expected
        assert storage.uploads.staged_document(upload.uuid, upload.staging, "manifest", 10) is None

    def test_freezing_without_a_readme_keeps_the_one_there_is(self, upload, storage, soon):
        upload.put_all(soon, pinned=True)
        assert storage.uploads.readme(upload.uuid, 100) is None
        upload.freeze(README)
        upload.freeze(None)
        content = README.encode()
        assert storage.uploads.readme(upload.uuid, 100) == content
        assert storage.uploads.readme(upload.uuid, 3) == content[:4]

    def test_what_was_frozen_is_looked_at_again(self, upload, storage, soon):
        upload.put_all(soon, pinned=True)
        upload.promote(upload.promotions())
        assert not storage.uploads.is_frozen(upload.uuid, upload.freezing())
        upload.freeze()
        assert storage.uploads.is_frozen(upload.uuid, upload.freezing())
        assert storage.uploads.is_frozen(upload.uuid, upload.freezing(None))
        assert not storage.uploads.is_frozen(upload.uuid, upload.freezing("another"))

    def test_tidying_removes_what_was_staged_and_nothing_else(self, upload, storage, soon):
        self.put_in_every_way(upload, soon)
        upload.put_document(upload.urls(soon, pinned=True), "manifest", b"{}")
        upload.freeze()
        storage.uploads.delete_temporary(upload.uuid, upload.held().temporary)
        held = upload.held()
        assert (held.staged, held.temporary) == ({}, {})
        assert upload.downloaded(soon) == upload.contents
        storage.uploads.delete_temporary(upload.uuid)
        assert upload.downloaded(soon) == upload.contents

    # Discarding ----------------------------------------------------------------------------

    def test_discarding_removes_everything_and_may_be_repeated(
        self, upload, storage, soon, everything
    ):
        self.put_in_every_way(upload, soon)
        for _ in range(2):
            upload.discard()
            assert everything() == {}
        assert not upload.held().opened

    def test_what_was_opened_has_admin_metadata_until_it_is_discarded(self, upload, storage):
        assert storage.uploads.has_admin_metadata(upload.uuid)
        upload.discard()
        assert not storage.uploads.has_admin_metadata(upload.uuid)

    def test_discarding_one_upload_leaves_the_others(self, upload, dataset, storage, soon):
        other = Upload(storage)
        storage.uploads.create(other.opening, uninterrupted)
        other.discard()
        assert dataset.downloaded(soon) == dataset.contents

    def test_a_frozen_dataset_is_not_discarded(self, dataset, storage, everything):
        before = everything()
        with pytest.raises(UploadFrozen):
            dataset.discard()
        assert everything() == before

    def test_deleting_a_frozen_dataset_removes_everything_and_may_be_repeated(
        self, dataset, storage, everything
    ):
        for _ in range(2):
            storage.inventory.delete_dataset(dataset.uuid)
            assert everything() == {}
        assert storage.uploads.dataset_type(dataset.uuid) is None

    def test_deleting_one_dataset_leaves_the_others(self, upload, dataset, storage, soon):
        other = Upload(storage)
        storage.uploads.create(other.opening, uninterrupted)
        freed = storage.inventory.delete_dataset(dataset.uuid)
        assert freed.objects >= len(dataset.contents)
        assert freed.size_in_bytes >= sum(map(len, dataset.contents.values()))
        storage.inventory.delete_dataset(dataset.uuid)
        assert storage.uploads.has_admin_metadata(other.uuid)

    def test_nothing_is_discarded_where_somebody_else_has_taken_over(
        self, upload, storage, soon, everything
    ):
        def taken_over():
            raise UploadBusy(upload.uuid)

        self.put_in_every_way(upload, soon)
        before = everything()
        with pytest.raises(UploadBusy):
            upload.discard(taken_over)
        assert everything() == before

    def test_what_has_another_claim_is_not_discarded(self, upload, storage, soon, everything):
        self.put_in_every_way(upload, soon)
        before = everything()
        other = replace(upload, uploader="carol", was_written=True)
        assert storage.discards.size(other.uuid, other.opening.claim) == Freed()
        assert other.discard() == Freed()
        assert everything() == before

    def test_a_proto_dataset_without_a_claim_is_not_discarded(
        self, upload, storage, soon, everything
    ):
        self.put_in_every_way(upload, soon)
        storage.uploads.delete_temporary(upload.uuid)
        before = everything()
        assert storage.discards.size(upload.uuid, upload.opening.claim) == Freed()
        assert upload.discard() == Freed()
        assert everything() == before

    def test_a_place_that_lost_its_claim_stays_the_uploads(self, upload, storage, soon, everything):
        self.put_in_every_way(upload, soon)
        storage.uploads.delete_temporary(upload.uuid)
        again = replace(upload, was_written=True)
        storage.uploads.create(again.opening, uninterrupted)
        with pytest.raises(StorageOccupied):
            storage.uploads.create(replace(again, uploader="carol").opening, uninterrupted)
        storage.uploads.delete_temporary(upload.uuid)
        again.discard()
        assert everything() == {}

    def test_a_discard_that_was_interrupted_is_gone_on_with(self, upload, soon, everything):
        self.put_in_every_way(upload, soon)
        checks = count(1)

        def interrupt():
            if next(checks) == 2:
                raise UploadBusy(upload.uuid)

        with pytest.raises(UploadBusy):
            upload.discard(interrupt)
        assert everything() != {}
        upload.discard()
        assert everything() == {}

    def test_a_discarded_upload_can_be_opened_by_somebody_else(self, upload, storage, soon):
        upload.discard()
        other = replace(upload, uploader="carol", staging=uuid4().hex)
        storage.uploads.create(other.opening, uninterrupted)
        assert other.deposit(soon).downloaded(soon) == other.contents
