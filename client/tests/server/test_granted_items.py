"""The items of a grant: the same values as in the JSON, however it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dserver_client.server import granted_items
from dserver_client.server.answers import item_to_send
from dserver_client.server.granted_items import GrantedItems

NUMBER = 1_234


def answer(number: int = NUMBER) -> dict[str, Any]:
    """Return one whose items need several blocks, with characters of several bytes."""
    items = {
        f"{each:040x}": {
            "url": f"https://store.example.org/{each}?X-Amz-Signature={each:0500x}",
            "relpath": f'größe "{each}"/日本{{}}.txt',
            "headers": {"Content-MD5": f"{each}=="},
        }
        for each in range(number)
    }
    parts = {"size": 5, "count": 2}
    items["f" * 40] = {"url": None, "relpath": "large", "headers": {}, "parts": parts}
    urls = {"readme": 'https://store.example.org/"items":{', "manifest": None, "items": items}
    return {"uuid": "1", "upload_urls": urls, "upload_token": "word"}


def expected(document: dict[str, Any]) -> dict[str, Any]:
    items = document["upload_urls"]["items"].items()
    return {name: item_to_send(name, each) for name, each in items}


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"ensure_ascii": False},
        {"indent": 1, "ensure_ascii": False},
        {"separators": (",", ":"), "ensure_ascii": False},
    ],
)
def test_the_items_are_those_of_the_json(how: dict[str, Any]) -> None:
    document = answer()

    loaded = granted_items.loads(json.dumps(document, **how).encode())

    items = loaded["upload_urls"].pop("items")
    assert isinstance(items, GrantedItems)
    assert len(items) == NUMBER + 1
    assert dict(items.items()) == expected(document)
    assert list(items) == list(document["upload_urls"]["items"])
    assert "0" * 40 in items
    assert "nothing" not in items
    document["upload_urls"].pop("items")
    assert loaded == document


@pytest.mark.parametrize("number", [0, 498, 499, 500, 999])
def test_any_number_of_items_is_read(number: int) -> None:
    document = answer(number)
    if number == 0:
        document["upload_urls"]["items"] = {}
    loaded = granted_items.loads(json.dumps(document).encode())

    assert dict(loaded["upload_urls"]["items"].items()) == expected(document)


def test_items_of_a_status_are_read() -> None:
    status = {"items": {"expected": 3}, "missing": ["items"], "upload": answer(3)}

    loaded = granted_items.loads(json.dumps(status).encode())

    assert loaded["items"] == {"expected": 3}
    assert len(loaded["upload"]["upload_urls"]["items"]) == 4


def test_items_before_other_fields_of_any_type_are_read() -> None:
    document = answer(3)
    urls = document["upload_urls"]
    document["upload_urls"] = {"other": {"a": 1}, "items": urls["items"], "readme": urls["readme"]}

    loaded = granted_items.loads(json.dumps(document).encode())

    assert dict(loaded["upload_urls"]["items"]) == expected(document)


def test_what_is_no_grant_is_refused() -> None:
    whole = json.dumps(answer()).encode()
    for content in (
        b"{}",
        b"[]",
        b'{"upload_urls": {"items": {"a": {}}}}',
        b'{"upload_urls": {"items": {"a": {"url": "file:///etc/passwd", "relpath": "a"}}}}',
        b'{"upload_urls": {"items": []}}',
        whole[:-1],
        whole[: len(whole) // 2],
        whole.replace(b'"relpath"', b"relpath", 1),
        whole[: len(whole) // 2] + b"\xff" + whole[len(whole) // 2 :],
    ):
        with pytest.raises(ValueError, match="no grant"):
            granted_items.loads(content)


def test_urls_are_not_shown() -> None:
    loaded = granted_items.loads(json.dumps(answer(3)).encode())

    assert "Signature" not in repr(loaded["upload_urls"]["items"])
