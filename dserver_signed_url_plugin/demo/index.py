"""A search and a retrieve plugin for dserver that share one table of its SQL database.

Free text is searched with LIKE, in a way that works on every database. The plugins do not commit:
dserver does, when it has called all plugins.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dservercore import RetrieveABC, SearchABC, UnknownURIError, ValidationError, sql_db
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

if TYPE_CHECKING:
    from dservercore.sort import SortParameters
    from flask import Flask
    from flask_smorest.pagination import PaginationParameters

DatasetInfo = Mapping[str, Any]

demo_document = Table(
    "demo_document",
    sql_db.metadata,
    Column("id", Integer, primary_key=True),
    Column("uri", String(1024), nullable=False, unique=True),
    Column("base_uri", String(1024), nullable=False, index=True),
    Column("uuid", String(36), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("creator_username", Text, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("frozen_at", DateTime, nullable=False),
    Column("number_of_items", Integer, nullable=False),
    Column("size_in_bytes", BigInteger, nullable=False),
    Column("tags", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("document", Text, nullable=False),
)
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
# Databases limit the depth of an expression and the length of a LIKE pattern.
MAX_WORDS = 100
MAX_WORD_LENGTH = 1000
columns = demo_document.c


class _Plugin:
    """The methods that dserver expects of every plugin: there is nothing to configure."""

    def init_app(self, app: Flask, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the table is in dserver's own database."""

    def get_config(self) -> dict[str, Any]:
        return {}

    def get_config_secrets_to_obfuscate(self) -> list[str]:
        return []


class SQLSearch(_Plugin, SearchABC):
    """Search plugin: writes datasets to the table and searches them."""

    def register_dataset(self, dataset_info: DatasetInfo) -> None:
        """Insert or replace the document of a dataset.

        :raises ValidationError: if a field is missing or invalid.
        """
        try:
            row = _row(dataset_info)
        except (KeyError, TypeError, ValueError, OverflowError) as reason:
            raise ValidationError(f"The dataset cannot be indexed: {reason!r}.") from reason
        if _replace(row):
            return
        try:
            with sql_db.session.begin_nested():
                sql_db.session.execute(insert(demo_document).values(row))
        except IntegrityError:
            # Inserted by another request since the update.
            _replace(row)

    def delete_dataset(self, dataset_uri: str) -> None:
        """Delete a dataset, if it is in the table."""
        sql_db.session.execute(delete(demo_document).where(columns.uri == dataset_uri))

    def search(
        self,
        query: Mapping[str, Any],
        pagination_parameters: PaginationParameters | None = None,
        sort_parameters: SortParameters | None = None,
    ) -> list[dict[str, Any]]:
        """Return the datasets that match every condition of the query."""
        conditions = list(_conditions(query))
        statement = select(*(columns[name] for name in (*RESULT_COLUMNS, "tags")))
        statement = statement.where(*conditions).order_by(*_order_by(sort_parameters))
        if pagination_parameters is not None:
            count = select(func.count()).select_from(demo_document).where(*conditions)
            pagination_parameters.item_count = sql_db.session.execute(count).scalar_one()
            size = pagination_parameters.page_size
            statement = statement.limit(size).offset((pagination_parameters.page - 1) * size)
        return [_result(row) for row in sql_db.session.execute(statement)]


class SQLRetrieve(_Plugin, RetrieveABC):
    """Retrieve plugin: reads the documents that SQLSearch has written."""

    def register_dataset(self, dataset_info: DatasetInfo) -> None:
        """Do nothing: SQLSearch has inserted the document."""

    def delete_dataset(self, dataset_uri: str) -> None:
        """Do nothing: SQLSearch has deleted the document."""

    def get_readme(self, uri: str) -> str:
        return str(_document(uri)["readme"])

    def get_manifest(self, uri: str) -> dict[str, Any]:
        return dict(_document(uri)["manifest"])

    def get_annotations(self, uri: str) -> dict[str, Any]:
        return dict(_document(uri)["annotations"])

    def get_tags(self, uri: str) -> list[str]:
        return list(_document(uri)["tags"])


