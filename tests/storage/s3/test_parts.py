"""Items in parts on S3: the contract, and what only S3 has."""

from __future__ import annotations

import base64
from datetime import datetime, timezone
from uuid import uuid4

import pytest
import requests
from dtoolcore.utils import generate_identifier

from tests.support.part_contract import LATER, PartContract, PartedItem
from tests.support.s3_storages import checksum_of, etags_in, storage_of
from tests.support.stored_upload import Upload, uninterrupted
from tests.support.write_keys import write_key


@pytest.fixture
def storage(bucket):
    return storage_of(bucket)


@pytest.fixture
def everything(s3, bucket):
    return lambda: etags_in(s3, bucket)


@pytest.fixture
def hash_of(s3, bucket):
    return lambda parted: checksum_of(s3, bucket, parted)


class TestS3Parts(PartContract):
    # Unlike S3, ministack takes small parts.
    part_bytes = 1000

    def test_the_object_has_the_metadata_that_dtool_reads(self, parted, s3, bucket):
        parted.put_all()
        parted.assemble()
        key = f"{parted.upload.uuid}/data/{parted.item.identifier}"
        found = s3.head_object(Bucket=bucket.name, Key=key)
        handle = base64.b64encode(parted.item.relpath.encode()).decode()
        assert found["Metadata"] == {"handle": handle, "checksum": parted.item.hash}

    def test_the_etag_of_an_assembled_item_fits_no_announced_md5(self, parted):
        parted.put_all()
        assembled = parted.assemble()
        assert assembled.md5.endswith("-2")
        assert not assembled.fits(parted.item)

    def test_the_write_key_signs_part_urls_and_copies_nothing(self, bucket, s3):
        storage = storage_of(bucket, **write_key(bucket))
        parted = PartedItem(storage, bytes(1500), 1000, storage.uploads.life(600))
        s3.put_object(Bucket=bucket.name, Key="salaries", Body=b"secret")
        for request in parted.urls().values():
            headers = {"x-amz-copy-source": f"/{bucket.name}/salaries"}
            assert requests.put(request.url, headers=headers, timeout=30).status_code == 403
        assert parted.stored() == {}
        parted.put_all()
        assert parted.assemble() is not None

    def test_what_somebody_may_be_writing_with_dtool_is_left_out(self, storage, s3, bucket):
        """dtool's own large items are multipart uploads to the same keys."""
        later = datetime.now(timezone.utc) + LATER
        identifier = generate_identifier("one")

        def create(key):
            s3.create_multipart_upload(Bucket=bucket.name, Key=key)

        def found():
            return {one.uuid for one in storage.parts.incomplete(later)}

        dtools, nobodys, frozen = Upload(storage), str(uuid4()), Upload(storage)
        for upload in (dtools, frozen):
            storage.uploads.create(upload.opening, uninterrupted)
        ours = PartedItem(storage, b"ours", 1000, storage.uploads.life(600)).upload.uuid
        frozen.deposit(storage.uploads.life(600))
        storage.uploads.delete_temporary(dtools.uuid)
        for uuid in (dtools.uuid, nobodys, frozen.uuid):
            create(f"{uuid}/data/{identifier}")
        for key in (f"{nobodys}/README.yml", f"backup/{nobodys}/data/{identifier}", "big.iso"):
            create(key)
        assert found() == {ours, nobodys, frozen.uuid}
        assert len(list(storage.parts.incomplete(later))) == 3

    def test_what_is_left_of_a_dataset_that_is_gone_is_aborted(self, parted):
        parted.put_all()
        parted.storage.inventory.delete_registration(parted.upload.uuid)
        assert parted.parts.stored_parts(parted.begun) is None
