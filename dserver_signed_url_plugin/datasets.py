"""dserver's register of datasets: look one up, put one in.

The only room that speaks to dservercore's registry; knows what it cannot keep. Never sees a
request or a store.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dservercore.utils
from dservercore import sql_db
from dservercore.sql_models import Dataset

from dserver_signed_url_plugin.errors import InvalidField, RegistrationFailed
from dserver_signed_url_plugin.uris import DatasetURI

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegisteredDataset:
    """What dserver has in its register."""

    uri: str
    uuid: str
    name: str
    number_of_items: int | None
    size_in_bytes: int | None


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
        # Its words are not logged: they may hold the address and password of a database.
        logger.error("Registration of %s failed: %s", uri, type(error).__name__)
        raise RegistrationFailed(
            f"The dataset is complete in storage, but dserver's index did not take it "
            f"({type(error).__name__}); call again later, nothing is lost."
        ) from error
