"""The search plugin, which writes the index and searches it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from dservercore import SearchABC, ValidationError, sql_db
from flask_smorest import abort
from sqlalchemy import ColumnElement, Row, func, select

from dserver_sql_index import repository
from dserver_sql_index.conditions import conditions
from dserver_sql_index.documents import RESULT_COLUMNS, DatasetInfo
from dserver_sql_index.plugin import Plugin
from dserver_sql_index.tables import datasets

if TYPE_CHECKING:
    from dservercore.sort import SortParameters
    from flask_smorest.pagination import PaginationParameters


class SQLSearch(Plugin, SearchABC):
    """Writes datasets to the tables, and searches them.

    dserver commits what ``register_dataset`` and ``delete_dataset`` have written, together with its
    own row of the dataset. After the other methods it commits nothing, so they do.
    """

    def register_dataset(self, dataset_info: DatasetInfo) -> None:
        """Insert or replace a dataset.

        :raises ValidationError: if a field is missing or invalid.
        """
        repository.write(dataset_info)

    def delete_dataset(self, dataset_uri: str) -> None:
        """Delete a dataset, if it is in the index."""
        repository.remove(dataset_uri)

    def set_readme(self, uri: str, readme: str) -> str:
        with _refused():
            repository.change_readme(uri, readme)
        sql_db.session.commit()
        return readme

    def set_annotations(self, uri: str, annotations: dict[str, Any]) -> dict[str, Any]:
        with _refused():
            repository.change_annotations(uri, annotations)
        sql_db.session.commit()
        return annotations

    def set_tags(self, uri: str, tags: list[str]) -> list[str]:
        with _refused():
            repository.change_tags(uri, tags)
        sql_db.session.commit()
        return tags

    def search(
        self,
        query: Mapping[str, Any],
        pagination_parameters: PaginationParameters | None = None,
        sort_parameters: SortParameters | None = None,
    ) -> list[dict[str, Any]]:
        """Return the datasets that match every condition of the query.

        :raises BadRequest: if a list of the query is too long.
        """
        with _refused():
            where = list(conditions(query))
        columns = (*RESULT_COLUMNS, "tags_json", "other_json")
        statement = select(*(datasets.c[name] for name in columns))
        statement = statement.where(*where).order_by(*_order_by(sort_parameters))
        if pagination_parameters is not None:
            count = select(func.count()).select_from(datasets).where(*where)
            pagination_parameters.item_count = sql_db.session.execute(count).scalar_one()
            size = pagination_parameters.page_size
            offset = (pagination_parameters.page - 1) * size
            if offset >= pagination_parameters.item_count:
                # It may be more than the database takes.
                return []
            statement = statement.limit(size).offset(offset)
        return [_result(row) for row in sql_db.session.execute(statement)]


@contextmanager
def _refused() -> Iterator[None]:
    """Turn ValidationError, which dserver's routes catch only when they register, into a 400."""
    try:
        yield
    except ValidationError as error:
        abort(HTTPStatus.BAD_REQUEST, message=str(error))


def _order_by(sort_parameters: SortParameters | None) -> list[ColumnElement[Any]]:
    directions = {} if sort_parameters is None else sort_parameters.order
    order = [
        datasets.c[name].desc() if direction < 0 else datasets.c[name].asc()
        for name, direction in directions.items()
        if name in RESULT_COLUMNS
    ]
    # Sorted by URI last, as pages need an order without ties.
    return [*order, datasets.c.uri.asc()]


def _result(row: Row[Any]) -> dict[str, Any]:
    values = dict(row._mapping)
    tags, other = json.loads(values.pop("tags_json")), json.loads(values.pop("other_json"))
    return {**other, **values, "tags": tags}
