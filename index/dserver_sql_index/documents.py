"""Rows of the tables for what dserver passes to its plugins when it registers a dataset."""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import islice
from math import inf
from typing import Any

from dservercore import ValidationError
from dservercore.sql_models import Dataset
from sqlalchemy import BigInteger, Integer, String

from dserver_sql_index.tables import datasets
from dserver_sql_index.words import is_storable, parts_of

DatasetInfo = Mapping[str, Any]
Row = dict[str, Any]

# What a search returns; dserver sorts by some of these.
RESULT_COLUMNS = (
    "uri",
    "base_uri",
    "uuid",
    "name",
    "creator_username",
    "created_at",
    "frozen_at",
    "number_of_items",
    "size_in_bytes",
)
_LIMITS = {Integer: 2**31, BigInteger: 2**63}
_DESCRIPTIONS = ("readme", "manifest", "annotations", "tags")
# How many parts of 200,000 characters are searched in a field. All words of a README of a few
# MB may need a GB of memory.
_MAX_PARTS = {"admin": 5, "readme": 5, "tags": 5, "annotations": 5, "items": 100}
# The last one for annotations that are nested too deeply.
_INVALID = AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError


@contextmanager
def validated() -> Iterator[None]:
    """Turn what an invalid value raises into ValidationError. Nothing may be written meanwhile."""
    try:
        yield
    except _INVALID as reason:
        raise ValidationError(f"The dataset cannot be indexed: {reason!r}.") from reason


def dataset_row(info: DatasetInfo) -> Row:
    """Return the row of a dataset, without its id, which a database can store."""
    row = _row(info)
    _check(row)
    return row


def to_json(value: Any) -> str:
    """Return a value as JSON in ASCII; what JSON does not know, such as a date, becomes a text."""
    return json.dumps(value, default=str)


def tag_digests(tags: Iterable[str]) -> set[str]:
    """Return the digest of each tag."""
    return {hashlib.sha256(to_json(tag).encode()).hexdigest() for tag in tags}


def text_rows(texts: Mapping[str, Iterable[Any]]) -> list[Row]:
    """Return the rows for the texts of some fields, by field, without the dataset's id."""
    return [
        {"field": field, "part": number, "content": content}
        for field, lines in texts.items()
        for number, content in enumerate(islice(parts_of(map(str, lines)), _MAX_PARTS[field]))
    ]


def searched_texts(info: DatasetInfo) -> dict[str, Iterable[Any]]:
    """Return what free text is searched in, by field."""
    return {
        "admin": [info["name"], info["creator_username"], info["uri"]],
        "readme": readme_texts(info.get("readme", "")),
        "tags": info.get("tags", ()),
        "annotations": annotation_texts(info.get("annotations", {})),
        "items": _item_texts(_items(info)),
    }


def readme_texts(readme: str) -> list[str]:
    """Return what is searched in a README."""
    if not isinstance(readme, str):
        raise TypeError("the README is no text")
    return [readme]


def annotation_texts(annotations: Mapping[str, Any]) -> list[str]:
    """Return what is searched in annotations: their names and values."""
    return [f"{name} {value}" for name, value in annotations.items()]


def _item_texts(items: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for item in items.values():
        yield str(item.get("relpath", ""))
        # So that the datasets with a given file can be found.
        yield str(item.get("hash", ""))


def _row(info: DatasetInfo) -> Row:
    items = _items(info)
    size = info.get("size_in_bytes")
    number = info.get("number_of_items")
    described = {*RESULT_COLUMNS, *_DESCRIPTIONS}
    return {
        "uri": info["uri"],
        "base_uri": info["base_uri"],
        "uuid": str(info["uuid"]),
        "name": info["name"],
        "creator_username": info["creator_username"],
        "created_at": _naive_utc(info.get("created_at", info["frozen_at"])),
        "frozen_at": _naive_utc(info["frozen_at"]),
        "number_of_items": len(items) if number is None else number,
        "size_in_bytes": sum(i["size_in_bytes"] for i in items.values()) if size is None else size,
        "other_json": to_json({k: v for k, v in info.items() if k not in described}),
        "tags_json": to_json(list(info.get("tags", ()))),
        "annotations_json": to_json(dict(info.get("annotations", {}))),
        "readme_json": to_json(info.get("readme", "")),
        "manifest_json": to_json(dict(info.get("manifest", {}))),
    }


def _items(info: DatasetInfo) -> Mapping[str, Mapping[str, Any]]:
    items: Mapping[str, Mapping[str, Any]] = info.get("manifest", {}).get("items", {})
    return items


def _check(row: Row) -> None:
    """Raise ValueError if a database would refuse a value, or the base URI is another's.

    dserver checks who may register datasets in the base URI, and compares it with no URI.
    """
    if not _is_below(row["uri"], row["base_uri"]):
        raise ValueError("the URI does not begin with the base URI")
    for name, value in row.items():
        column = datasets.columns[name].type
        if isinstance(column, String) and not (is_storable(value) and len(value) <= _longest(name)):
            raise ValueError(f"{name} is too long, or has a character that cannot be stored")
        if isinstance(column, Integer) and not 0 <= operator.index(value) < _LIMITS[type(column)]:
            raise ValueError(f"{name} is out of range")


def _is_below(uri: str, base_uri: str) -> bool:
    prefix = f"{base_uri.rstrip('/')}/"
    if prefix.startswith("file:///"):
        # dtool puts its host's name into the URI of each dataset.
        uri = re.sub("^file://[^/]*/", "file:///", uri)
    return uri.startswith(prefix)


def _longest(name: str) -> float:
    """Return how long a text may be, here and in dserver's own table, which is written later."""
    columns = (table.c[name] for table in (datasets, Dataset.__table__) if name in table.c)
    return min(getattr(column.type, "length", None) or inf for column in columns)


def _naive_utc(value: Any) -> datetime:
    """Return a datetime or a Unix timestamp as a naive datetime in UTC, as dserver stores them."""
    moment = value if isinstance(value, datetime) else _from_timestamp(float(value))
    return moment if moment.tzinfo is None else moment.astimezone(timezone.utc).replace(tzinfo=None)


def _from_timestamp(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
