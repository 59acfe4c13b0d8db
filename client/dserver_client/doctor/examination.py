"""Run all checks, in order of what depends on what."""

from __future__ import annotations

from collections.abc import Iterator

from dserver_client.broker.entry_points import owners
from dserver_client.doctor.dserver import (
    check_connection,
    check_encryption,
    check_signing,
    check_token,
)
from dserver_client.doctor.findings import Finding, ok, warning
from dserver_client.doctor.store import check_base_uri
from dserver_client.server import Server
from dserver_client.settings import Settings

# Base URIs whose store is tried.
MAX_BASE_URIS = 10


def examine(server: Server, settings: Settings) -> Iterator[Finding]:
    """Yield the findings of all checks; what follows a problem and needs it solved is left out."""
    yield from check_broker()
    yield from check_encryption(server, settings)
    for check in (check_connection, check_token, check_signing):
        stopped = False
        for finding in check(server):
            stopped = stopped or finding.status == "problem"
            yield finding
        if stopped:
            return
    for base_uri in server.whoami().search_base_uris[:MAX_BASE_URIS]:
        yield from check_base_uri(server, base_uri)


def check_broker() -> Iterator[Finding]:
    """Find out which distribution dtool uses for ``dserver://``."""
    found = owners()
    if found and all(owner.is_this for owner in found):
        yield ok("dtool", "dtool uses this client for dserver://.")
        return
    others = [f"{owner.distribution} {owner.version}" for owner in found if not owner.is_this]
    if not others:
        yield warning(
            "dtool",
            "dtool knows no dserver://.",
            "In dtool's environment, run pip install ./client in a checkout of the project.",
        )
        return
    used = "this client" if found[-1].is_this else others[-1]
    names = " and ".join(others)
    yield warning(
        "dtool",
        f"{names} also claims dserver://; dtool uses {used}.",
        f"pip uninstall {' '.join(owner.distribution for owner in found if not owner.is_this)}",
    )
