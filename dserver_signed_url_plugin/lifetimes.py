"""How long a signed URL is asked to live, in seconds."""

from __future__ import annotations

from dserver_signed_url_plugin.errors import LifetimeTooLong


def chosen(asked: int | None, default: int, maximum: int) -> int:
    """Return what was asked for, or the default.

    :raises LifetimeTooLong: naming the maximum.
    """
    if asked is not None and asked > maximum:
        raise LifetimeTooLong("expiry_seconds", f"must be at most {maximum} on this server.")
    return default if asked is None else asked
