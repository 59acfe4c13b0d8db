"""Decorators that identify the caller, and check permission, before a body is read.

Knows dserver's tokens; ``permissions`` decides what a user may do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from dservercore.utils_auth import get_jwt_identity, jwt_required
from flask import current_app, request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import PyJWTError

from dserver_signed_url_plugin.errors import NotAuthenticated, UploadTokenRefused
from dserver_signed_url_plugin.permissions import permit_completion, permit_read, permit_upload
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI
from dserver_signed_url_plugin.web import caller, token_keys

UPLOAD_TOKEN = "Upload-Token"  # noqa: S105 (the name of a header)

# What a database can store, and not empty, which stands for an operator.
_NAME = re.compile("[^\x00\ud800-\udfff]+")

P = ParamSpec("P")
Result = TypeVar("Result")


def identified(view: Callable[P, Result]) -> Callable[P, Result]:
    """Require a valid token, and count the request against the rate limit.

    :raises TooManyRequests: above ``SIGNED_URL_RATE_LIMIT``, of the user or else of the address.
    :raises NotAuthenticated: if the token's identity is not a string that a database can store.
    :raises TokenKeyUnusable: if this server can verify no token.
    """

    @wraps(view)
    def limited(*args: P.args, **kwargs: P.kwargs) -> Result:
        name = get_jwt_identity()
        if name is not None and (not isinstance(name, str) or not _NAME.fullmatch(name)):
            raise NotAuthenticated("has an identity that dserver cannot know")
        services().rate_limits.check_user(name or "")
        return view(*args, **kwargs)

    required: Callable[P, Result] = jwt_required()(limited)

    @wraps(view)
    def authenticated(*args: P.args, **kwargs: P.kwargs) -> Result:
        token_keys.check(current_app)
        try:
            return required(*args, **kwargs)
        except (JWTExtendedException, PyJWTError, NotAuthenticated):
            services().rate_limits.check_address(request.remote_addr)
            raise

    return authenticated


def identified_for_upload(view: Callable[P, Result]) -> Callable[P, Result]:
    """Require a valid token, of the caller or of an upload; if both are sent, the latter counts.

    :raises UploadTokenRefused: if that was not made here, or has ended.
    """
    by_own_token = identified(view)

    @wraps(view)
    def authenticated(*args: P.args, **kwargs: P.kwargs) -> Result:
        token = request.headers.get(UPLOAD_TOKEN)
        if token is None:
            return by_own_token(*args, **kwargs)
        limits, tokens = services().rate_limits, services().upload_tokens
        try:
            holder = tokens.check(token)
        except UploadTokenRefused:
            limits.check_address(request.remote_addr)
            raise
        caller.came_with(holder)
        limits.check_user(holder.username)
        return view(*args, **kwargs)

    return authenticated


def identity() -> str:
    """Return the username of the caller."""
    name: str = get_jwt_identity()
    return name


def uploader(dataset: DatasetURI) -> str:
    """Return the username of the caller, who may have come with the token of this upload.

    :raises UploadTokenRefused: if it is the token of another upload.
    """
    holder = caller.token_holder()
    if holder is None:
        return identity()
    if holder.uri != dataset:
        raise UploadTokenRefused("is of another upload")
    return holder.username


def may_register(view: Callable[..., Result]) -> Callable[..., Result]:
    """Call a view with a permit instead of the base URI in its path.

    :raises PermissionDenied: if the caller has no register permission on it.
    """

    @wraps(view)
    def permitted(uri: str) -> Result:
        return view(permit_upload(identity(), BaseURI.parse(uri)))

    return permitted


def may_read(view: Callable[..., Result]) -> Callable[..., Result]:
    """Call a view with a permit and a UUID instead of the dataset URI in its path.

    :raises PermissionDenied: if the caller has no search permission on its base URI.
    """

    @wraps(view)
    def permitted(uri: str) -> Result:
        dataset = DatasetURI.parse(uri)
        return view(permit_read(identity(), dataset.base), dataset.uuid)

    return permitted


def may_complete(view: Callable[..., Result]) -> Callable[..., Result]:
    """Call a view with a permit and the UUID instead of the dataset URI in its path.

    :raises PermissionDenied: unless the caller is an admin, or has register permission.
    """

    @wraps(view)
    def permitted(uri: str, **path: str) -> Result:
        dataset = DatasetURI.parse(uri)
        return view(permit_completion(uploader(dataset), dataset.base), uuid=dataset.uuid, **path)

    return permitted
