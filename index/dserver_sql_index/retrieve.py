"""The retrieve plugin, which reads what the search plugin has written."""

from __future__ import annotations

import json
from typing import Any

from dservercore import RetrieveABC, UnknownURIError, sql_db
from sqlalchemy import select

from dserver_sql_index.documents import DatasetInfo
from dserver_sql_index.plugin import Plugin
from dserver_sql_index.tables import datasets
from dserver_sql_index.words import is_storable


class SQLRetrieve(Plugin, RetrieveABC):
    """Reads descriptions of datasets; each method loads only the one that it returns.

    dserver calls every method that writes for the search plugin first, which has done the work.
    """

    def register_dataset(self, dataset_info: DatasetInfo) -> None:
        """Do nothing: SQLSearch has written the dataset."""

    def delete_dataset(self, dataset_uri: str) -> None:
        """Do nothing: SQLSearch has deleted the dataset."""

    def get_readme(self, uri: str) -> str:
        return str(_read(uri, "readme"))

    def get_manifest(self, uri: str) -> dict[str, Any]:
        return dict(_read(uri, "manifest"))

    def get_annotations(self, uri: str) -> dict[str, Any]:
        return dict(_read(uri, "annotations"))

    def get_tags(self, uri: str) -> list[str]:
        return list(_read(uri, "tags"))

    def set_readme(self, uri: str, readme: str) -> str:
        """Return the README, which SQLSearch has written."""
        return readme

    def set_annotations(self, uri: str, annotations: dict[str, Any]) -> dict[str, Any]:
        """Return the annotations, which SQLSearch has written."""
        return annotations

    def set_tags(self, uri: str, tags: list[str]) -> list[str]:
        """Return the tags, which SQLSearch has written."""
        return tags


def _read(uri: str, field: str) -> Any:
    """Return one description.

    :raises UnknownURIError: if the dataset is not in the index.
    """
    statement = select(datasets.c[f"{field}_json"]).where(datasets.c.uri == uri)
    text = sql_db.session.scalar(statement) if is_storable(uri) else None
    if text is None:
        raise UnknownURIError(f"URI {uri} not registered")
    return json.loads(text)
