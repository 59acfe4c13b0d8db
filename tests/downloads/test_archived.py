"""What lies in a store's archive: no URL reads it before it is restored, and reading says so."""

from __future__ import annotations

import time

import pytest
import requests
from dtoolcore.utils import generate_identifier

from tests.support.clients import Deposit, DtoolDserver
from tests.support.refusals import assert_refused

FILES = {"one.txt": b"first", "two.txt": b"second"}
ONE, TWO = map(generate_identifier, FILES)
PATIENCE = 30  # seconds


@pytest.fixture
def deposited():
    def act(dserver):
        deposit = Deposit(FILES)
        assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
        return deposit.uuid, f"{dserver.base_uri}/{deposit.uuid}"

    return act


@pytest.fixture
def archive(s3, bucket):
    """Move an object to another storage class, as a lifecycle rule would."""

    def act(key, storage_class):
        found = s3.head_object(Bucket=bucket.name, Key=key)
        s3.copy_object(
            Bucket=bucket.name,
            Key=key,
            CopySource={"Bucket": bucket.name, "Key": key},
            StorageClass=storage_class,
            Metadata=found["Metadata"],
            MetadataDirective="REPLACE",
        )

    return act


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_item_is_said_so_until_it_is_restored(
    dserver, s3, bucket, deposited, archive, storage_class
):
    uuid, uri = deposited(dserver)
    key = f"{uuid}/data/{ONE}"
    archive(key, storage_class)
    refusal = dserver.bob.read_item(uri, ONE)
    assert_refused(refusal, 409, "aws s3api restore-object")
    assert dserver.bob.read_item(uri, TWO).status_code == 200

    request = {"Days": 1, "GlacierJobParameters": {"Tier": "Expedited"}}
    s3.restore_object(Bucket=bucket.name, Key=key, RestoreRequest=request)
    deadline = time.monotonic() + PATIENCE
    while (answer := dserver.bob.read_item(uri, ONE)).status_code == 409:
        assert "is being restored" in answer.json["message"]
        assert time.monotonic() < deadline
    assert requests.get(answer.json["url"], timeout=30).content == FILES["one.txt"]


@pytest.mark.parametrize("storage_class", ["GLACIER_IR", "STANDARD_IA"])
def test_what_is_read_at_once_is_not_archived(dserver, deposited, archive, storage_class):
    uuid, uri = deposited(dserver)
    archive(f"{uuid}/data/{ONE}", storage_class)
    url = dserver.bob.read_item(uri, ONE).json["url"]
    assert requests.get(url, timeout=30).content == FILES["one.txt"]


@pytest.mark.parametrize("tier", ["ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"])
def test_an_item_in_an_archive_tier_is_said_so(make_dserver, proxy, deposited, tier):
    dserver = make_dserver(**proxy.settings())
    _, uri = deposited(dserver)
    # No store here has this storage class, whose objects move by themselves.
    proxy.headed = lambda _, headers: {**headers, "x-amz-archive-status": tier}
    assert_refused(dserver.bob.read_item(uri, ONE), 409, "is archived")
    restoring = {"x-amz-archive-status": tier, "x-amz-restore": 'ongoing-request="true"'}
    proxy.headed = lambda _, headers: {**headers, **restoring}
    assert_refused(dserver.bob.read_item(uri, ONE), 409, "is being restored")


def test_a_dataset_whose_manifest_is_archived_is_said_so(dserver, deposited, archive):
    uuid, uri = deposited(dserver)
    archive(f"{uuid}/manifest.json", "GLACIER")
    assert_refused(dserver.bob.read(uri), 409, "archived")


def test_an_archived_item_in_azure_is_said_so(azure_dserver, blobs, deposited):
    uuid, uri = deposited(azure_dserver)
    blobs.set_standard_blob_tier(uuid, ONE, "Archive")
    assert_refused(azure_dserver.bob.read_item(uri, ONE), 409, "az storage blob set-tier")
    assert azure_dserver.bob.read_item(uri, TWO).status_code == 200
    blobs.set_standard_blob_tier(uuid, "manifest.json", "Archive")
    assert_refused(azure_dserver.bob.read(uri), 409, "archived")


def test_a_blob_that_is_being_restored_is_said_so(make_azure_dserver, azure_proxy, deposited):
    dserver = make_azure_dserver(**azure_proxy.settings())
    _, uri = deposited(dserver)
    said = {"x-ms-access-tier": "Archive", "x-ms-archive-status": "rehydrate-pending-to-hot"}
    azure_proxy.headed = lambda _, headers: {**headers, **said}
    assert_refused(dserver.bob.read_item(uri, ONE), 409, "is being restored")
