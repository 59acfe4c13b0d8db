"""Items in parts on S3: the contract, and what only S3 has."""

from __future__ import annotations

import base64

import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage.s3 import s3_storage
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.dserver import in_capitals
from tests.support.part_contract import PartContract


@pytest.fixture
def storage(bucket):
    settings = Settings.load(in_capitals(bucket.settings()), {})
    return s3_storage(BaseURI.parse(bucket.base_uri), settings)


@pytest.fixture
def everything(s3, bucket):
    def look():
        found = s3.list_objects_v2(Bucket=bucket.name).get("Contents", [])
        return {entry["Key"]: entry["ETag"] for entry in found}

    return look


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
