"""The one translation of errors into dserver's envelope: code, status, message, errors.

Knows every kind of error that can reach a door of this plugin, and says each in a sentence.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify
from flask_jwt_extended.exceptions import JWTExtendedException
from flask_smorest import Blueprint
from jwt import ExpiredSignatureError, PyJWTError
from werkzeug.exceptions import HTTPException

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.errors import DatabaseBusy, NotAuthenticated, SignedURLError
from dserver_signed_url_plugin.web import audit_hooks

logger = logging.getLogger(__name__)

_FIELDS_NAMED = 5


def install(blueprint: Blueprint) -> None:
    """Let every error that leaves a door of the blueprint be answered in the envelope."""
    blueprint.register_error_handler(SignedURLError, translate)
    blueprint.register_error_handler(HTTPException, _translate_http)
    blueprint.register_error_handler(JWTExtendedException, _translate_token)
    blueprint.register_error_handler(PyJWTError, _translate_token)
    for refusal in database.REFUSALS:
        blueprint.register_error_handler(refusal, _translate_database)


def translate(error: SignedURLError) -> Response:
    """Answer one of our own errors."""
    level = logging.ERROR if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
    logger.log(level, "%d %s", error.status, error.slug)
    audit_hooks.refused(error.slug)
    response = _envelope(error.status, error.message, {**error.details, "slug": error.slug})
    if isinstance(error, NotAuthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _translate_http(error: HTTPException) -> Response:
    """Answer what webargs and Werkzeug refuse; flask-smorest alone would drop the reason."""
    data = getattr(error, "data", None) or {}
    errors = data.get("errors") or data.get("messages") or {}
    message = "; ".join(list(_sentences(errors))[:_FIELDS_NAMED])
    return _envelope(error.code or 500, message or error.description or "", errors)


def _translate_token(error: Exception) -> Response:
    if isinstance(error, ExpiredSignatureError):
        return translate(NotAuthenticated("has expired"))
    return translate(NotAuthenticated())


def _translate_database(error: Exception) -> Response:
    advice = database.advice(error)
    logger.warning("The database refused: %s: %s", database.words(error), advice)
    return translate(DatabaseBusy(advice))


def _envelope(status: int, message: str, errors: Mapping[str, Any]) -> Response:
    body = {"code": status, "status": HTTPStatus(status).phrase, "message": message}
    response = jsonify({**body, "errors": errors} if errors else body)
    response.status_code = status
    return response


def _sentences(errors: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield `field: reason` for every leaf of marshmallow's nested messages."""
    if isinstance(errors, Mapping):
        for name, inner in errors.items():
            # webargs names the place first, which is no field of the person's.
            here = path if not path and name in ("json", "query") else (*path, str(name))
            yield from _sentences(inner, here)
    elif isinstance(errors, (list, tuple)):
        for inner in errors:
            yield from _sentences(inner, path)
    else:
        yield f"{'.'.join(path)}: {errors}" if path else str(errors)
