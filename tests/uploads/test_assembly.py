"""Which listed object is an item that was assembled from its parts; makes no request."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from dserver_signed_url_plugin.storage.parts import Division, PartUpload, StoredPart
from dserver_signed_url_plugin.storage.values import Item, StoredItem
from dserver_signed_url_plugin.uploads.assembly import ListedParts, accepted
from dserver_signed_url_plugin.uploads.models import ItemInParts

MD5, OTHER = "a" * 32, "b" * 32
ITEM = Item("0" * 40, "large.tif", 7, MD5)


@pytest.mark.parametrize(
    ("noted", "size", "listed", "is_accepted"),
    [
        ("c" * 32 + "-2", 7, "c" * 32 + "-2", True),
        ("c" * 32 + "-2", 7, "d" * 32 + "-2", False),
        ("c" * 32 + "-2", 8, "c" * 32 + "-2", False),
        ("c" * 32 + "-2", 7, OTHER, False),
        # Not begun.
        (None, 7, "c" * 32 + "-2", False),
        # A store that does not tell the MD5s of parts: of one PUT or assembled, by its ETag.
        ("", 7, "c" * 32 + "-2", True),
        ("", 8, "c" * 32 + "-2", False),
        ("", 7, OTHER, False),
        # A store that keeps the MD5 that it is given.
        (MD5, 7, MD5, True),
    ],
)
def test_an_object_is_the_assembled_item_if_it_is_what_was_noted(noted, size, listed, is_accepted):
    kept = ItemInParts(identifier=ITEM.identifier, upload_id="1", assembled_md5=noted)
    stored = StoredItem(size, listed, datetime.now(timezone.utc))
    found = accepted(kept, ITEM, stored)
    assert (found is not None) == is_accepted
    assert found is None or found.fits(ITEM)
    assert accepted(kept, ITEM, None) is None


def test_of_ten_thousand_parts_the_missing_and_the_short_ones_are_named():
    division = Division(9_999 * 5 + 1, 5)
    stored = {number: StoredPart(5) for number in range(1, 10_001) if number != 17}
    stored[10_000], stored[3] = StoredPart(1), StoredPart(4)
    parts = ListedParts(ITEM, division, PartUpload("", "", ""), stored)
    assert (parts.missing, parts.number_stored) == ([3, 17], 9_998)
    stored |= {3: StoredPart(5), 17: StoredPart(5), 10_001: StoredPart(5)}
    assert (parts.missing, list(parts.wanted)) == ([], list(range(1, 10_001)))
