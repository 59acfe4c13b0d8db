"""Moments as text."""

from __future__ import annotations

from datetime import datetime


def timestamp(moment: datetime) -> str:
    """Write a time (UTC) as the wire has it: 2024-01-15T14:30:00.000000Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
