"""What every storage must do that keeps unpinned items elsewhere until they are verified."""

from __future__ import annotations

from collections.abc import Mapping

from dserver_signed_url_plugin.storage.values import Contents, Life, StoredItem
from tests.support.storage_contract import StorageContract
from tests.support.stored_upload import Upload, put


class StagingContract(StorageContract):
    """The contract, and what promotion adds to it."""

    def in_place(self, held: Contents, pinned: bool) -> Mapping[str, StoredItem]:
        return held.final if pinned else held.staged

    def put_in_every_way(self, upload: Upload, life: Life) -> None:
        upload.put_all(life, pinned=True)
        upload.put_all(life, pinned=False)

    def test_promoting_what_was_rewritten_since_is_noticed(self, upload, soon):
        upload.put_all(soon, pinned=False)
        verified = upload.promotions()
        identifier = verified[0].item.identifier
        assert put(upload.urls(soon, pinned=False).items[identifier], b"FIRST") in {200, 201}
        found = upload.promote(verified)
        assert identifier not in found or found[identifier].md5 != verified[0].stored.md5
        for promotion in verified[1:]:
            assert found[promotion.item.identifier].md5 == promotion.stored.md5

    def test_promoting_what_has_vanished_is_noticed(self, upload, storage, soon):
        upload.put_all(soon, pinned=False)
        verified = upload.promotions()
        storage.uploads.delete_temporary(upload.uuid)
        assert upload.promote(verified) == {}
