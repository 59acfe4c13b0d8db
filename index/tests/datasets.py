"""Datasets as dserver registers them, and what is found of them."""

from __future__ import annotations

from typing import Any

from dserver_sql_index import SQLRetrieve, SQLSearch

LAB, ATTIC = "s3://lab", "s3://attic"


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def dataset(number: int, base_uri: str = LAB, **changes: Any) -> dict[str, Any]:
    uuid = uuid_of(number)
    return {
        "uuid": uuid,
        "uri": f"{base_uri}/{uuid}",
        "base_uri": base_uri,
        "name": f"dataset-{number}",
        "type": "dataset",
        "creator_username": "alice",
        "frozen_at": 1_700_000_000.0 + number,
        "readme": "---\ndescription: none\n",
        "manifest": {"items": {}, "hash_function": "md5sum_hexdigest"},
        "annotations": {},
        "tags": [],
        **changes,
    }


def register(*datasets: dict[str, Any]) -> None:
    """Do what dserver does before it commits."""
    for info in datasets:
        SQLSearch().register_dataset(info)
        SQLRetrieve().register_dataset(info)


def found(**query: Any) -> list[str]:
    """The names of what a search finds."""
    return [answer["name"] for answer in SQLSearch().search({"base_uris": [LAB, ATTIC], **query})]
