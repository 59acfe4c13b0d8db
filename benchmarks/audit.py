"""Measure what the audit table adds to a request: GET item with it, and without it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Bucket, Dserver

CALLS = 300
DAYS = (0, 365)


def measure(bucket: Bucket, settings: Mapping[str, Any]) -> Iterator[tuple[int, float, float]]:
    """Yield (SIGNED_URL_AUDIT_DAYS, median, 95th percentile), in milliseconds.

    Both use one database, and calls alternate, so that disturbances affect both.
    """
    dservers = {days: Dserver(bucket, {**settings, "SIGNED_URL_AUDIT_DAYS": days}) for days in DAYS}
    deposit, one = Deposit(), dservers[DAYS[0]]
    DtoolDserver().upload(one.alice, one.base_uri, deposit)
    uri = f"{one.base_uri}/{deposit.uuid}"
    identifier = next(iter(one.bob.read(uri).json["item_urls"]))
    taken: dict[int, list[float]] = {days: [] for days in DAYS}
    for number in range(CALLS + 10):
        for days, dserver in dservers.items():
            started = time.perf_counter()
            assert dserver.bob.read_item(uri, identifier).status_code == 200
            # The first calls open connections.
            if number >= 10:
                taken[days].append((time.perf_counter() - started) * 1000)
    for days, milliseconds in taken.items():
        yield days, median(milliseconds), sorted(milliseconds)[int(CALLS * 0.95)]
