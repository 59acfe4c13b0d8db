"""dserver's register of datasets: look one up, put one in, take one out.

The only room that speaks to dservercore's registry; knows what it cannot keep. Never sees a
request or a store.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from typing import Any

import dservercore.utils
from dservercore import sql_db
from dservercore.sql_models import BaseURI as KnownBaseURI
from dservercore.sql_models import Dataset

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.errors import InvalidField, RegistrationFailed, StillRegistered
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegisteredDataset:
    """What dserver has in its register; ``frozen_at`` is UTC."""

    uri: str
    uuid: str
    name: str
    number_of_items: int | None
    size_in_bytes: int | None
    frozen_at: datetime


def find(uri: DatasetURI) -> RegisteredDataset | None:
    """Return the registered dataset of this URI, or None."""
    found = dservercore.utils.get_admin_metadata_from_uri(str(uri))
    # Whoever asks goes on to the store, which may take long: no transaction stays open for that.
    sql_db.session.rollback()
    if found is None:
        return None
    # Items and bytes are null for what was registered before dserver counted them.
    return RegisteredDataset(
        found["uri"],
        found["uuid"],
        found["name"],
        found.get("number_of_items"),
        found.get("size_in_bytes"),
        datetime.fromtimestamp(found["frozen_at"], timezone.utc),
    )


def below(base_uri: BaseURI) -> list[RegisteredDataset]:
    """Return the registered datasets of this base URI, by URI; one query."""
    columns = (getattr(Dataset, field.name) for field in fields(RegisteredDataset))
    wanted = sql_db.select(*columns).join(Dataset.base_uri)
    wanted = wanted.where(KnownBaseURI.base_uri == str(base_uri)).order_by(Dataset.uri)
    rows = sql_db.session.execute(wanted).all()
    sql_db.session.rollback()
    # dserver keeps UTC without saying so.
    return [
        replace(dataset, frozen_at=dataset.frozen_at.replace(tzinfo=timezone.utc))
        for dataset in (RegisteredDataset(*row) for row in rows)
    ]


def check_known(base_uri: BaseURI) -> None:
    """Refuse a base URI that dserver does not know.

    :raises InvalidField: naming the command that makes it known.
    """
    known = dservercore.utils.base_uri_exists(str(base_uri))
    sql_db.session.rollback()
    if not known:
        raise InvalidField(
            "base_uri",
            f"dserver does not know {base_uri}; run `flask base_uri add {base_uri}` first.",
        )


def check_registrable(uri: DatasetURI) -> None:
    """Refuse a URI that dserver's own table cannot hold, before anything is written.

    :raises InvalidField: naming the length that fits.
    """
    longest = Dataset.__table__.c.uri.type.length
    if longest is not None and len(str(uri)) > longest:
        raise InvalidField("base_uri", f"is too long: this dserver keeps {longest} characters.")


def register(uri: DatasetURI, dataset_info: Mapping[str, Any]) -> None:
    """Put a frozen dataset into dserver's register, its search and its retrieve plugin.

    :param dataset_info: as ``dservercore.utils.generate_dataset_info`` makes it.
    What dserver's own database refuses, because it is away or busy, is raised as it is.

    :raises RegistrationFailed: if any of them did not take it; the call can be repeated.
    """
    try:
        dservercore.utils.register_dataset(dict(dataset_info))
        # It commits, and then looks once more, which leaves a transaction open.
        sql_db.session.rollback()
    # The search and retrieve plugins are anybody's code, and raise whatever their database does.
    except Exception as error:
        sql_db.session.rollback()
        if find(uri) is not None:
            return
        if isinstance(error, database.AWAY):
            raise
        # Its words are not logged: they may hold the address and password of a database.
        logger.error("Registration of %s failed: %s", uri, type(error).__name__)
        raise RegistrationFailed(type(error).__name__) from error


def unregister(uri: DatasetURI) -> None:
    """Take a dataset out of dserver's search and retrieve plugin, and at last of its register.

    :raises StillRegistered: if any of them did not let go of it; the call can be repeated.
    """
    try:
        dservercore.utils.delete_dataset(str(uri))
    # The search and retrieve plugins are anybody's code, and raise whatever their database does.
    except Exception as error:
        sql_db.session.rollback()
        if find(uri) is None:
            return
        if isinstance(error, database.AWAY):
            raise
        logger.error("Removal of %s failed: %s", uri, type(error).__name__)
        raise StillRegistered(type(error).__name__) from error
