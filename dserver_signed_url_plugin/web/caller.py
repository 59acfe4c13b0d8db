"""Who sends the current request: the user of a dserver token, or of the token of an upload."""

from __future__ import annotations

from dservercore.utils_auth import get_jwt_identity
from flask import request

from dserver_signed_url_plugin.uploads.tokens import TokenHolder

_HOLDER = "dserver_signed_url_plugin.token_holder"


def came_with(holder: TokenHolder) -> None:
    """Note that the request came with the token of an upload, which was checked."""
    request.environ[_HOLDER] = holder


def token_holder() -> TokenHolder | None:
    """Return for whom the token of an upload stands, or None if the request has none."""
    holder: TokenHolder | None = request.environ.get(_HOLDER)
    return holder


def username() -> str | None:
    """Return the user.

    :raises RuntimeError: if no token has been checked.
    """
    holder = token_holder()
    name: str | None = get_jwt_identity() if holder is None else holder.username
    return name
