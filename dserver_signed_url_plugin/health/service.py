"""Readiness: one question for orchestrators, proxies and operators, answered within a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dservercore import sql_db

from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.errors import DatabaseBusy
from dserver_signed_url_plugin.health import schema
from dserver_signed_url_plugin.health.schema import Migrations, OtherMigrations
from dserver_signed_url_plugin.shared_result import SharedResult
from dserver_signed_url_plugin.storage.registry import Storages

# In seconds: with what the rest of the request takes, an answer comes within one.
_TIMEOUT = 0.8
_MAX_AGE = 1.0


@dataclass(frozen=True)
class Readiness:
    """A server that is ready.

    ``refused_stores`` says of each base URI in use whether its circuit breaker is open; None unless
    it was asked for.
    """

    migrations: Migrations
    refused_stores: Mapping[str, bool] | None = None
    extent = Extent()  # nothing is granted


class Health:
    """Finds out whether the server is ready; needs an app context."""

    def __init__(self, storages: Storages) -> None:
        self._storages = storages
        self._migrations: SharedResult[Migrations] = SharedResult(
            timeout=_TIMEOUT, max_age=_MAX_AGE
        )

    def ready(self, others: OtherMigrations, *, stores: bool = False) -> Readiness:
        """Return what makes this server ready, within a second.

        A store that is away makes no server unready: the others have the same store.

        :param others: what other packages have in the same database.
        :param stores: whether to add the circuit breakers of the stores that this process has used.
        :raises DatabaseBusy: if the database refuses or does not answer, or has no connection left.
        :raises MigrationsBehind: if tables are older than the installed version.
        """
        engine = sql_db.engine
        try:
            migrations = self._migrations.of(
                lambda: schema.checked(engine, schema.histories(others))
            )
        except TimeoutError as error:
            raise DatabaseBusy(
                "it does not answer within a second, or all of its connections are in use"
            ) from error
        return Readiness(migrations, self._storages.open_breakers() if stores else None)
