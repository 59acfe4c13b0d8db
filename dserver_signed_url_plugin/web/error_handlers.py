"""Translates every error of a route into dserver's envelope: code, status, message, errors.

Every refusal has ``errors.slug``, and leaves one line in the log. Whoever opens the link of a share
in a browser is shown a page instead.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, request
from flask_jwt_extended.exceptions import JWTExtendedException
from flask_smorest import Blueprint
from jwt import ExpiredSignatureError, PyJWTError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from dserver_signed_url_plugin import database, errors
from dserver_signed_url_plugin.errors import (
    BodyTooLarge,
    DatabaseBusy,
    InternalError,
    InvalidField,
    NotAuthenticated,
    RequestRefused,
    RouteNotFound,
    SignedURLError,
)
from dserver_signed_url_plugin.web import audit_hooks, link_requests, share_page

logger = logging.getLogger(__name__)

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MAX_FIELDS = 5  # in a message; ``errors`` has all
_MAX_REASON = 200  # characters


def install(blueprint: Blueprint) -> None:
    """Register the handlers for what the blueprint's views raise, and for URLs without a view."""
    blueprint.register_error_handler(SignedURLError, translate)
    blueprint.register_error_handler(HTTPException, _translate_http)
    blueprint.register_error_handler(JWTExtendedException, _translate_token)
    blueprint.register_error_handler(PyJWTError, _translate_token)
    for refusal in database.REFUSALS:
        blueprint.register_error_handler(refusal, _translate_database)

    def translate_routing(response: Response) -> Response:
        # Not an error handler, which could only be one for all routes of dserver.
        is_ours = f"{request.path}/".startswith(f"{blueprint.url_prefix}/")
        response = _translate_routing(response) if is_ours else response
        return link_requests.protected(response) if link_requests.is_link() else response

    blueprint.after_app_request(translate_routing)


def translate(error: SignedURLError) -> Response:
    """Return the response for an error of this plugin."""
    return _response(error, error.message, error.details)


def _translate_http(error: HTTPException) -> Response:
    """Return the response for what webargs, Werkzeug or Flask raise, with the headers of that."""
    # What flask-smorest's abort() was called with, or webargs found.
    data = getattr(error, "data", None) or {}
    if data.get("messages"):
        response = _translate_fields(data["messages"])
    else:
        own, details = _own(error), data.get("errors")
        details = details if isinstance(details, Mapping) else own.details
        response = _response(own, str(data.get("message") or own.message), details)
    response.headers.update({**_extra_headers(error), **(data.get("headers") or {})})
    return response


def _translate_fields(messages: Mapping[str, Any]) -> Response:
    """Return the response for query parameters that do not fit their schema."""
    found = list(_leaves(messages))
    error = InvalidField(*found[0], status=HTTPStatus.UNPROCESSABLE_ENTITY)
    sentences = [f"{field}: {reason}" if field else reason for field, reason in found]
    return _response(error, "; ".join(sentences[:_MAX_FIELDS]), messages)


def _own(error: HTTPException) -> SignedURLError:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return BodyTooLarge(request.max_content_length or 0)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return InternalError()
    return RequestRefused(status, error.description or error.name)


def _translate_routing(response: Response) -> Response:
    """Return the response for a URL or a method that no route has."""
    error = request.routing_exception
    if isinstance(error, NotFound):
        response = translate(RouteNotFound())
    elif isinstance(error, MethodNotAllowed):
        response = translate(errors.MethodNotAllowed(request.method))
        response.headers.update(_extra_headers(error))
    else:
        return response
    audit_hooks.count_unknown(response.status_code)
    return audit_hooks.set_headers(response)


def _extra_headers(error: HTTPException) -> dict[str, str]:
    """Return headers such as Allow or Retry-After that an exception brings."""
    return {name: value for name, value in error.get_headers() if name != "Content-Type"}


def _translate_token(error: Exception) -> Response:
    if isinstance(error, ExpiredSignatureError):
        return translate(NotAuthenticated("has expired"))
    return translate(NotAuthenticated())


def _translate_database(error: Exception) -> Response:
    advice = database.advice(error)
    where = audit_hooks.described_request()
    logger.warning(
        "The database refused: %s: %s: %s", database.driver_message(error), advice, where
    )
    return translate(DatabaseBusy(advice))


def _response(error: SignedURLError, message: str, details: Mapping[str, Any]) -> Response:
    status = HTTPStatus(error.status)
    level = logging.ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
    logger.log(level, "%d %s: %s", status, error.slug, audit_hooks.described_request())
    audit_hooks.refused(error.slug)
    if link_requests.is_link() and link_requests.wants_html():
        response = share_page.gone(error)
    else:
        response = jsonify(
            {
                "code": status,
                "status": status.phrase,
                "message": message,
                "errors": {**details, "slug": error.slug},
            }
        )
    response.status = f"{status:d} {_reason_phrase(message)}"
    if isinstance(error, NotAuthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _reason_phrase(message: str) -> str:
    """Return a message as the reason phrase of a status line: RFC 9112, section 4.

    Some clients, dtool-dserver among them, show people nothing else.
    """
    line = " ".join(_CONTROLS.sub(" ", message).split())
    return line.encode("latin-1", "replace").decode("latin-1")[:_MAX_REASON]


def _leaves(messages: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield ``(field, reason)`` for every leaf of marshmallow's nested messages."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            # webargs names the location first, which is no field of the caller's.
            here = path if not path and name == "query" else (*path, str(name))
            yield from _leaves(inner, here)
    elif isinstance(messages, (list, tuple)):
        for inner in messages:
            yield from _leaves(inner, path)
    else:
        yield ".".join(path), str(messages)
