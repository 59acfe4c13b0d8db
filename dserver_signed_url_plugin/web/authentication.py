"""Who asks, and whether they may, before anything that they send is read.

Knows dserver's tokens; what a person may do is known in permissions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from dservercore.utils_auth import get_jwt_identity, jwt_required
from flask import request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import PyJWTError

from dserver_signed_url_plugin.errors import NotAuthenticated
from dserver_signed_url_plugin.permissions import permit_upload
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uris import BaseURI

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

P = ParamSpec("P")
Answer = TypeVar("Answer")


def identified(view: Callable[P, Answer]) -> Callable[P, Answer]:
    """Let a view be called only for a valid token that names somebody.

    :raises TooManyRequests: above ``SIGNED_URL_RATE_LIMIT``, of that person or else of the address.
    :raises NotAuthenticated: if it names what no database can hold, so that nobody is called so.
    """

    @wraps(view)
    def known(*args: P.args, **kwargs: P.kwargs) -> Answer:
        name = get_jwt_identity()
        if name is not None and (not isinstance(name, str) or _UNSTORABLE.search(name)):
            raise NotAuthenticated("names nobody whom dserver could know")
        services().rates.check_user(name or "")
        return view(*args, **kwargs)

    required: Callable[P, Answer] = jwt_required()(known)

    @wraps(view)
    def answered(*args: P.args, **kwargs: P.kwargs) -> Answer:
        try:
            return required(*args, **kwargs)
        except (JWTExtendedException, PyJWTError, NotAuthenticated):
            services().rates.check_address(request.remote_addr)
            raise

    return answered


def identity() -> str:
    """Return the username of whoever asks."""
    name: str = get_jwt_identity()
    return name


def may_register(view: Callable[..., Answer]) -> Callable[..., Answer]:
    """Give a view a permit for the base URI in its path, in the place of that.

    :raises PermissionDenied: if whoever asks has no register permission there.
    """

    @wraps(view)
    def permitted(uri: str) -> Answer:
        return view(permit_upload(identity(), BaseURI.parse(uri)))

    return permitted
