"""Items in parts in Ceph RGW: the contract, and what a living part URL cannot do."""

from __future__ import annotations

import base64
import hashlib

import pytest
import requests

from tests.support.part_contract import PartContract
from tests.support.s3_storages import checksum_of, etags_in, storage_of
from tests.support.stalled_put import stalled
from tests.support.stored_upload import put
from tests.support.write_keys import write_key_settings

KEY = b"a key of 32 bytes for this alone"
ENCRYPTION = "x-amz-server-side-encryption-customer"
UNSIGNED = {
    "x-amz-acl": "public-read",
    "x-amz-tagging": "a=b",
    "x-amz-website-redirect-location": "/elsewhere",
    "x-amz-meta-other": "more",
    "Content-Type": "text/html",
    "Content-Encoding": "gzip",
    f"{ENCRYPTION}-algorithm": "AES256",
    f"{ENCRYPTION}-key": base64.b64encode(KEY).decode(),
    f"{ENCRYPTION}-key-MD5": base64.b64encode(hashlib.md5(KEY).digest()).decode(),
}


@pytest.fixture(scope="module")
def pair(store):
    """Keys that can write, and read nothing."""
    return store.write_only_key("parts")


@pytest.fixture
def storage(bucket, pair):
    """URLs to write are signed with the key pair that can read nothing."""
    return storage_of(bucket, **write_key_settings(bucket, pair))


@pytest.fixture
def everything(s3, bucket):
    return lambda: etags_in(s3, bucket)


@pytest.fixture
def hash_of(s3, bucket):
    return lambda parted: checksum_of(s3, bucket, parted)


class TestCephParts(PartContract):
    # LocalCeph is configured to take small parts.
    part_bytes = 1000

    def test_a_part_url_copies_nothing(self, parted, s3, bucket):
        s3.put_object(Bucket=bucket.name, Key="salaries", Body=b"secret")
        copying = {"x-amz-copy-source": f"/{bucket.name}/salaries"}
        for pinned in (True, False):
            request = parted.urls(pinned=pinned)[1]
            for body in (b"", parted.part(1)):
                headers = {**request.headers, **copying}
                answer = requests.put(request.url, body, headers=headers, timeout=30)
                assert answer.status_code == 403
        assert parted.stored() == {}

    def test_headers_that_are_not_signed_change_nothing(self, parted, s3, bucket):
        urls = parted.urls(pinned=True)
        for number, request in urls.items():
            headers = {**request.headers, **UNSIGNED}
            assert requests.put(request.url, parted.part(number), headers=headers, timeout=30).ok
        parted.assemble()
        where = {
            "Bucket": bucket.name,
            "Key": f"{parted.upload.uuid}/data/{parted.item.identifier}",
        }
        found = s3.get_object(**where)
        assert found["Metadata"].keys() == {"handle", "checksum"}
        assert found["ContentType"] == "binary/octet-stream"
        assert not {"ContentEncoding", "WebsiteRedirectLocation"} & found.keys()
        assert found["Body"].read() == parted.content
        assert len(s3.get_object_acl(**where)["Grants"]) == 1
        assert s3.get_object_tagging(**where)["TagSet"] == []
        assert requests.get(urls[1].url.partition("?")[0], timeout=30).status_code == 403

    def test_a_part_that_arrives_after_assembly_changes_nothing(self, parted, everything):
        urls = parted.put_all()
        with stalled(urls[1], b"!" * parted.part_bytes) as go_on:
            parted.assemble()
            before = everything()
            assert go_on() == 404
        assert everything() == before

    def test_a_whole_item_that_competes_is_what_is_listed(self, parted):
        parted.put_all()
        whole = parted.upload.urls(parted.life, pinned=True).items[parted.item.identifier]
        assert put(whole, parted.content) == 200
        assert parted.upload.held().final[parted.item.identifier].md5 == parted.item.hash
        assembled = parted.assemble()
        assert parted.upload.held().final == {parted.item.identifier: assembled}
