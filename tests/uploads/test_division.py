"""Which items are sent in parts; makes no request."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dserver_signed_url_plugin.storage.parts import PartLimits
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.uploads.division import divisions
from dserver_signed_url_plugin.uploads.models import PendingUpload

MIB = 1024**2
PARTS = PartLimits(
    max_item_bytes=1000 * MIB, min_part_bytes=1, max_part_bytes=80 * MIB, max_parts=1000
)


@pytest.mark.parametrize(
    ("mib", "part_mib", "count"),
    [(50, 50, None), (51, 50, 2), (100, 200, None), (101, 200, 2), (1001, 50, None)],
)
def test_an_item_is_divided_if_it_is_larger_than_a_part_or_than_one_put_can_carry(
    mib, part_mib, count
):
    limits = SimpleNamespace(max_item_bytes=100 * MIB)
    storage = SimpleNamespace(
        parts=SimpleNamespace(limits=PARTS), uploads=SimpleNamespace(limits=limits)
    )
    item = Item("0" * 40, "large.tif", mib * MIB, "a" * 32)
    found = divisions(PendingUpload(part_bytes=part_mib * MIB), [item], storage)
    assert {one.count for one in found.values()} == ({count} if count else set())
