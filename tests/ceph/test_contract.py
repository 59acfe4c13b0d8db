"""What every storage must do, in Ceph RGW."""

from __future__ import annotations

import pytest

from tests.support.s3_storages import storage_of
from tests.support.staging_contract import StagingContract


@pytest.fixture
def storage(bucket):
    return storage_of(bucket)


@pytest.fixture
def everything(s3, bucket):
    def look():
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {key: s3.get_object(Bucket=bucket.name, Key=key)["Body"].read() for key in keys}

    return look


class TestCeph(StagingContract):
    pass
