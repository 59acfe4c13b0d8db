"""Measure what signing, each route and the audit table cost, and print the results.

Times depend on the machine; ratios and numbers of requests do not.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import audit, routes, signing
from dserver_signed_url_plugin.demo.settings import DataDirectory
from dserver_signed_url_plugin.demo.store import LocalStore
from tests.support.dserver import Bucket, Dserver

SIZES = [10, 1_000, 10_000]


def main() -> None:
    """Print three tables; arguments replace the default numbers of items."""
    sizes = [int(argument) for argument in sys.argv[1:]] or SIZES
    _print_signing()
    with tempfile.TemporaryDirectory() as directory, LocalStore() as store:
        store.create_bucket("bench")
        bucket = Bucket("bench", store.endpoint, store.access_key, store.secret_key)
        settings = DataDirectory.create(Path(directory)).write_settings()
        _print_routes(Dserver(bucket, settings), sizes)
        _print_audit(bucket, settings)


def _print_signing() -> None:
    print("µs per signed URL                    plugin  vendor SDK  ratio")
    for what, ours, theirs in signing.measure():
        print(f"{what:35} {ours:7.1f}  {theirs:10.1f}  {theirs / ours:4.0f}x")


def _print_routes(dserver: Dserver, sizes: list[int]) -> None:
    print("\nroute                            items  seconds  store requests  database statements")
    for route, items, cost in routes.measure(dserver, sizes):
        print(
            f"{route:30} {items:7,} {cost.seconds:8.3f} {cost.requests:15,} {cost.statements:20}",
            flush=True,
        )


def _print_audit(bucket: Bucket, settings: Mapping[str, Any]) -> None:
    print(f"\nGET item, {audit.CALLS} calls each        milliseconds: median  95th percentile")
    for days, middle, slow in audit.measure(bucket, settings):
        print(f"SIGNED_URL_AUDIT_DAYS={days:<4} {middle:31.2f} {slow:16.2f}", flush=True)


if __name__ == "__main__":
    main()
