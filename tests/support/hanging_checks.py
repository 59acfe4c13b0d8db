"""Checks in threads of their own, which go on after nobody waits for them any more."""

from __future__ import annotations

import threading

from dserver_signed_url_plugin.shared_result import THREAD


def end_checks() -> None:
    """Wait until they have returned their connections, before these are closed."""
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(30)
