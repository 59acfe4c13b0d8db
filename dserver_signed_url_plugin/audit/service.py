"""The audit: records decisions in the log and the table, and finds them there."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

from dserver_signed_url_plugin.audit import operators, repository, runs
from dserver_signed_url_plugin.audit.decisions import (
    Decision,
    DecisionPage,
    Search,
    Use,
    decision_of,
    row_of,
)
from dserver_signed_url_plugin.audit.retention import kept_since, within
from dserver_signed_url_plugin.audit.runs import Run
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import DatabaseBusy
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.times import in_utc

# The name that operators configure.
logger = logging.getLogger("dserver_signed_url_plugin.audit")

# Of the link of a share.
_USES = ("share-open", "share-preview", "share-download")


class Audit:
    """Records decisions and finds them; needs an app context, but no request."""

    def __init__(self, settings: Settings) -> None:
        self.days = settings.audit_days
        # Its lines appear wherever logging is configured, even if this logger is not.
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)

    def record(self, decision: Decision) -> None:
        """Log a decision and insert it into the table; never raises, and never blocks for long.

        Uncommitted changes of the database session are rolled back.
        """
        operator = operators.current()
        if operator is not None:
            decision = replace(decision, operator=operator.login, host=operator.host)
        decision = decision.storable()
        logger.info("%s", json.dumps(decision.as_json()))
        # Not after the database has just refused: the caller is waiting for the answer.
        if self.days and decision.reason != DatabaseBusy.slug:
            repository.write(row_of(decision))

    def purge(self) -> int:
        """Delete what is older than ``SIGNED_URL_AUDIT_DAYS``; return the number of rows.

        :raises DatabaseBusy: if the table cannot be used.
        """
        return repository.purge(kept_since(self.days)) if self.days else 0

    def page(
        self, permit: UploadPermit, uuid: str | None, before: int | None, limit: int
    ) -> DecisionPage:
        """Return the decisions about a dataset, or about a base URI and all below it.

        :param permit: for the base URI; an admin's shows addresses, operators and hosts, too.
        :param uuid: of the dataset; None for all that is below the base URI.
        :param before: ``next`` of the previous page.
        :raises AuditOff: if this server keeps none.
        """
        place = permit.base_uri if uuid is None else permit.base_uri.dataset(uuid)
        page = self.found(Search(str(place), uuid is None, before=before), limit)
        if permit.is_admin:
            return page
        return replace(page, decisions=[_without_origin(one) for one in page.decisions])

    def found(self, search: Search, limit: int) -> DecisionPage:
        """Return the decisions that match an operator's search.

        :raises AuditOff: if this server keeps none.
        :raises DatabaseBusy: if the table cannot be read.
        """
        rows = repository.find(within(search, self.days), limit + 1)
        more = rows[limit - 1]["id"] if len(rows) > limit else None
        return DecisionPage(search.uri or "", [decision_of(row) for row in rows[:limit]], more)

    def uses(self, share: str) -> dict[str, Use]:
        """Return how often a share was used, by action, as far as this server keeps decisions.

        :raises DatabaseBusy: if the table cannot be read.
        """
        found = repository.uses(share, _USES) if self.days else ()
        counted = {action: Use(count, in_utc(last)) for action, count, last in found}
        return {action: counted[action] for action in _USES if action in counted}

    def last_runs(self) -> dict[str, Run]:
        """Return the last run of each command that has run, by its name without ``flask``.

        As far as this server keeps decisions; a dry run, and one that was killed, is none.

        :raises DatabaseBusy: if the table cannot be read.
        """
        return runs.by_command(repository.last_runs()) if self.days else {}


def _without_origin(decision: Decision) -> Decision:
    return replace(decision, address=None, operator=None, host=None)
