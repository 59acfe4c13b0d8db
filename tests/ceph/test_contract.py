"""What every storage must do, in Ceph RGW."""

from __future__ import annotations

import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage.s3 import s3_storage
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.dserver import in_capitals
from tests.support.staging_contract import StagingContract


@pytest.fixture
def storage(bucket):
    settings = Settings.load(in_capitals(bucket.settings()), {})
    return s3_storage(BaseURI.parse(bucket.base_uri), settings)


@pytest.fixture
def everything(s3, bucket):
    def look():
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {key: s3.get_object(Bucket=bucket.name, Key=key)["Body"].read() for key in keys}

    return look


class TestCeph(StagingContract):
    pass
