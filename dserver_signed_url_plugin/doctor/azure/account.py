"""Checks of an Azure account as the server uses it: containers, configuration, documents."""

from __future__ import annotations

from datetime import datetime, timezone

from dserver_signed_url_plugin.doctor.addresses import duration
from dserver_signed_url_plugin.doctor.context import ANNOUNCED, OTHER, CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, skipped, warning
from dserver_signed_url_plugin.doctor.probe import AccountProbe
from dserver_signed_url_plugin.doctor.scratch import listed

_MAX_NAMED = 3


def containers(context: CheckContext[AccountProbe]) -> CheckResult:
    """List containers, as the server does, and look for public ones."""
    public = context.probe.public_containers()
    if not public:
        return ok("200, none is public", "The server may list containers.")
    named = ", ".join(public[:_MAX_NAMED]) + (", …" if len(public) > _MAX_NAMED else "")
    return warning(
        f"200, but {len(public)} public: {named}",
        "Anybody can read the blobs of a public container, whatever dserver permits.",
        'Set "Allow Blob anonymous access" to disabled for the account, unless it is intended.',
    )


def credentials(context: CheckContext[AccountProbe]) -> CheckResult:
    """Find out what signs URLs, and request it where it is not a key that the server has."""
    end = context.probe.key_ends()
    if end is None:
        return ok("the account's key", "URLs work for as long as promised.")
    left = int((end - datetime.now(timezone.utc)).total_seconds())
    return ok(
        f"200, a key for {duration(left)}",
        "The server uses Entra ID, and its identity may sign URLs.",
    )


def soft_delete(context: CheckContext[AccountProbe]) -> CheckResult:
    """Check whether the account keeps deleted blobs."""
    days = context.probe.soft_delete_days()
    if not days:
        return ok("off", "Deleted blobs are gone.")
    return warning(
        f"deleted blobs are kept for {days} days",
        "Deleted blobs remain hidden for that time, and are paid for.",
        "Nothing, unless that is too long: see Data protection in the Azure portal.",
    )


def lifecycle(_: CheckContext[AccountProbe]) -> CheckResult:
    """Name what cannot be checked."""
    return skipped(
        "Neither an account key nor the role that dserver needs gives access to lifecycle rules, "
        "versioning and soft delete of containers.",
        "Make sure that no rule deletes or archives blobs of datasets: `az storage account "
        "management-policy show`, or Lifecycle management in the Azure portal; for the others, see "
        "Data protection.",
    )


def scratch_container(context: CheckContext[AccountProbe]) -> CheckResult:
    """Create a container, as the server does for an upload."""
    context.probe.create_scratch()
    return ok("201", "The server may create containers.")


def document(context: CheckContext[AccountProbe]) -> CheckResult:
    """Read a staged document as completion does: first from its block, then from its blob."""
    for _ in range(2):
        if context.probe.read_staged(context.key("staged")) != OTHER:
            return failed(
                "nothing, or something else",
                "The README and manifest that clients send do not arrive.",
                "Use no proxy in front of the store that changes bodies, or removes comp=block "
                "from URLs.",
            )
    return ok("what was PUT last", "Completion finds the README and the manifest.")


def stored(context: CheckContext[AccountProbe]) -> CheckResult:
    """List the item that was PUT."""
    return listed(context, {"pinned": ANNOUNCED})
