"""The cache of datasets: never more bytes than it may have, and the oldest go first."""

import tracemalloc
from datetime import datetime, timezone

from dserver_signed_url_plugin.datasets import RegisteredDataset
from dserver_signed_url_plugin.storage.dataset_cache import BoundedCache, KnownDataset
from dserver_signed_url_plugin.storage.values import Item

ITEMS = {"a": Item("a", "a.txt"), "b": Item("b", "b.txt")}


def test_the_least_recently_used_goes_first():
    cache = BoundedCache(3_500)
    for key in "abc":
        cache.put(key, key.upper(), 500)
    assert cache.get("a") == "A"
    cache.put("d", "D", 500)
    assert [cache.get(key) for key in "abcd"] == ["A", None, "C", "D"]


def test_what_is_kept_again_counts_once():
    cache = BoundedCache(2_500)
    for number in range(100):
        cache.put("a", number, 500)
        cache.put("b", number, 500)
    assert (cache.get("a"), cache.get("b")) == (99, 99)


def test_what_is_too_large_is_not_kept_and_drives_nothing_out():
    cache = BoundedCache(2_000)
    cache.put("a", "A", 500)
    cache.put("b", "B", 5_000)
    cache.put("a", "larger", 5_000)
    assert (cache.get("a"), cache.get("b")) == (None, None)


def test_a_cache_of_no_bytes_keeps_nothing():
    known = KnownDataset(BoundedCache(0), "dataset")
    known.keep(ITEMS, "etag")
    known.keep_relpath("a", "a.txt")
    assert (known.manifest, known.relpath("a")) == (None, None)


def test_an_item_is_known_from_the_manifest_or_by_itself():
    cache = BoundedCache(10_000)
    known, other = KnownDataset(cache, "dataset"), KnownDataset(cache, "registered anew")
    known.keep(ITEMS, "etag")
    known.keep_relpath("c", "c.txt")
    assert [known.relpath(name) for name in "abcd"] == ["a.txt", "b.txt", "c.txt", None]
    assert [other.relpath(name) for name in "abcd"] == [None] * 4
    assert other.manifest is None


def registered(number: int) -> RegisteredDataset:
    """Return a dataset that shares nothing with others, as if it was read from the database."""
    uuid, now = f"550e8400-e29b-41d4-a716-{number:012}", datetime.now(timezone.utc)
    size = 10**9 + number
    return RegisteredDataset(size, f"s3://lab/{uuid}", uuid, f"name-{number}", size, size, now, now)


def test_the_items_of_many_datasets_take_no_more_memory_than_was_allowed():
    allowed = 2**20
    cache = BoundedCache(allowed)
    tracemalloc.start()
    try:
        for number in range(3_000):
            known = KnownDataset(cache, registered(number))
            known.keep_relpath(f"{number:040x}", f"images/{number}.tif")
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert allowed / 2 < taken < allowed
