"""What a share includes, and how its token may be written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.datasets import RegisteredDataset
from dserver_signed_url_plugin.downloads.grants import ItemsGrant
from dserver_signed_url_plugin.permissions import ReadPermit
from dserver_signed_url_plugin.shares.facts import ShareFacts
from dserver_signed_url_plugin.shares.visits import OpenShare, Visits, normalized_token
from dserver_signed_url_plugin.storage.item_table import ItemTable
from dserver_signed_url_plugin.storage.values import Item, Life, SignedItems
from dserver_signed_url_plugin.uris import DatasetURI

URI = DatasetURI.parse("s3://lab/550e8400-e29b-41d4-a716-446655440000")
NAMES = [generate_identifier(str(number)) for number in range(50)]
ITEMS = {name: Item(name, str(number)) for number, name in enumerate(NAMES)}
NOW = datetime.now(timezone.utc)
REGISTERED = RegisteredDataset(1, str(URI), URI.uuid, "a", None, None, NOW, NOW)
TOKEN = "k3q7fzn2x5mvw4ah6tyb2cjd7ersgpou"


def opened(names: list[str] | None, **more: object) -> OpenShare:
    now = datetime.now(timezone.utc)
    facts = {
        "id": "5d2b8f6c01e94a37",
        "uri": URI,
        "owner": "bob",
        "name": "a",
        "note": None,
        "created_at": now,
        "ends_at": now + timedelta(seconds=100),
        "ended_at": None,
        "ended_because": None,
        "max_downloads": None,
        "downloads": 0,
        "number_of_items": 1,
        "size_in_bytes": None,
        "is_available": True,
    }
    digests = None if names is None else b"".join(map(bytes.fromhex, sorted(names)))
    return OpenShare(ShareFacts(**{**facts, **more}), ReadPermit("bob", URI.base), digests)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 17, 49])
def test_a_share_includes_exactly_the_items_that_were_chosen(number):
    chosen = NAMES[50 - number :][::-1]
    share = opened(chosen)
    assert {name for name in NAMES if share.includes(name)} == set(chosen)
    assert share.chosen(ITEMS) == {name: ITEMS[name] for name in chosen}


def test_an_item_that_the_dataset_no_longer_has_is_left_out():
    gone = generate_identifier("gone")
    assert opened([gone, NAMES[0]]).chosen(ITEMS).keys() == {NAMES[0]}


def test_a_share_of_a_whole_dataset_includes_every_item_and_nothing_that_cannot_be_one():
    share = opened(None)
    assert all(map(share.includes, NAMES))
    assert share.chosen(ITEMS) is ITEMS
    for odd in (
        "",
        "0" * 39,
        "0" * 41,
        NAMES[0].upper() + "A",
        f"{NAMES[0]}\n",
        "g" * 40,
        "\u0660" * 40,
    ):
        assert not share.includes(odd)
        assert not opened(NAMES).includes(odd)


def test_what_is_left_is_never_negative():
    assert opened(None).downloads_left is None
    assert opened(None, max_downloads=3, downloads=1).downloads_left == 2
    assert opened(None, max_downloads=3, downloads=9).downloads_left == 0
    assert 90 < opened(None).seconds_left <= 100
    assert opened(None, ends_at=datetime.now(timezone.utc) - timedelta(days=1)).seconds_left == 0


def test_the_identifiers_are_not_shown_where_a_share_is_printed():
    assert hashlib.sha1(b"0").digest() not in repr(opened([NAMES[0]])).encode()


@pytest.mark.parametrize("after", ["", ".", ",", ").", "!?", "…", ' "', "\r\n", "'>"])
def test_a_token_is_read_without_what_was_pasted_with_it(after):
    assert normalized_token(f" {TOKEN.upper()}{after}") == TOKEN


@pytest.mark.parametrize("inside", [".", "-", "\0", " "])
def test_what_is_in_the_middle_of_a_token_stays(inside):
    assert normalized_token(f"{TOKEN}{inside}x") == f"{TOKEN}{inside}x"


class Read:
    """Items of one dataset in place of all downloads."""

    def __init__(self, items: Mapping[str, Item]) -> None:
        self.entries = items

    def items(self, permit: ReadPermit, *_: object) -> ItemsGrant:
        items = SignedItems(self.entries, lambda item: item.relpath)
        return ItemsGrant(URI, Life.from_now(60, 60), items, REGISTERED)


def manifest() -> ItemTable:
    facts = {"size_in_bytes": 1, "hash": "0" * 32}
    entries = {name: {"relpath": item.relpath, **facts} for name, item in ITEMS.items()}
    return ItemTable.from_json(json.dumps({"items": entries}).encode())


def test_some_items_are_looked_up_once_for_a_manifest_and_a_share():
    downloads = Read(manifest())
    visits = Visits(Settings(), downloads)
    some, others = opened(NAMES[:10]), opened(NAMES[5:8], id="a" * 16)
    found = visits.items(some)
    assert found.keys() == set(NAMES[:10])
    assert visits.items(others).keys() == set(NAMES[5:8])
    # By the first visit, and then for as long as the manifest is the same.
    assert visits.items(some) is found
    downloads.entries = manifest()
    assert visits.items(some) is not found
    assert visits.items(some).keys() == set(NAMES[:10])
    downloads.entries = ITEMS
    assert visits.items(some) == {name: ITEMS[name] for name in NAMES[:10]}
