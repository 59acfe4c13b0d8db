"""A terminal for programs that show how far they have come."""

from __future__ import annotations

import pty

import pytest


def opened() -> tuple[int, int]:
    """Return descriptors of a terminal, ours and the program's; skip where there are none."""
    try:
        return pty.openpty()
    except OSError as reason:
        pytest.skip(f"this machine has no terminals (/dev/pts): {reason}")
