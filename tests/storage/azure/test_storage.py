"""Azure: the contract, and what only Azure has: containers, blobs, metadata, names."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import pytest
from dtool_azure.storagebroker import AzureStorageBroker
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.errors import (
    StorageOccupied,
    StorageUnavailable,
    UploadBusy,
    UploadFrozen,
)
from tests.support.azure_accounts import BLOCK_BLOB, storage_of
from tests.support.proxy import Fault, StoreProxy
from tests.support.storage_contract import StorageContract
from tests.support.stored_upload import README, Upload, get, uninterrupted


def only(values):
    (value,) = values
    return value


class TestAzure(StorageContract):
    put_headers = BLOCK_BLOB

    def demanded(self, headers):
        # A SAS holds no header: what comes without MD5 or metadata is seen to at completion.
        return BLOCK_BLOB

    # What a dataset is in Azure ------------------------------------------------------------

    def test_the_blobs_are_those_of_dtool_azure(self, dataset, everything):
        assert set(everything()) == {
            dataset.uuid,
            *(
                f"{dataset.uuid}/{name}"
                for name in (
                    "dtool",
                    "README.yml",
                    "README.txt",
                    "manifest.json",
                    "structure.json",
                    "overlays/rating.json",
                    "annotations/place.json",
                    "tags/red",
                    "tags/blue",
                    *dataset.contents,
                )
            ),
        }

    def test_every_blob_has_metadata_and_items_have_dtools(self, storage, soon, everything):
        upload = Upload(storage, {"a b+%20.txt": b"1", "Größe über Zeit.txt": b"2", " x ": b"3"})
        storage.uploads.create(upload.opening, uninterrupted)
        upload.deposit(soon)
        stored = everything()
        written = ("a b+%20.txt", "Gr%C3%B6%C3%9Fe%20%C3%BCber%20Zeit.txt", "%20x%20")
        for item, relpath in zip(upload.items, written, strict=True):
            md5, metadata, _ = stored[f"{upload.uuid}/{item.identifier}"]
            assert metadata == {"relpath": relpath, "type": "item"}
            assert base64.b64decode(md5).hex() == item.hash
        others = [found[1] for name, found in stored.items() if "/" in name]
        assert {"type": "document"} in others
        assert {} not in others

    def test_admin_metadata_is_the_containers_and_in_a_blob(self, dataset, everything, blobs):
        expected = {**dataset.admin_metadata("dataset"), "frozen_at": 1700000001.5}
        assert everything()[dataset.uuid] == {name: str(value) for name, value in expected.items()}
        assert json.loads(blobs.get_blob_to_text(dataset.uuid, "dtool").content) == expected

    def test_structure_json_and_readme_txt_are_those_of_dtool_azure(self, dataset, blobs):
        structure = blobs.get_blob_to_text(dataset.uuid, "structure.json").content
        assert json.loads(structure) == AzureStorageBroker._structure_parameters
        readme = blobs.get_blob_to_text(dataset.uuid, "README.txt").content
        assert readme == AzureStorageBroker._dtool_readme_txt

    def test_a_life_is_at_most_what_the_server_ever_grants(self, storage):
        life = storage.reads.life(604_801)
        assert (life.seconds, life.limited_by) == (604_800, "store")
        assert storage.reads.life(604_800).limited_by is None

    @pytest.mark.parametrize(("name", "is_allowed"), [("alice", True), ("Jürgen", False)])
    def test_a_creator_must_fit_into_container_metadata(self, storage, name, is_allowed):
        assert storage.uploads.limits.allow_creator(name) is is_allowed

    def test_a_tag_must_not_end_in_a_dot(self, storage):
        assert not storage.uploads.limits.tags_may_end_in_dot

    # Names ---------------------------------------------------------------------------------

    @pytest.mark.parametrize("disposition", ["attachment", "inline"])
    def test_an_item_is_served_under_its_name(self, storage, soon, disposition):
        upload = Upload(storage, {'d/Übersicht "final" 2;.csv': b"a,b"})
        storage.uploads.create(upload.opening, uninterrupted)
        upload.deposit(soon)
        identifier = only(upload.contents)
        urls = storage.reads.read_urls(upload.uuid, soon, disposition)
        for url in (
            urls.items[identifier],
            storage.reads.item_url(upload.uuid, identifier, soon, disposition),
        ):
            answer = get(url)
            assert answer.content == b"a,b"
            served = answer.headers["Content-Disposition"]
            assert served.startswith(f"{disposition}; ")
            assert "filename*=UTF-8''%C3%9Cbersicht%20%22final%22%202%3B.csv" in served
            kind = "text/csv" if disposition == "attachment" else "text/plain; charset=utf-8"
            assert answer.headers["Content-Type"] == kind
        assert {name: item.relpath for name, item in urls.items.entries.items()} == {
            identifier: 'd/Übersicht "final" 2;.csv'
        }

    @pytest.mark.parametrize("metadata", [{"relpath": "other", "type": "item"}, {}])
    def test_an_item_whose_name_is_lost_has_the_manifests(self, dataset, storage, blobs, metadata):
        identifier = generate_identifier("data/one.txt")
        blobs.set_blob_metadata(dataset.uuid, identifier, metadata)
        answer = get(storage.reads.item_url(dataset.uuid, identifier, storage.reads.life(60)))
        assert 'filename="one.txt"' in answer.headers["Content-Disposition"]

    # Opening ------------------------------------------------------------------------------------

    def test_of_two_claims_at_once_one_wins(self, storage):
        uploads = [replace(Upload(storage), uploader=f"person{number}") for number in range(8)]
        uploads = [replace(upload, uuid=uploads[0].uuid) for upload in uploads]

        def wins(upload):
            try:
                storage.uploads.create(upload.opening, uninterrupted)
            except StorageOccupied:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(wins, uploads))
        assert won.count(True) == 1
        storage.uploads.create(uploads[won.index(True)].opening, uninterrupted)

    def test_the_same_claim_at_once_opens_one_upload(self, storage, soon):
        upload = Upload(storage)
        with ThreadPoolExecutor(4) as pool:
            opened = [
                pool.submit(storage.uploads.create, upload.opening, uninterrupted) for _ in range(4)
            ]
        assert [future.result() for future in opened] == [None] * 4
        assert upload.deposit(soon).downloaded(soon) == upload.contents

    def test_opening_that_slept_does_not_turn_a_dataset_back(self, storage, soon, everything):
        upload = Upload(storage)
        frozen = []

        def sleep_until_somebody_else_has_finished():
            if not frozen:
                storage.uploads.create(upload.opening, uninterrupted)
                upload.deposit(soon)
                frozen.append(everything())

        storage.uploads.create(upload.opening, sleep_until_somebody_else_has_finished)
        now = everything()
        assert frozen[0] == {name: now[name] for name in frozen[0]}

    @pytest.mark.parametrize("metadata", [None, {"type": "protodataset"}, {"type": "dataset"}])
    def test_a_container_of_somebody_else_is_not_taken_over(
        self, storage, blobs, everything, metadata
    ):
        upload = Upload(storage)
        blobs.create_container(upload.uuid, metadata=metadata)
        before = everything()
        with pytest.raises(StorageOccupied):
            storage.uploads.create(upload.opening, uninterrupted)
        assert everything() == before

    def test_a_claim_that_cannot_be_read_belongs_to_somebody_else(
        self, upload, storage, blobs, everything
    ):
        blobs.create_blob_from_text(f"{upload.uuid}-upload", "claim.json", "not JSON")
        before = everything()
        with pytest.raises(StorageOccupied):
            storage.uploads.create(upload.opening, uninterrupted)
        assert everything() == before

    # Freezing and discarding, by somebody who slept ------------------------------------------

    @pytest.mark.parametrize("slept_at", range(1, 6))
    def test_a_freeze_that_slept_writes_over_nothing(
        self, upload, storage, soon, everything, slept_at
    ):
        upload.put_all(soon, pinned=True)
        checks, frozen = count(1), {}

        def sleep_until_somebody_else_has_frozen():
            if next(checks) == slept_at:
                replace(upload, dtoolcore_version="3.20.0").freeze("another README")
                frozen.update(everything())

        freezing = upload.freezing(README)
        # Who has written all but the last finds another's, and says so.
        with pytest.raises((UploadBusy, StorageUnavailable), match="call again"):
            storage.uploads.freeze(upload.uuid, freezing, sleep_until_somebody_else_has_frozen)
        changed = {name for name, found in everything().items() if frozen[name] != found}
        assert changed <= {upload.uuid}
        assert storage.uploads.readme(upload.uuid, 100) == b"another README"

    @pytest.mark.parametrize("written", ["README.yml", "manifest.json", "dtool"])
    def test_a_write_whose_answer_is_lost_is_nobody_elses(self, account, soon, written):
        with StoreProxy(account) as proxy:
            storage = storage_of(account, proxy.settings())
            upload = Upload(storage)
            storage.uploads.create(upload.opening, uninterrupted)
            upload.put_all(soon, pinned=True)
            lost = []

            def lose(request):
                if request.writes(f"/{written}") and not lost:
                    lost.append(request)
                    return Fault.DROPPED
                return None

            proxy.after = lose
            upload.freeze()
        assert lost
        assert storage.uploads.readme(upload.uuid, 100) == README.encode()
        assert storage.uploads.dataset_type(upload.uuid) == "dataset"

    def test_what_is_frozen_at_the_last_moment_is_not_discarded(self, upload, storage, soon, blobs):
        upload.put_all(soon, pinned=True)

        def last_modified():
            return blobs.get_container_properties(upload.uuid).properties.last_modified

        def freeze_in_another_second():
            opened = last_modified()
            while last_modified() == opened:
                upload.freeze()

        with pytest.raises(UploadFrozen):
            upload.discard(freeze_in_another_second)
        assert upload.downloaded(soon) == upload.contents

    def test_a_discard_that_slept_leaves_what_was_begun_anew(
        self, upload, storage, soon, blobs, everything
    ):
        checks, begun = count(1), {}

        def last_modified():
            return blobs.get_container_properties(f"{upload.uuid}-upload").properties.last_modified

        def begin_anew_in_another_second():
            if next(checks) == 2:
                opened = last_modified()
                while last_modified() == opened:
                    upload.discard()
                    storage.uploads.create(upload.opening, uninterrupted)
                upload.put_document(upload.urls(soon, pinned=True), "readme", b"---\n")
                begun.update(everything())

        upload.discard(begin_anew_in_another_second)
        assert begun
        assert everything() == begun

    # Trouble -------------------------------------------------------------------------------

    @pytest.mark.parametrize("manifest", ["not JSON", "[]", '{"items": null}', "{}"])
    def test_a_manifest_that_cannot_be_read_is_said_so(self, dataset, blobs, soon, manifest):
        blobs.create_blob_from_text(dataset.uuid, "manifest.json", manifest)
        with pytest.raises(StorageUnavailable, match="manifest"):
            dataset.downloaded(soon)

    def test_a_container_that_vanished_before_the_freeze_is_said_so(self, upload, blobs):
        blobs.delete_container(upload.uuid)
        with pytest.raises(StorageUnavailable, match="does not hold the dataset's container"):
            replace(upload, files={}).freeze(README)
