"""dserver's register of datasets: finds, registers and unregisters datasets."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import dservercore.utils
from dservercore import sql_db
from dservercore.sql_models import BaseURI as KnownBaseURI
from dservercore.sql_models import Dataset

from dserver_signed_url_plugin import database, request_ids
from dserver_signed_url_plugin.errors import InvalidField, RegistrationFailed, StillRegistered
from dserver_signed_url_plugin.times import in_utc
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegisteredDataset:
    """A dataset in dserver's register; ``frozen_at`` and ``created_at`` are UTC.

    ``uri_text`` is the URI as it was registered, perhaps by other means than this plugin. ``id`` is
    that of the row, which is another one if the dataset was registered anew.
    """

    id: int
    uri_text: str
    uuid: str
    name: str
    number_of_items: int | None
    size_in_bytes: int | None
    frozen_at: datetime
    created_at: datetime

    @property
    def uri(self) -> DatasetURI:
        """The URI.

        :raises InvalidField: if the dataset was registered under a URI that is not its own.
        """
        uri = DatasetURI.parse(self.uri_text)
        if (str(uri), uri.uuid) != (self.uri_text, self.uuid):
            raise InvalidField("uri", f"is not that of the dataset {self.uuid}; register it anew.")
        return uri


_table = Dataset.__table__.c
# Of the table, because objects of a model would take twice as long.
_COLUMNS = (
    _table.id,
    _table.uri,
    _table.uuid,
    _table.name,
    # These two are null for datasets registered by older versions of dserver.
    _table.number_of_items,
    _table.size_in_bytes,
    _table.frozen_at,
    _table.created_at,
)
_BY_URI = sql_db.select(*_COLUMNS).where(_table.uri == sql_db.bindparam("uri"))


def find(uri: DatasetURI) -> RegisteredDataset | None:
    """Return the registered dataset with this URI, or None, with one query."""
    row = sql_db.session.execute(_BY_URI, {"uri": str(uri)}).first()
    # Ends the transaction, because callers continue with requests to the store, which take time.
    sql_db.session.rollback()
    return None if row is None else _dataset(row)


def readme(uri: DatasetURI, most: int) -> str | None:
    """Return what dserver's retrieve plugin has as the README of a registered dataset, or None.

    None also if the plugin fails: what people look for is the data.

    :param most: the number of characters after which it is cut.
    """
    try:
        text = dservercore.utils.current_app.retrieve.get_readme(str(uri))
    except Exception as error:  # noqa: BLE001 (plugins may raise any)
        sql_db.session.rollback()
        _log_failure("Reading the README", uri, error)
        return None
    sql_db.session.rollback()
    return text[:most] if isinstance(text, str) and text.strip() else None


def below(base_uri: BaseURI) -> list[RegisteredDataset]:
    """Return the registered datasets of a base URI, sorted by URI, with one query."""
    wanted = sql_db.select(*_COLUMNS).join(KnownBaseURI.__table__)
    wanted = wanted.where(KnownBaseURI.base_uri == str(base_uri)).order_by(Dataset.uri)
    rows = sql_db.session.execute(wanted).all()
    sql_db.session.rollback()
    return [_dataset(row) for row in rows]


def registered(uris: Sequence[str]) -> dict[str, RegisteredDataset]:
    """Return those of the datasets that are registered, by URI, with one query."""
    rows = sql_db.session.execute(sql_db.select(*_COLUMNS).where(_table.uri.in_(uris))).all()
    sql_db.session.rollback()
    return {row.uri: _dataset(row) for row in rows}


def _dataset(row: Any) -> RegisteredDataset:
    found = RegisteredDataset(*row)
    # dserver stores naive datetimes in UTC.
    frozen_at, created_at = in_utc(found.frozen_at), in_utc(found.created_at)
    return replace(found, frozen_at=frozen_at, created_at=created_at)


def known_base_uris() -> list[str]:
    """Return the base URIs that dserver knows, sorted."""
    wanted = sql_db.select(KnownBaseURI.base_uri).order_by(KnownBaseURI.base_uri)
    found = list(sql_db.session.scalars(wanted))
    sql_db.session.rollback()
    return found


def check_known(base_uri: BaseURI) -> None:
    """Check that dserver knows a base URI.

    :raises InvalidField: if not; the message names the command that adds it.
    """
    known = dservercore.utils.base_uri_exists(str(base_uri))
    sql_db.session.rollback()
    if not known:
        raise InvalidField(
            "base_uri",
            f"dserver does not know {base_uri}; run `flask base_uri add {base_uri}` first.",
        )


def check_registrable(uri: DatasetURI) -> None:
    """Check that dserver's table can hold a URI, before anything is written.

    :raises InvalidField: if it is too long.
    """
    longest = Dataset.__table__.c.uri.type.length
    if longest is not None and len(str(uri)) > longest:
        raise InvalidField("base_uri", f"is too long: this dserver keeps {longest} characters.")


def register(uri: DatasetURI, dataset_info: Mapping[str, Any]) -> None:
    """Register a frozen dataset in dserver's register, and its search and retrieve plugins.

    Idempotent. Errors of the database are raised unchanged if they are transient, or say that a
    table or column is missing.

    :param dataset_info: in the format of ``dservercore.utils.generate_dataset_info``.
    :raises RegistrationFailed: if one of them fails.
    """
    try:
        dservercore.utils.register_dataset(dict(dataset_info))
        # It commits, and then queries the dataset again, which leaves a transaction open.
        sql_db.session.rollback()
    # Search and retrieve plugins may raise any exception.
    except Exception as error:
        sql_db.session.rollback()
        if find(uri) is not None:
            return
        if database.is_at_fault(error):
            raise
        _log_failure("Registration", uri, error)
        raise RegistrationFailed(type(error).__name__) from error


def unregister(uri: DatasetURI) -> None:
    """Delete a dataset from dserver's search and retrieve plugins, then from its register.

    Idempotent. Errors of the database are raised as by ``register``.

    :raises StillRegistered: if one of them fails.
    """
    try:
        dservercore.utils.delete_dataset(str(uri))
    # Search and retrieve plugins may raise any exception.
    except Exception as error:
        sql_db.session.rollback()
        if find(uri) is None:
            return
        if database.is_at_fault(error):
            raise
        _log_failure("Removal", uri, error)
        raise StillRegistered(type(error).__name__) from error


def _log_failure(doing: str, uri: DatasetURI, error: Exception) -> None:
    # Without the message, which may contain the address and password of a database.
    kind = type(error).__name__
    logger.error("%s of %s failed: %s%s", doing, uri, kind, request_ids.suffix())
