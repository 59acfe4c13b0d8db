"""How many requests each step asks of Azure."""

from __future__ import annotations

from dataclasses import replace

from tests.support.azure_accounts import storage_of
from tests.support.proxy import StoreProxy
from tests.support.stored_upload import Upload, uninterrupted

FEW, MANY = 3, 40
COSTS = {
    "open": 10,
    "urls": 0,
    "room": 1,
    "holdings": 1,
    "document": 2,
    "no document": 1,
    "freeze": 7,
    "freeze with two items to correct": 9,
    "delete_temporary": 2,
    "read": 4,
    "item": 1,
    "kind": 1,
}


def test_requests_do_not_grow_with_the_dataset(account):
    with StoreProxy(account) as proxy:
        storage = storage_of(account, proxy.settings())
        for number in (FEW, MANY):
            assert costs(storage, proxy, number) == COSTS


def costs(storage, proxy, number):
    upload = Upload(storage, {f"{index}.txt": b"%d" % index for index in range(number)})
    opening = replace(upload.opening, tags=(), annotations={}, overlays={})
    life = storage.reads.life(600)
    cost = {}

    def count(name, act):
        proxy.forget()
        result = act()
        cost[name] = len(proxy.requests)
        return result

    def staged(name):
        return storage.uploads.staged_document(upload.uuid, upload.staging, name, 10)

    count("open", lambda: storage.uploads.create(opening, uninterrupted))
    urls = count("urls", lambda: upload.urls(life, pinned=True))
    upload.put_all(life, pinned=True)
    upload.put_document(urls, "readme", b"text")
    count(
        "room", lambda: storage.create_only_items.delete_outdated_items(upload.uuid, upload.items)
    )
    count("holdings", upload.held)
    count("document", lambda: staged("readme"))
    count("no document", lambda: staged("manifest"))
    count("freeze", upload.freeze)
    for item in upload.items[:2]:
        storage.uploads._azure.set_metadata(upload.uuid, item.identifier, {"type": "item"})
    count("freeze with two items to correct", upload.freeze)
    count("delete_temporary", lambda: storage.uploads.delete_temporary(upload.uuid))
    count("read", lambda: storage.reads.read_urls(upload.uuid, life))
    count("item", lambda: storage.reads.item_url(upload.uuid, upload.items[0].identifier, life))
    count("kind", lambda: storage.uploads.dataset_type(upload.uuid))
    return cost
