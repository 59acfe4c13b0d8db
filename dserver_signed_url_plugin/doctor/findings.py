"""What the doctor finds: values, and what follows from them for a base URI.

Knows nothing of how anything was examined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Status(str, Enum):
    """How one examination ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Purpose(str, Enum):
    """What a base URI is to be fit for; what spoils reading spoils uploading too."""

    READING = "reading"
    UPLOADING = "uploading"


@dataclass(frozen=True)
class CheckResult:
    """What came back, what it means and what to do. Never a signature, a token or a key."""

    status: Status
    answered: str
    means: str
    advice: str = ""


@dataclass(frozen=True)
class Finding:
    """One examination and its outcome; a failure spoils the use, if one is named.

    ``waits_for`` names the examinations without whose success this one says nothing.
    """

    name: str
    tried: str
    spoils: Purpose | None
    outcome: CheckResult
    waits_for: Sequence[str] = ()


@dataclass(frozen=True)
class Fix:
    """Commands or settings, ready to paste, and for whom they are."""

    title: str
    text: str


@dataclass(frozen=True)
class Report:
    """All findings on one base URI, and cures; ``outside`` is the store's address for people."""

    base_uri: str
    inside: str
    outside: str
    scratch: str
    findings: Sequence[Finding]
    cures: Sequence[Fix] = ()

    def is_fit_for(self, use: Purpose) -> bool:
        """Tell whether all that this use needs was examined, and nothing of it failed."""
        needed = [found for found in self.findings if found.spoils in {Purpose.READING, use}]
        return not any(found.outcome.status is Status.FAILED or found.waits_for for found in needed)


def ok(answered: str, means: str) -> CheckResult:
    """Say that all is as it should be."""
    return CheckResult(Status.OK, answered, means)


def warning(answered: str, means: str, advice: str) -> CheckResult:
    """Say that it works, and that somebody should know something about it."""
    return CheckResult(Status.WARNING, answered, means, advice)


def failed(answered: str, means: str, advice: str) -> CheckResult:
    """Say that it does not work, or not as promised."""
    return CheckResult(Status.FAILED, answered, means, advice)


def skipped(why: str, advice: str = "") -> CheckResult:
    """Say why it was not examined."""
    return CheckResult(Status.SKIPPED, "", why, advice)
