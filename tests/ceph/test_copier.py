"""Copies by our own requests, on a store that verifies signatures in headers."""

from __future__ import annotations

import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage.parallel import Pace
from dserver_signed_url_plugin.storage.s3.connection import S3Connection

METADATA = {"handle": "YWJj+/==", "checksum": "0" * 32}


@pytest.mark.parametrize("key", ["plain", "ä key/with +~%&=;'()*!.tif"])
def test_a_copy_is_one_request(bucket, s3, proxy, key):
    etag = s3.put_object(Bucket=bucket.name, Key=key, Body=b"bytes")["ETag"].strip('"')
    connection = S3Connection(bucket.name, Settings(dtool=bucket.settings(proxy.endpoint)))
    with connection.copies(Pace()) as copy:
        assert copy(key, etag, f"to/{key}", METADATA)
        assert [request.is_copy for request in proxy.requests] == [True]
        # This Ceph copies on any condition, so completion verifies what it has copied.
        changed = "0" * 32, "changed", METADATA
        assert copy(key, *changed) == connection.copy(key, *changed)
    assert s3.head_object(Bucket=bucket.name, Key=f"to/{key}")["Metadata"] == METADATA
