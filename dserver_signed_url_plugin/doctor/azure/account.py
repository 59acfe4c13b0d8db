"""Examinations of an Azure account by the server's own means: containers, settings, documents.

Knows what each answer means for reading and uploading, and what to do about it.
"""

from __future__ import annotations

from dserver_signed_url_plugin.doctor.context import OTHER, PINNED, CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, skipped, warning
from dserver_signed_url_plugin.doctor.probe import AccountProbe
from dserver_signed_url_plugin.doctor.scratch import listed

_MOST_NAMED = 3


def containers(case: CheckContext[AccountProbe]) -> CheckResult:
    """List containers, as the server may, and look whether any is open to everybody."""
    public = case.store.public_containers()
    if not public:
        return ok("200, none is public", "The account key is right.")
    named = ", ".join(public[:_MOST_NAMED]) + (", …" if len(public) > _MOST_NAMED else "")
    return warning(
        f"200, but {len(public)} public: {named}",
        "Anybody reads what is in a public container, whatever dserver permits.",
        'Set "Allow Blob anonymous access" to disabled for the account, unless that is intended.',
    )


def soft_delete(case: CheckContext[AccountProbe]) -> CheckResult:
    """Look whether deleted blobs stay."""
    days = case.store.days_kept()
    if not days:
        return ok("off", "A blob that is deleted is gone.")
    return warning(
        f"blobs are kept for {days} days",
        "What is deleted stays for so long, unseen, and is paid for.",
        "Nothing has to be done, unless that is too long: it is under Data protection in the "
        "Azure portal.",
    )


def lifecycle(_: CheckContext[AccountProbe]) -> CheckResult:
    """Say what a key cannot ask for."""
    return skipped(
        "An account key reaches neither lifecycle rules nor versioning nor soft delete of "
        "containers.",
        "See to it that no rule deletes or archives blobs of datasets: `az storage account "
        "management-policy show`, or Lifecycle management in the Azure portal; the others are "
        "under Data protection.",
    )


def scratch_container(case: CheckContext[AccountProbe]) -> CheckResult:
    """Create a container, as an upload begins."""
    case.store.create_scratch()
    return ok("201", "The server may create containers.")


def document(case: CheckContext[AccountProbe]) -> CheckResult:
    """Read a staged document as completion does, once from its block and once from its blob."""
    for _ in range(2):
        if case.store.collect(case.key("staged")) != OTHER:
            return failed(
                "nothing, or something else",
                "What a client sends as README or manifest does not arrive.",
                "Let no proxy before the store change what is PUT, or remove comp=block from URLs.",
            )
    return ok("what was PUT last", "Completion finds README and manifest.")


def stored(case: CheckContext[AccountProbe]) -> CheckResult:
    """List the item that was PUT."""
    return listed(case, {"pinned": PINNED})
