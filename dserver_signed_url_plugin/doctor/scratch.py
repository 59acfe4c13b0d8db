"""Checks of the scratch objects as the server itself sees them: listing and removal."""

from __future__ import annotations

from collections.abc import Mapping

from dserver_signed_url_plugin.doctor.context import CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, warning
from dserver_signed_url_plugin.doctor.probe import Probe
from dserver_signed_url_plugin.storage.md5 import md5_of


def listed(context: CheckContext[Probe], contents: Mapping[str, bytes]) -> CheckResult:
    """Compare size and MD5 in a listing with what was PUT, as completion does."""
    found = context.probe.listing()
    for name, content in contents.items():
        stored = found.get(context.key(name))
        if stored is None or stored.size_in_bytes != len(content):
            return failed(
                f"{name}: {'missing' if stored is None else 'of another size'}",
                "A listing does not show at once what was written, so no upload can be completed.",
                "Use a store whose listings are consistent.",
            )
        if stored.md5 != md5_of(content):
            return failed(
                "another MD5",
                "Completion will report every item as different.",
                context.terms.wrong_md5,
            )
    return ok("size and MD5 are right", "Completion can verify uploads.")


def removal(context: CheckContext[Probe]) -> CheckResult:
    """Remove the scratch objects, as the clean-up removes abandoned uploads."""
    done = context.probe.remove()
    location = context.terms.location
    if done.kept_versions:
        return warning(
            f"{done.removed} removed, but old versions are kept",
            f"The {location} keeps old versions, and the server's key may not delete them.",
            f"Remove the old versions below {context.probe.scratch}.",
        )
    return ok(f"{done.removed} removed", f"The doctor leaves nothing behind in the {location}.")
