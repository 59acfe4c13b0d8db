"""S3: the contract, and what only S3 has: dtool-s3's keys, object metadata, paging."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.demo.store import free_port, s3_client
from dserver_signed_url_plugin.errors import StorageOccupied, StorageUnavailable
from dserver_signed_url_plugin.storage.values import DOCUMENTS, Item
from tests.support.dserver import Bucket
from tests.support.s3_storages import storage_of
from tests.support.staging_contract import StagingContract
from tests.support.stored_upload import README, Upload, get, uninterrupted

MANY = 1001


def listed(s3, bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


@pytest.fixture(scope="module")
def bucket(store):
    """One bucket for all tests here, emptied after each: making clients takes longest."""
    store.create_bucket("contract")
    return Bucket("contract", store.endpoint, store.access_key, store.secret_key)


@pytest.fixture(scope="module")
def s3(store):
    return s3_client(store.endpoint, store.access_key, store.secret_key)


@pytest.fixture(scope="module")
def shared(bucket):
    return storage_of(bucket)


@pytest.fixture
def storage(shared, s3, bucket):
    yield shared
    batch = [{"Key": key} for key in listed(s3, bucket)]
    for start in range(0, len(batch), 1000):
        s3.delete_objects(Bucket=bucket.name, Delete={"Objects": batch[start : start + 1000]})


@pytest.fixture
def everything(s3, bucket):
    def look():
        answers = {key: s3.get_object(Bucket=bucket.name, Key=key) for key in listed(s3, bucket)}
        return {key: (a["Body"].read(), a["Metadata"]) for key, a in answers.items()}

    return look


def filled(s3, bucket, prefix):
    """Put 1,001 empty objects; return their identifiers."""
    identifiers = [generate_identifier(str(number)) for number in range(MANY)]
    with ThreadPoolExecutor(16) as pool:
        list(
            pool.map(lambda name: s3.put_object(Bucket=bucket.name, Key=prefix + name), identifiers)
        )
    return identifiers


class TestS3(StagingContract):
    # ministack takes any name of an algorithm; S3 has one.
    overlooked = frozenset({"X-Amz-Algorithm"})

    def test_the_keys_are_those_of_dtool_s3(self, dataset, everything):
        root = f"{dataset.uuid}/"
        assert set(everything()) == {
            f"dtool-{dataset.uuid}",
            f"{root}dtool",
            f"{root}README.yml",
            f"{root}README.txt",
            f"{root}manifest.json",
            f"{root}structure.json",
            f"{root}overlays/rating.json",
            f"{root}annotations/place.json",
            f"{root}tags/red",
            f"{root}tags/blue",
            *(f"{root}data/{identifier}" for identifier in dataset.contents),
        }

    @pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "staged"])
    def test_every_item_has_the_metadata_that_dtool_reads(self, storage, soon, everything, pinned):
        upload = Upload(storage, {"Größe über Zeit.txt": b"1", "": b"2", "x" * 1500: b"3"})
        storage.uploads.create(upload.opening, uninterrupted)
        stored = upload.deposit(soon, pinned=pinned) and everything()
        for item in upload.items:
            _, metadata = stored[f"{upload.uuid}/data/{item.identifier}"]
            handle = base64.b64encode(item.relpath.encode()).decode()
            assert metadata == {"handle": handle, "checksum": item.hash}

    def test_admin_metadata_is_in_the_body_and_in_strings_beside_it(self, dataset, everything):
        body, metadata = everything()[f"{dataset.uuid}/dtool"]
        expected = {**dataset.admin_metadata("dataset"), "frozen_at": 1700000001.5}
        assert json.loads(body) == expected
        assert metadata == {name: str(value) for name, value in expected.items()}

    def test_structure_json_names_this_dataset(self, dataset, everything):
        structure = json.loads(everything()[f"{dataset.uuid}/structure.json"][0])
        assert structure["dataset_registration_key"] == f"dtool-{dataset.uuid}"

    def test_a_configured_prefix_is_written_into_the_registration_key(
        self, bucket, soon, everything
    ):
        prefixed = storage_of(bucket, **{f"DTOOL_S3_DATASET_PREFIX_{bucket.name}": "u/alice/"})
        upload = Upload(prefixed)
        prefixed.uploads.create(upload.opening, uninterrupted)
        upload.deposit(soon, pinned=False)
        stored = everything()
        assert stored.pop(f"dtool-{upload.uuid}") == (b"u/alice/", {})
        assert {key[:45] for key in stored} == {f"u/alice/{upload.uuid}/"}
        assert upload.downloaded(soon) == upload.contents

    def test_a_dataset_is_found_under_the_prefix_it_was_registered_with(
        self, bucket, storage, dataset, soon
    ):
        moved = storage_of(bucket, **{f"DTOOL_S3_DATASET_PREFIX_{bucket.name}": "elsewhere/"})
        assert moved.uploads.readme(dataset.uuid, 100) == README.encode()
        with pytest.raises(StorageOccupied):
            moved.uploads.create(dataset.opening, uninterrupted)
        assert Upload(moved, uuid=dataset.uuid).downloaded(soon) == dataset.contents

    def test_a_prefix_is_not_remembered_beyond_a_discarded_upload(self, bucket, storage, soon):
        upload = Upload(storage)
        storage.uploads.create(upload.opening, uninterrupted)
        upload.discard()
        prefixed = storage_of(bucket, **{f"DTOOL_S3_DATASET_PREFIX_{bucket.name}": "new/"})
        prefixed.uploads.create(upload.opening, uninterrupted)
        Upload(prefixed, uuid=upload.uuid, staging=upload.staging).deposit(soon)
        assert upload.downloaded(soon) == upload.contents

    def test_staged_urls_lie_below_the_datasets_upload_key(self, upload, soon):
        urls = upload.urls(soon, pinned=False)
        inside = f"/{upload.uuid}/upload/{upload.staging}/"
        assert set(urls.documents) == set(DOCUMENTS)
        for url in (*urls.documents.values(), *(item.url for item in urls.items.values())):
            assert inside in url
        assert all(item.headers == {} for item in urls.items.values())

    def test_an_item_without_an_md5_is_staged_even_where_headers_are_returned(self, upload, soon):
        item = Item(generate_identifier("unknown"), "unknown")
        urls = upload.storage.uploads.write_urls(
            upload.uuid, upload.staging, [item], soon, pinned=True
        )
        assert "/upload/" in urls.items[item.identifier].url
        assert urls.items[item.identifier].headers == {}

    def test_an_etag_is_the_md5(self, upload, soon):
        upload.put_all(soon, pinned=False)
        md5s = {name: hashlib.md5(data).hexdigest() for name, data in upload.contents.items()}
        assert {name: found.md5 for name, found in upload.held().staged.items()} == md5s

    def test_more_than_a_thousand_items_are_listed_and_deleted(self, upload, s3, bucket, storage):
        prefix = f"{upload.uuid}/upload/{upload.staging}/data/"
        identifiers = filled(s3, bucket, prefix)
        held = upload.held()
        assert sorted(held.staged) == sorted(identifiers)
        assert len(held.temporary) == MANY + 1
        storage.uploads.delete_temporary(upload.uuid, held.temporary)
        assert [key for key in listed(s3, bucket) if "/upload/" in key] == []

    def test_more_than_a_thousand_items_are_discarded(self, upload, s3, bucket, storage):
        filled(s3, bucket, f"{upload.uuid}/data/")
        upload.discard()
        assert listed(s3, bucket) == []

    def test_a_claim_that_cannot_be_read_belongs_to_somebody_else(
        self, upload, s3, bucket, storage, everything
    ):
        key = f"{upload.uuid}/upload/claim.json"
        s3.put_object(Bucket=bucket.name, Key=key, Body=b"not JSON")
        before = everything()
        with pytest.raises(StorageOccupied):
            storage.uploads.create(upload.opening, uninterrupted)
        assert everything() == before

    def test_a_proto_dataset_of_dtool_itself_is_not_taken_over(self, storage, s3, bucket):
        upload = Upload(storage)
        s3.put_object(Bucket=bucket.name, Key=f"dtool-{upload.uuid}")
        with pytest.raises(StorageOccupied):
            storage.uploads.create(upload.opening, uninterrupted)
        assert listed(s3, bucket) == [f"dtool-{upload.uuid}"]

    def test_a_life_is_at_most_what_s3_allows(self, storage):
        limited = storage.reads.life(604_801)
        assert (limited.seconds, limited.limited_by) == (604_800, "store")
        assert storage.reads.life(604_800).limited_by is None

    @pytest.mark.parametrize(("name", "is_allowed"), [("alice", True), ("Jürgen", False)])
    def test_a_creator_must_fit_into_object_metadata(self, storage, name, is_allowed):
        assert storage.uploads.limits.allow_creator(name) is is_allowed

    @pytest.mark.parametrize("manifest", [b"not JSON", b"[]", b'{"items": null}', b"{}"])
    def test_a_manifest_that_cannot_be_read_is_said_so(self, dataset, s3, bucket, manifest):
        s3.put_object(Bucket=bucket.name, Key=f"{dataset.uuid}/manifest.json", Body=manifest)
        with pytest.raises(StorageUnavailable, match="manifest"):
            dataset.downloaded(dataset.storage.reads.life(60))

    def test_a_missing_bucket_is_named(self, bucket):
        gone = Bucket("lab-gone", bucket.endpoint, bucket.access_key, bucket.secret_key)
        with pytest.raises(StorageUnavailable, match="has no bucket lab-gone"):
            storage_of(gone).uploads.create(Upload(storage_of(gone)).opening, uninterrupted)

    @pytest.mark.parametrize("act", ["has_admin_metadata", "dataset_type", "delete_temporary"])
    def test_a_store_that_is_away_is_a_sentence_without_secrets(self, bucket, act):
        away = storage_of(Bucket(bucket.name, f"http://127.0.0.1:{free_port()}", "AK", "SK"))
        with pytest.raises(StorageUnavailable) as refusal:
            getattr(away.uploads, act)("6f9619ff-8b86-4011-b42d-00c04fc964ff")
        assert "call again in 5 s" in str(refusal.value)
        assert "AK" not in str(refusal.value)

    def test_keys_that_the_store_does_not_know_are_refused(self, bucket):
        stranger = Bucket(bucket.name, bucket.endpoint, "stranger", "wrong-secret")
        storage = storage_of(stranger)
        with pytest.raises(StorageUnavailable, match="refused the server") as refusal:
            storage.uploads.create(Upload(storage).opening, uninterrupted)
        assert "wrong-secret" not in str(refusal.value)

    def test_urls_signed_with_a_wrong_secret_are_refused(self, bucket, dataset, soon):
        liar = storage_of(Bucket(bucket.name, bucket.endpoint, bucket.access_key, "wrong"))
        identifier = next(iter(dataset.contents))
        assert get(liar.reads.item_url(dataset.uuid, identifier, soon)).status_code == 403
