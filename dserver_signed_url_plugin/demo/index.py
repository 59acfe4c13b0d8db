"""dserver's search and retrieve plugins, kept in dserver's own SQL database.

One table serves both; the words of a dataset are searched with LIKE. Nothing here is specific
to a database. Never commits: dserver's own registration, of which this is a part, does.
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
ANSWERED = (
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
# Databases bound the depth of an expression and the length of a LIKE pattern.
MOST_WORDS = 100
LONGEST_WORD = 1000
columns = demo_document.c


class _Plugin:
    """What dserver asks of either plugin beside its proper task: nothing."""

    def init_app(self, app: Flask, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the table lives in dserver's database, which dserver opens."""

    def get_config(self) -> dict[str, Any]:
        return {}

    def get_config_secrets_to_obfuscate(self) -> list[str]:
        return []


class SQLSearch(_Plugin, SearchABC):
    """Writes the table, and finds datasets in it."""

    def register_dataset(self, dataset_info: DatasetInfo) -> None:
        """Write or replace the document of a dataset."""
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
            # Registered by somebody else between the two statements.
            _replace(row)

    def delete_dataset(self, dataset_uri: str) -> None:
        """Forget a dataset, known or not."""
        sql_db.session.execute(delete(demo_document).where(columns.uri == dataset_uri))

    def search(
        self,
        query: Mapping[str, Any],
        pagination_parameters: PaginationParameters | None = None,
        sort_parameters: SortParameters | None = None,
    ) -> list[dict[str, Any]]:
        """Return the datasets that fit every part of the query."""
        conditions = list(_conditions(query))
        wanted = select(*(columns[name] for name in (*ANSWERED, "tags"))).where(*conditions)
        wanted = wanted.order_by(*_order(sort_parameters))
        if pagination_parameters is not None:
            count = select(func.count()).select_from(demo_document).where(*conditions)
            pagination_parameters.item_count = sql_db.session.execute(count).scalar_one()
            size = pagination_parameters.page_size
            wanted = wanted.limit(size).offset((pagination_parameters.page - 1) * size)
        return [_answer(row) for row in sql_db.session.execute(wanted)]


class SQLRetrieve(_Plugin, RetrieveABC):
    """Reads what SQLSearch wrote: dserver gives both the same datasets."""

    def register_dataset(self, dataset_info: DatasetInfo) -> None:
        """Do nothing: SQLSearch has written the document."""

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
    wanted = select(columns.document).where(columns.uri == uri)
    text = sql_db.session.execute(wanted).scalar_one_or_none()
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
        "created_at": _moment(info.get("created_at") or info["frozen_at"]),
        "frozen_at": _moment(info["frozen_at"]),
        "number_of_items": len(items) if number is None else number,
        "size_in_bytes": sum(i["size_in_bytes"] for i in items.values()) if size is None else size,
        "tags": _encoded(info.get("tags", ())),
        "words": _words(info, items),
        "document": json.dumps(dict(info), default=str),
    }


def _moment(value: Any) -> datetime:
    """Return naive UTC, as dserver keeps its own, from a datetime or a timestamp."""
    moment = value if isinstance(value, datetime) else _from_timestamp(float(value))
    return moment if moment.tzinfo is None else moment.astimezone(timezone.utc).replace(tzinfo=None)


def _from_timestamp(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _encoded(tags: Iterable[str]) -> str:
    # LIKE ignores case on some databases, and gives % and _ a meaning: none of it touches hex.
    return " ".join(["", *(tag.encode("utf-8", "surrogatepass").hex() for tag in tags), ""])


def _decoded(text: str) -> list[str]:
    return [bytes.fromhex(word).decode("utf-8", "surrogatepass") for word in text.split()]


def _words(info: DatasetInfo, items: Mapping[str, Mapping[str, Any]]) -> str:
    said = [info["name"], info["creator_username"], info["uri"], info.get("readme", "")]
    said += info.get("tags", ())
    said += (f"{name} {value}" for name, value in info.get("annotations", {}).items())
    said += (item["relpath"] for item in items.values())
    return _searchable("\n".join(map(str, said)))


def _searchable(text: str) -> str:
    """Return what every database can store and compare without regard to case."""
    return text.casefold().replace("\0", " ").encode("utf-8", "replace").decode()


def _conditions(query: Mapping[str, Any]) -> Iterable[ColumnElement[bool]]:
    if "base_uris" in query:
        # dserver leaves the ones that the person may search: an empty list finds nothing.
        yield columns.base_uri.in_(query["base_uris"])
    if query.get("uuids"):
        yield columns.uuid.in_([str(uuid) for uuid in query["uuids"]])
    if query.get("creator_usernames"):
        yield columns.creator_username.in_(query["creator_usernames"])
    for tag in query.get("tags", ()):
        yield columns.tags.contains(_encoded([tag]), autoescape=True)
    for word in _searchable(query.get("free_text", "")).split()[:MOST_WORDS]:
        yield columns.words.contains(word[:LONGEST_WORD], autoescape=True)


def _order(sort_parameters: SortParameters | None) -> list[ColumnElement[Any]]:
    wanted = {} if sort_parameters is None else sort_parameters.order
    order = [
        columns[name].desc() if direction < 0 else columns[name].asc()
        for name, direction in wanted.items()
        if name in ANSWERED
    ]
    # Pages need an order without ties.
    return [*order, columns.uri.asc()]


def _answer(row: Row[Any]) -> dict[str, Any]:
    found = dict(row._mapping)
    return {**found, "tags": _decoded(found["tags"])}
