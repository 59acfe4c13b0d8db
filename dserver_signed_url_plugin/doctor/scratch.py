"""Examinations of the scratch place as the server itself sees it.

Knows what completion and clean-up will need.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from dserver_signed_url_plugin.doctor.context import CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, warning
from dserver_signed_url_plugin.doctor.probe import Probe


def listed(case: CheckContext[Probe], contents: Mapping[str, bytes]) -> CheckResult:
    """List what was PUT through URLs: completion compares sizes and MD5 so."""
    found = case.store.listing()
    for name, content in contents.items():
        object_ = found.get(case.key(name))
        if object_ is None or object_.size_in_bytes != len(content):
            return failed(
                f"{name}: {'missing' if object_ is None else 'of another size'}",
                "A listing does not show at once what was written, so no upload can be completed.",
                "Use a store whose listings are consistent.",
            )
        if object_.md5 != hashlib.md5(content, usedforsecurity=False).hexdigest():
            return failed(
                "another MD5",
                "Completion will report every item as different.",
                case.words.wrong_md5,
            )
    return ok("size and MD5 are right", "Completion can verify what was uploaded.")


def removal(case: CheckContext[Probe]) -> CheckResult:
    """Remove the scratch objects, as clean-up removes what was given up."""
    done = case.store.remove()
    if done.kept_versions:
        return warning(
            f"{done.removed} removed, but old versions are kept",
            f"The {case.words.place} keeps versions, and the server's key may not delete them.",
            f"Remove the old versions below {case.store.scratch}.",
        )
    return ok(
        f"{done.removed} removed",
        f"Nothing of this examination is left in the {case.words.place}.",
    )