def _document(uri: str) -> dict[str, Any]:
    statement = select(columns.document).where(columns.uri == uri)
    text = sql_db.session.execute(statement).scalar_one_or_none()
    if text is None:
        raise UnknownURIError(f"URI {uri} not registered")
    return {"readme": "", "manifest": {}, "annotations": {}, "tags": [], **json.loads(text)}


def _replace(row: Mapping[str, Any]) -> bool:
    statement = update(demo_document).where(columns.uri == row["uri"]).values(row)
    return bool(sql_db.session.execute(statement).rowcount)


def _row(info: DatasetInfo) -> dict[str, Any]:
    items = info.get("manifest", {}).get("items", {})
    size = info.get("size_in_bytes")
    number = info.get("number_of_items")
    return {
        "uri": info["uri"],
        "base_uri": info["base_uri"],
        "uuid": str(info["uuid"]),
        "name": info["name"],
        "creator_username": info["creator_username"],
        "created_at": _naive_utc(info.get("created_at") or info["frozen_at"]),
        "frozen_at": _naive_utc(info["frozen_at"]),
        "number_of_items": len(items) if number is None else number,
        "size_in_bytes": sum(i["size_in_bytes"] for i in items.values()) if size is None else size,
        "tags": _encode_tags(info.get("tags", ())),
        "words": _search_text(info, items),
        "document": json.dumps(dict(info), default=str),
    }


def _naive_utc(value: Any) -> datetime:
    """Return a datetime or a Unix timestamp as a naive datetime in UTC, as dserver stores them."""
    moment = value if isinstance(value, datetime) else _from_timestamp(float(value))
    return moment if moment.tzinfo is None else moment.astimezone(timezone.utc).replace(tzinfo=None)


def _from_timestamp(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _encode_tags(tags: Iterable[str]) -> str:
    # In hexadecimal, because some databases ignore case in LIKE, and % and _ are wildcards.
    return " ".join(["", *(tag.encode("utf-8", "surrogatepass").hex() for tag in tags), ""])


def _decode_tags(text: str) -> list[str]:
    return [bytes.fromhex(word).decode("utf-8", "surrogatepass") for word in text.split()]


def _search_text(info: DatasetInfo, items: Mapping[str, Mapping[str, Any]]) -> str:
    texts = [info["name"], info["creator_username"], info["uri"], info.get("readme", "")]
    texts += info.get("tags", ())
    texts += (f"{name} {value}" for name, value in info.get("annotations", {}).items())
    texts += (item["relpath"] for item in items.values())
    return _normalise("\n".join(map(str, texts)))


def _normalise(text: str) -> str:
    """Return a text that every database can store, and that compares without regard to case."""
    return text.casefold().replace("\0", " ").encode("utf-8", "replace").decode()


def _conditions(query: Mapping[str, Any]) -> Iterable[ColumnElement[bool]]:
    if "base_uris" in query:
        # dserver passes only base URIs that the user may search: an empty list finds nothing.
        yield columns.base_uri.in_(query["base_uris"])
    if query.get("uuids"):
        yield columns.uuid.in_([str(uuid) for uuid in query["uuids"]])
    if query.get("creator_usernames"):
        yield columns.creator_username.in_(query["creator_usernames"])
    for tag in query.get("tags", ()):
        yield columns.tags.contains(_encode_tags([tag]), autoescape=True)
    for word in _normalise(query.get("free_text", "")).split()[:MAX_WORDS]:
        yield columns.words.contains(word[:MAX_WORD_LENGTH], autoescape=True)


def _order_by(sort_parameters: SortParameters | None) -> list[ColumnElement[Any]]:
    directions = {} if sort_parameters is None else sort_parameters.order
    order = [
        columns[name].desc() if direction < 0 else columns[name].asc()
        for name, direction in directions.items()
        if name in RESULT_COLUMNS
    ]
    # Sorted by URI last, as pages need an order without ties.
    return [*order, columns.uri.asc()]


def _result(row: Row[Any]) -> dict[str, Any]:
    values = dict(row._mapping)
    return {**values, "tags": _decode_tags(values["tags"])}
