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


class Use(str, Enum):
    """What a base URI is to be fit for; what spoils reading spoils uploading too."""

    READING = "reading"
    UPLOADING = "uploading"


@dataclass(frozen=True)
class Outcome:
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
    spoils: Use | None
    outcome: Outcome
    waits_for: Sequence[str] = ()


@dataclass(frozen=True)
class Cure:
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
    cures: Sequence[Cure] = ()

    def is_fit_for(self, use: Use) -> bool:
        """Tell whether all that this use needs was examined, and nothing of it failed."""
        needed = [found for found in self.findings if found.spoils in {Use.READING, use}]
        return not any(found.outcome.status is Status.FAILED or found.waits_for for found in needed)


def ok(answered: str, means: str) -> Outcome:
    """Say that all is as it should be."""
    return Outcome(Status.OK, answered, means)


def warning(answered: str, means: str, advice: str) -> Outcome:
    """Say that it works, and that somebody should know something about it."""
    return Outcome(Status.WARNING, answered, means, advice)


def failed(answered: str, means: str, advice: str) -> Outcome:
    """Say that it does not work, or not as promised."""
    return Outcome(Status.FAILED, answered, means, advice)


def skipped(why: str, advice: str = "") -> Outcome:
    """Say why it was not examined."""
    return Outcome(Status.SKIPPED, "", why, advice)
