from __future__ import annotations

import json
from typing import Any

import pytest
from dserver_client.errors import ClientError
from dserver_client.manifest import parse_manifest
from dtoolcore.utils import generate_identifier


def manifest(*entries: tuple[str, str]) -> bytes:
    """Return a manifest with these pairs of identifier and relpath."""
    items: dict[str, Any] = {
        identifier: {"relpath": relpath, "size_in_bytes": 1} for identifier, relpath in entries
    }
    return json.dumps({"items": items}).encode()


def test_items_keep_their_order() -> None:
    names = ["b", "a/ö", "c"]
    entries = [(generate_identifier(name), name) for name in names]
    assert [item.relpath for item in parse_manifest(manifest(*entries))] == names


def test_two_items_cannot_have_one_relpath() -> None:
    entries = (generate_identifier("a"), "a"), (generate_identifier("b"), "a")
    with pytest.raises(ClientError, match="identifier of 'a' is not"):
        parse_manifest(manifest(*entries))


@pytest.mark.parametrize("content", [b"<html>", b"[1]", b'{"items": {"a": 1}}', b"[" * 100_000])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(ClientError, match="something else"):
        parse_manifest(content)
