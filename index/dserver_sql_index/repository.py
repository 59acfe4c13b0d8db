"""The statements that write the index. None of these functions commits.

Each writes the row of the dataset first, and so waits for others that write the same dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dservercore import UnknownURIError, sql_db
from sqlalchemy import ARRAY, Table, Text, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from dserver_sql_index import documents
from dserver_sql_index.documents import DatasetInfo, Row
from dserver_sql_index.tables import datasets, is_postgresql, tags, texts
from dserver_sql_index.words import is_storable


def write(info: DatasetInfo) -> None:
    """Insert or replace a dataset.

    :raises ValidationError: if a field is missing or invalid.
    """
    with documents.validated():
        row = documents.dataset_row(info)
        digests = documents.tag_digests(info.get("tags", ()))
        rows = documents.text_rows(documents.searched_texts(info))
    if not _update(row["uri"], row):
        _insert(row)
    dataset_id = _id(row["uri"])
    _delete(dataset_id, tags, texts)
    _insert_tags(dataset_id, digests)
    _insert_texts(dataset_id, rows)


def remove(uri: str) -> None:
    """Delete a dataset, if it is there."""
    # An UPDATE, as SQLite has no other lock, and may give the id to another dataset.
    if not (is_storable(uri) and _update(uri, {"uri": uri})):
        return
    dataset_id = _id(uri)
    _delete(dataset_id, tags, texts)
    sql_db.session.execute(delete(datasets).where(datasets.c.id == dataset_id))


def change_readme(uri: str, readme: str) -> None:
    """Replace the README of a dataset.

    :raises UnknownURIError: if it is not in the index.
    :raises ValidationError: if it cannot be indexed.
    """
    with documents.validated():
        rows = documents.text_rows({"readme": documents.readme_texts(readme)})
    _change(uri, "readme", readme, rows)


def change_annotations(uri: str, annotations: Mapping[str, Any]) -> None:
    """Replace all annotations of a dataset.

    :raises UnknownURIError: if it is not in the index.
    :raises ValidationError: if it cannot be indexed.
    """
    with documents.validated():
        rows = documents.text_rows({"annotations": documents.annotation_texts(annotations)})
    _change(uri, "annotations", annotations, rows)


def change_tags(uri: str, new_tags: Iterable[str]) -> None:
    """Replace all tags of a dataset.

    :raises UnknownURIError: if it is not in the index.
    :raises ValidationError: if it cannot be indexed.
    """
    with documents.validated():
        new_tags = list(new_tags)
        digests = documents.tag_digests(new_tags)
        rows = documents.text_rows({"tags": new_tags})
    dataset_id = _change(uri, "tags", new_tags, rows)
    _delete(dataset_id, tags)
    _insert_tags(dataset_id, digests)


def _change(uri: str, field: str, value: Any, rows: list[Row]) -> int:
    """Replace one field, and return the id of the dataset."""
    if not (is_storable(uri) and _update(uri, {f"{field}_json": documents.to_json(value)})):
        raise UnknownURIError(f"URI {uri} not registered")
    dataset_id = _id(uri)
    of_field = texts.c.dataset_id == dataset_id, texts.c.field == field
    sql_db.session.execute(delete(texts).where(*of_field))
    _insert_texts(dataset_id, rows)
    return dataset_id


def _insert(row: Row) -> None:
    """Insert the row of a dataset, or update the one that another request has inserted.

    In one statement, as yet another request may delete it meanwhile. Where the row is known to be
    there, ``_update`` spares PostgreSQL an id.
    """
    statement = (postgresql if is_postgresql() else sqlite).insert(datasets).values(row)
    sql_db.session.execute(statement.on_conflict_do_update(index_elements=["uri"], set_=row))


def _update(uri: str, values: Mapping[str, Any]) -> bool:
    statement = update(datasets).where(datasets.c.uri == uri).values(values)
    return bool(sql_db.session.execute(statement).rowcount)


def _id(uri: str) -> int:
    statement = select(datasets.c.id).where(datasets.c.uri == uri)
    return int(sql_db.session.execute(statement).scalar_one())


def _delete(dataset_id: int, *tables: Table) -> None:
    for table in tables:
        sql_db.session.execute(delete(table).where(table.c.dataset_id == dataset_id))


def _insert_tags(dataset_id: int, digests: Iterable[str]) -> None:
    rows = [{"dataset_id": dataset_id, "digest": digest} for digest in sorted(digests)]
    if rows:
        sql_db.session.execute(insert(tags), rows)


def _insert_texts(dataset_id: int, new_rows: list[Row]) -> None:
    rows = [{"dataset_id": dataset_id, **row} for row in new_rows]
    statement = insert(texts)
    if is_postgresql():
        lexemes = bindparam("lexemes", type_=ARRAY(Text))
        statement = statement.values(words=func.array_to_tsvector(lexemes))
        rows = [{**row, "lexemes": sorted(set(row["content"].split()))} for row in rows]
    if rows:
        sql_db.session.execute(statement, rows)
