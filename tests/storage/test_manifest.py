"""Manifest: what is read of documents that others wrote."""

import json

import dtoolcore
import pytest

from dserver_signed_url_plugin.storage.manifest import Manifest
from dserver_signed_url_plugin.storage.values import Item


def read(text):
    return Manifest.from_json(f'{{"items": {{"a": {text}}}}}').items["a"]


@pytest.mark.parametrize(
    ("size", "found"),
    [("12", 12), ("12.0", 12), ("1e3", 1000), ("12.5", None), ("Infinity", None), ('"12"', None)],
)
def test_a_size_is_a_whole_number_however_it_is_written(size, found):
    assert read(f'{{"size_in_bytes": {size}}}').size_in_bytes == found


@pytest.mark.parametrize("hash_", [7, [], {"md5": "x"}])
def test_a_hash_of_another_type_is_kept_and_matches_nothing(hash_):
    assert read(json.dumps({"hash": hash_})).hash == str(hash_)


@pytest.mark.parametrize("entry", ["{}", '{"hash": null, "size_in_bytes": null}', "[]", "7"])
def test_an_item_of_which_nothing_is_known_is_named_by_its_identifier(entry):
    item = read(entry)
    assert (item.relpath, item.size_in_bytes, item.hash) == ("a", None, None)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"items": []}', "{}", "[" * 100_000])
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises(ValueError, match="."):
        Manifest.from_json(text)


def test_half_of_a_surrogate_pair_is_replaced_and_a_whole_one_stays():
    items = Manifest.from_json(
        '{"items": {"\\ud800": {"relpath": "a\\udc00"}, "b": {"relpath": "\\ud83d\\ude00"}}}'
    ).items
    assert {name: item.relpath for name, item in items.items()} == {"\ufffd": "a\ufffd", "b": "😀"}


@pytest.mark.parametrize("relpath", ['"a.txt"', '""', '"\\ud800"', "7"])
@pytest.mark.parametrize("size", ["12", "12.0", "12.5", "1e3", "1e400", "true", "9" * 30, "null"])
@pytest.mark.parametrize("time", ["1.5", "3", "NaN", "true", "null"])
def test_what_is_read_fast_is_what_is_read_with_care(relpath, size, time):
    entry = (
        f'{{"relpath": {relpath}, "size_in_bytes": {size}, "hash": "x", "utc_timestamp": {time}}}'
    )
    document = f'{{"items": {{"a": {entry}, "b": {{"relpath": "b"}}}}, "dtoolcore_version": "3"}}'
    complete = document.replace(', "b": {"relpath": "b"}', "")
    for text in (document, complete):
        assert repr(Manifest.from_json(text)) == repr(Manifest.from_dict(json.loads(text)))


@pytest.mark.parametrize(
    "items",
    [
        [],
        [Item("b", 'a "quoted"\\name\n', 5 * 1024**4, "0" * 32, 1e-7), Item("a", "größe/\u2028😀")],
        [Item("a", "a", 1, None, 1e16), Item("b", "b", 0, "x", 1_700_000_000)],
    ],
)
def test_a_manifest_is_written_as_dtool_writes_it(items):
    manifest = Manifest.of(items, dtoolcore.__version__)
    as_dtool = json.dumps(manifest.as_dict(), indent=2, sort_keys=True)
    assert manifest.as_dtool_writes_it() == as_dtool
    assert Manifest.from_json(as_dtool) == manifest
