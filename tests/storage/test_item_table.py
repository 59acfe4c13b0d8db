"""The compact items of a manifest: the same as in the manifest, in a fraction of its memory."""

import json
from hashlib import md5

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.storage.item_table import ItemTable
from dserver_signed_url_plugin.storage.manifest import Manifest, stored_items
from dserver_signed_url_plugin.storage.values import Item

UUID = "550e8400-e29b-41d4-a716-446655440000"
RELPATHS = ["a.txt", "ä/ö.txt", 'a "b"\n.txt', "日本語/😀", "x" * 500]


def entry(relpath, size=1):
    return {
        "relpath": relpath,
        "size_in_bytes": size,
        "hash": md5(relpath.encode()).hexdigest(),
        "utc_timestamp": 1.5,
    }


def manifest(entries):
    document = {"items": entries, "hash_function": "md5sum_hexdigest", "dtoolcore_version": "3"}
    return json.dumps(document, indent=2).encode()


def written(relpaths):
    return manifest({generate_identifier(relpath): entry(relpath) for relpath in relpaths})


@pytest.mark.parametrize("number", [0, 1, 5, 999, 1000, 1001, 2500])
def test_a_table_has_the_items_of_the_manifest(number):
    content = written([*RELPATHS, *map(str, range(number))][:number])
    table, items = ItemTable.from_json(content), Manifest.from_json(content).items
    expected = {
        name: Item(name, item.relpath, item.size_in_bytes, item.hash)
        for name, item in items.items()
    }
    assert dict(table.items()) == {name: table[name] for name in table} == expected
    assert list(table.values()) == [table[name] for name in table]
    assert len(table) == number
    assert list(table) == sorted(expected)


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (3, 5), (4, 9), (5, 9), (0, 0)])
def test_some_items_are_those_with_these_numbers(start, stop):
    table = ItemTable.from_json(written(RELPATHS))
    assert list(table.some(start, stop).items()) == list(table.items())[start:stop]


@pytest.mark.parametrize("relpaths", [[], RELPATHS[:1], RELPATHS[1:4], [*RELPATHS, "gone"]])
def test_a_part_of_a_table_is_a_table_of_the_items_that_are_there(relpaths):
    table = ItemTable.from_json(written(RELPATHS))
    names = sorted(map(generate_identifier, relpaths))
    part = table.among(b"".join(map(bytes.fromhex, names)))
    assert list(part.items()) == [(name, table[name]) for name in names if name in table]
    assert part.size_in_memory <= table.size_in_memory


@pytest.mark.parametrize("name", ["", "a", "A" * 40, "0" * 40, "f" * 40, "z" * 40, " " * 40])
def test_what_is_no_item_is_not_found(name):
    table = ItemTable.from_json(written(["a.txt", "b.txt"]))
    assert name not in table
    assert next(iter(table)).upper() not in table


SHA1 = generate_identifier("a.txt")
ODD = {
    "identifier of its own": {"a": entry("a.txt")},
    "identifier in capitals": {SHA1.upper(): entry("a.txt")},
    "no relpath": {SHA1: {**entry("a"), "relpath": None}},
    "empty relpath": {SHA1: entry("")},
    "negative size": {SHA1: entry("a", -1)},
    "size above 63 bits": {SHA1: entry("a", 2**63)},
    "size in words": {SHA1: entry("a", "one")},
    "other hash": {SHA1: {**entry("a"), "hash": "sha256:abc"}},
    "hash in capitals": {SHA1: {**entry("a"), "hash": "A" * 32}},
    "no hash": {SHA1: {**entry("a"), "hash": None}},
    "no item at all": {SHA1: 7},
}


@pytest.mark.parametrize("entries", ODD.values(), ids=ODD)
def test_an_odd_manifest_is_read_as_ever(entries):
    content = manifest(entries)
    assert stored_items(content, UUID) == Manifest.from_json(content).items


def test_a_table_takes_a_fraction_of_its_manifest():
    content = written(f"data/{number:05}.raw" for number in range(3000))
    table = ItemTable.from_json(content)
    assert table.size_in_memory < len(content) / 2
    assert next(iter(table.items()))[1].relpath.startswith("data/")


class WithoutLookups(ItemTable):
    def __getitem__(self, identifier):
        raise AssertionError("a lookup takes ten times as long")


def test_reading_all_items_looks_none_up_by_its_identifier():
    table = WithoutLookups.from_json(written(RELPATHS))
    assert len(list(table.values())) == len(list(table.items())) == len(RELPATHS)
