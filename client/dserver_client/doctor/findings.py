"""The findings of a check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One result of a check. ``advice`` says what to do about a warning or a problem."""

    check: str
    status: str
    message: str
    advice: str = ""


def ok(check: str, message: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(check, "ok", message)


def warning(check: str, message: str, advice: str) -> Finding:
    """Return something that may do harm."""
    return Finding(check, "warning", message, advice)


def problem(check: str, message: str, advice: str) -> Finding:
    """Return something that stops this person."""
    return Finding(check, "problem", message, advice)
