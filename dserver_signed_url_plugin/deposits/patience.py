"""Waiting for what passes by itself: a lease, and a store that assembles large items."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from dserver_signed_url_plugin.errors import AssemblyPending, UploadBusy

# Seconds to wait for a completion that was killed, and between two attempts.
_PATIENCE, _PAUSE = 60, 0.5

Result = TypeVar("Result")


def patiently(act: Callable[[], Result]) -> Result:
    """Wait while another request, such as a completion that was killed, holds the lease.

    And while the store assembles large items, which it says in time.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return act()
        except AssemblyPending:
            until = time.monotonic() + _PATIENCE
        except UploadBusy:
            if time.monotonic() > until:
                raise
        time.sleep(_PAUSE)
