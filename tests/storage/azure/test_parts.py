"""Items in parts on Azure: the contract, and what living URLs of parts can do there."""

from __future__ import annotations

import base64
from contextlib import contextmanager, suppress
from dataclasses import replace
from urllib.parse import quote

import pytest
import requests
from azure.storage.blob import BlobBlock

from dserver_signed_url_plugin.errors import AssemblyPending, StorageUnavailable
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.azure.layout import part_block, part_numbers
from dserver_signed_url_plugin.storage.azure.listing import block_sizes
from dserver_signed_url_plugin.storage.deadline import Deadline
from dserver_signed_url_plugin.storage.parts import StoredPart
from dserver_signed_url_plugin.storage.values import SignedRequest
from tests.support.azure_accounts import BLOCK_BLOB, storage_of
from tests.support.part_contract import WRITTEN, PartContract
from tests.support.proxy import Fault, StoreProxy
from tests.support.stored_upload import REFUSED, put

OF_UPLOADS = "-upload"


def of_datasets(held):
    """What there is of datasets, without what lies beside them until they are complete."""
    return {name: found for name, found in held.items() if OF_UPLOADS not in name}


def content_md5_of(blobs, parted):
    """Return the MD5 of an item's blob, where dtool reads it."""
    blob = blobs.get_blob_properties(parted.upload.uuid, parted.item.identifier)
    return base64.b64decode(blob.properties.content_settings.content_md5).hex()


