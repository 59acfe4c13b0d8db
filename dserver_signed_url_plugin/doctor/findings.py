"""Results of the doctor's checks, and whether a base URI is fit for reading and uploading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Status(str, Enum):
    """The status of one check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Purpose(str, Enum):
    """What a base URI is used for; whatever reading requires, uploading requires too."""

    READING = "reading"
    UPLOADING = "uploading"


@dataclass(frozen=True)
class CheckResult:
    """What the store answered, what that means and what to do. Contains no secrets."""

    status: Status
    answered: str
    means: str
    advice: str = ""


@dataclass(frozen=True)
class Finding:
    """One check and its result.

    ``required_for`` is the purpose that a failure rules out, if any. ``unmet`` names the checks
    that had to pass before this one and did not.
    """

    name: str
    tried: str
    required_for: Purpose | None
    result: CheckResult
    unmet: Sequence[str] = ()


@dataclass(frozen=True)
class Fix:
    """Commands or settings to paste; the title says who runs them, or where they go."""

    title: str
    text: str


@dataclass(frozen=True)
class Report:
    """All findings on one base URI, and fixes.

    ``endpoint`` is the address that the server uses, ``public_endpoint`` the one in signed URLs.
    """

    base_uri: str
    endpoint: str
    public_endpoint: str
    scratch: str
    findings: Sequence[Finding]
    fixes: Sequence[Fix] = ()

    def is_fit_for(self, purpose: Purpose) -> bool:
        """Return whether all checks that this purpose requires were made, and none failed."""
        required = {Purpose.READING, purpose}
        relevant = [finding for finding in self.findings if finding.required_for in required]
        return not any(each.result.status is Status.FAILED or each.unmet for each in relevant)


def ok(answered: str, means: str) -> CheckResult:
    """Return the result of a check that passed."""
    return CheckResult(Status.OK, answered, means)


def warning(answered: str, means: str, advice: str) -> CheckResult:
    """Return the result of a check that passed, but found something worth knowing."""
    return CheckResult(Status.WARNING, answered, means, advice)


def failed(answered: str, means: str, advice: str) -> CheckResult:
    """Return the result of a check that failed."""
    return CheckResult(Status.FAILED, answered, means, advice)


def skipped(why: str, advice: str = "") -> CheckResult:
    """Return the result of a check that was not made."""
    return CheckResult(Status.SKIPPED, "", why, advice)
