"""Which items are sent in parts; makes no request."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dserver_signed_url_plugin.storage.azure.parts import AzureParts
from dserver_signed_url_plugin.storage.parts import PartLimits
from dserver_signed_url_plugin.storage.s3.parts import S3Parts
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


def test_parts_of_unknown_number_grow_until_they_carry_what_a_store_keeps():
    sizes = [size // MIB for size in S3Parts.limits.growing(64 * MIB)]
    assert (len(sizes), sizes[0], sizes[624], sizes[625], sizes[-1]) == (10_000, 64, 64, 128, 1024)
    assert sum(sizes) == 85_000 * 64 >= 5 * 1024**2
    assert sizes == sorted(sizes)
    assert sum(AzureParts.limits.growing(5 * MIB)) == 425_000 * 5 * MIB


def test_no_part_of_unknown_number_is_smaller_or_larger_than_the_store_takes():
    assert {*S3Parts.limits.growing(1)} == {step * 5 * MIB for step in range(1, 17)}
    assert {*PARTS.growing(30 * MIB)} == {30 * MIB, 60 * MIB, 80 * MIB}