class TestAzureParts(PartContract):
    part_bytes = 1000

    @pytest.fixture
    def hash_of(self, blobs):
        return lambda parted: content_md5_of(blobs, parted)

    @pytest.fixture
    def url(self, parted):
        """The URL of the blob that has the parts, which is signed to write."""
        return parted.urls()[1].url.partition("&comp=")[0]

    # The contract, where Azure differs -----------------------------------------------------

    def test_the_urls_are_dead_after_assembly(self, parted, everything):
        urls = parted.put_all()
        parted.assemble()
        assert parted.parts.stored_parts(parted.begun) is None
        before = of_datasets(everything())
        for request in urls.values():
            put(request, b"late")
        assert of_datasets(everything()) == before
        parted.storage.uploads.delete_temporary(parted.upload.uuid)
        for request in urls.values():
            assert put(request, b"late") == 404

    def test_the_urls_are_dead_after_abort_which_may_be_repeated(self, parted):
        urls = parted.put_all()
        for _ in range(2):
            parted.parts.abort(parted.begun)
            assert parted.parts.stored_parts(parted.begun) is None
        for request in urls.values():
            put(request, b"late")
        assert parted.parts.stored_parts(parted.begin()) == {}

    def test_a_part_that_was_rewritten_meanwhile_is_not_assembled(self, parted):
        urls = parted.put_all()
        seen = parted.stored()
        assert put(urls[1], b"shorter") in WRITTEN
        assert parted.assemble(seen) is None
        assert parted.upload.held().final == {}
        parted.put_all()
        assert parted.assemble() is not None

    # What dtool reads ----------------------------------------------------------------------

    def test_the_blob_has_the_metadata_that_dtool_reads(self, parted, everything):
        parted.put_all()
        parted.assemble()
        md5, metadata, _ = everything()[f"{parted.upload.uuid}/{parted.item.identifier}"]
        assert base64.b64decode(md5).hex() == parted.item.hash
        assert metadata == {"relpath": "scan/big%20%C3%A4.tif", "type": "item"}

    # Clients that do otherwise -------------------------------------------------------------

    @pytest.mark.parametrize("way", ["blob", "blocks", "metadata", "copy"])
    def test_nothing_gets_in_between_commit_and_copy(self, parted, account, url, way):
        """A client with a living URL writes to the blob after the server has committed it."""
        blocks = b"<BlockList><Latest>MDAwMDI=</Latest></BlockList>"
        attacks = {
            "blob": (SignedRequest(url, BLOCK_BLOB), b"!" * len(parted.content)),
            "blocks": (SignedRequest(f"{url}&comp=blocklist"), blocks),
            "metadata": (SignedRequest(f"{url}&comp=metadata", {"x-ms-meta-relpath": "no"}), b""),
            "copy": (SignedRequest(url, {"x-ms-copy-source": url.partition("?")[0]}), b""),
        }

        def attack(request):
            if "x-ms-copy-source" in request.headers:
                assert put(*attacks[way]) in {200, 201, 202}

        parted.put_all()
        with asked_through_proxy(parted, account) as proxy:
            proxy.before = attack
            assert parted.assemble() is None
        assert parted.upload.held().final == {}

    def test_what_a_client_copied_there_is_not_assembled(self, parted, url, blobs):
        """Azurite, unlike Azure, lets whoever may write a blob copy any other one there."""
        blobs.create_container("secrets")
        blobs.put_block("secrets", "secret", b"x" * parted.part_bytes, "00001")
        blobs.put_block("secrets", "secret", b"the end", "00002")
        blobs.put_block_list("secrets", "secret", [BlobBlock("00001"), BlobBlock("00002")])
        source = blobs.make_blob_url("secrets", "secret")
        assert put(SignedRequest(url, {"x-ms-copy-source": source}), b"") == 202
        assert parted.stored().keys() == {1, 2}
        assert parted.assemble() is None
        assert parted.upload.held().final == {}

    def test_a_part_url_writes_to_no_other_blob(self, parted, url, everything):
        before = everything()
        uuid, blob = parted.upload.uuid, parted.begun.upload_id
        for other in (
            url.replace(blob, "0" * 32),
            url.replace(f"{uuid}-upload", uuid),
            url.replace(f"parts/{parted.item.identifier}/{blob}", "claim.json"),
        ):
            assert other != url
            assert put(SignedRequest(other, BLOCK_BLOB), b"mine") == 403
        assert requests.delete(url, timeout=30).status_code == 403
        assert everything() == before

    def test_a_blob_that_a_client_has_leased_can_be_removed(self, parted, url, everything):
        parted.put_all()
        lease = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1"}
        assert put(SignedRequest(f"{url}&comp=lease", lease), b"") == 201
        assert parted.assemble() is None
        parted.parts.abort(parted.begun)
        assert parted.parts.stored_parts(parted.begun) is None

    @pytest.mark.parametrize("name", [b"\xff\xfe\xff\xfe\xff", b"01e+2", b"99999"])
    def test_blocks_of_other_names_are_no_parts_but_are_discarded(self, parted, url, name):
        parted.put_all()
        seen = parted.stored()
        assert put(SignedRequest(block_named(url, name)), b"12345") == 201
        assert {n: p for n, p in parted.stored().items() if n in seen} == seen
        size = parted.storage.discards.size(parted.upload.uuid, parted.upload.opening.claim)
        assert parted.upload.discard() == size
        assert size.size_in_bytes >= len(parted.content) + 5

    def test_another_type_of_blob_has_no_parts(self, parted, url):
        assert put(SignedRequest(url, {"x-ms-blob-type": "AppendBlob"}), b"") == 201
        assert parted.parts.stored_parts(parted.begun) is None
        assert parted.assemble({1: StoredPart(1000)}) is None

    # Whole items and parts -----------------------------------------------------------------

    def test_of_a_whole_item_and_its_parts_the_first_counts(self, parted):
        whole = parted.upload.urls(parted.life, pinned=True).items[parted.item.identifier]
        parted.put_all()
        assert put(replace(whole, headers=BLOCK_BLOB), b"whole") == 201
        assert parted.assemble().size_in_bytes == len(b"whole")
        parted.storage.create_only_items.delete_outdated_items(
            parted.upload.uuid, parted.upload.items
        )
        assert parted.assemble().fits(parted.item)
        assert put(replace(whole, headers=BLOCK_BLOB), b"whole") in REFUSED

    # Copies that take long, fail, or come from elsewhere ------------------------------------

    def test_a_copy_that_takes_long_is_waited_for_and_gone_on_with(self, parted, account):
        parted.put_all()
        seen = parted.stored()
        with asked_through_proxy(parted, account) as proxy:
            for _ in range(2):
                until_pending = UntilPending()
                proxy.rewritten = until_pending.rewritten
                with deadline.under(until_pending), pytest.raises(AssemblyPending) as raised:
                    parted.assemble(seen)
                assert raised.value.retry_after
                assert parted.upload.held().final == {}
                parted.storage.create_only_items.delete_outdated_items(
                    parted.upload.uuid, parted.upload.items
                )
            proxy.rewritten = bytes
            assert parted.assemble(seen).fits(parted.item)
            assert sum("x-ms-copy-source" in asked.headers for asked in proxy.requests) == 1

    def test_a_copy_that_failed_is_repeated(self, parted, account):
        parted.put_all()
        seen = parted.stored()
        with asked_through_proxy(parted, account) as proxy:
            proxy.rewritten = lambda body: body.replace(b"success", b"aborted")
            assert parted.assemble(seen) is None
            assert parted.upload.held().final == {}
            assert parted.assemble(seen) is None
            proxy.rewritten = bytes
            assert parted.assemble(seen).fits(parted.item)

    def test_a_copy_from_elsewhere_is_no_item(self, parted, account):
        parted.put_all()
        with asked_through_proxy(parted, account) as proxy:
            proxy.rewritten = lambda body: body.replace(b"<CopySource>http:", b"<CopySource>ftp::")
            assert "copied by the store" in parted.assemble().defect

    @pytest.mark.parametrize("at", range(1, 9))
    def test_what_was_interrupted_is_done_by_the_next_call(self, parted, account, at):
        parted.put_all()
        seen = parted.stored()
        with asked_through_proxy(parted, account) as proxy:
            proxy.fail(at, Fault.REFUSED)
            with suppress(StorageUnavailable):
                parted.assemble(seen)
            proxy.before = lambda request: None
            assert parted.assemble(seen).fits(parted.item)


class UntilPending(Deadline):
    """A call that has half a second for each answer once a copy is pending, as every one is."""

    def __init__(self):
        super().__init__(30)
        self._is_pending = False

    def rewritten(self, body):
        self._is_pending = self._is_pending or b"<CopyStatus>success" in body
        return body.replace(b"<CopyStatus>success", b"<CopyStatus>pending")

    def left(self):
        return 0.5 if self._is_pending else super().left()


@contextmanager
def asked_through_proxy(parted, account):
    """Ask the storage through a proxy, which the store's clients do not."""
    with StoreProxy(account) as proxy:
        parted.storage = parted.upload.storage = storage_of(account, proxy.settings())
        yield proxy


def block_named(url, name):
    return f"{url}&comp=block&blockid={quote(base64.b64encode(name))}"


def test_the_parts_of_the_largest_item_are_listed_at_once():
    names = [base64.b64encode(part_block(number).encode()).decode() for number in range(1, 50_001)]
    blocks = "".join(f"<Block><Name>{name}</Name><Size>5</Size></Block>" for name in names)
    document = f"<BlockList><UncommittedBlocks>{blocks}</UncommittedBlocks></BlockList>"
    assert part_numbers(block_sizes(document.encode())) == dict.fromkeys(range(1, 50_001), 5)
