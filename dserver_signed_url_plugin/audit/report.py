"""The report of the audit: who deposited how much in a base URI, and read how much from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from dserver_signed_url_plugin.audit import report_repository as repository
from dserver_signed_url_plugin.audit.report_repository import Sums
from dserver_signed_url_plugin.audit.retention import shown_since
from dserver_signed_url_plugin.config import Settings


class Kind(Enum):
    """Who it was: a user, an operator at the shell, or anybody with the link of a share."""

    USER = "user"
    OPERATOR = "operator"
    LINK = "link"


@dataclass(frozen=True)
class ReportRow:
    """What a user, an operator or people with links deposited in and read from a base URI.

    ``name`` is empty of links, and of operators whose login the audit does not have. Bytes are
    those of deposits, and of what the granted URLs lead to as far as the audit has it:
    ``read_urls_of_unknown_size`` counts the other URLs.
    """

    kind: str
    name: str
    base_uri: str
    deposited_datasets: int = 0
    deposited_items: int = 0
    deposited_bytes: int = 0
    read_datasets: int = 0
    read_urls: int = 0
    read_bytes: int = 0
    read_urls_of_unknown_size: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return what JSON and CSV have of it."""
        return asdict(self)


@dataclass(frozen=True)
class AuditReport:
    """Makes reports, in two statements however many decisions there are."""

    settings: Settings

    def rows(self, since: datetime | None, until: datetime | None = None) -> Sequence[ReportRow]:
        """Return a row for everybody who did something in a period, by base URI and name.

        :param since: its beginning; None for as long as decisions are kept.
        :param until: its end, which is not part of it; None for now.
        :raises AuditOff: if this server keeps none.
        :raises DatabaseBusy: if the table cannot be read.
        """
        since = shown_since(since, self.settings.audit_days)
        found: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
        for sums in repository.deposits(since, until):
            found[_key(sums)].update(
                deposited_datasets=sums.datasets,
                deposited_items=sums.items,
                deposited_bytes=sums.size_in_bytes,
            )
        for sums in repository.reads(since, until):
            found[_key(sums)].update(
                read_datasets=sums.datasets,
                read_urls=sums.items,
                read_bytes=sums.size_in_bytes,
                read_urls_of_unknown_size=sums.unsized,
            )
        return [
            ReportRow(kind, name, base_uri, **numbers)
            for (base_uri, name, kind), numbers in sorted(found.items())
        ]


def _key(sums: Sums) -> tuple[str, str, str]:
    if sums.username:
        return sums.base_uri, sums.username, Kind.USER.value
    if sums.by_link:
        return sums.base_uri, "", Kind.LINK.value
    return sums.base_uri, sums.operator, Kind.OPERATOR.value
