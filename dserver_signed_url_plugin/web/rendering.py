"""Turns what a view returns into a response, unless its schema dumps it with status 200."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, request
from flask_smorest.pagination import PaginationMixin
from marshmallow import Schema
from msgspec import json

from dserver_signed_url_plugin.downloads.grants import DatasetGrant, ItemList
from dserver_signed_url_plugin.downloads.paging import Page
from dserver_signed_url_plugin.uploads.complete import Completing
from dserver_signed_url_plugin.web.schemas.common import StreamedSchema
from dserver_signed_url_plugin.web.schemas.downloads import DatasetGrantSchema
from dserver_signed_url_plugin.web.schemas.uploads import CompletingSchema
from dserver_signed_url_plugin.web.streamed import json_response, ndjson_response, text_response

JSON, NDJSON = "application/json", "application/x-ndjson"


def rendered(schema: type[Schema], view: Callable[..., Any]) -> Callable[..., Any]:
    """Return a view that answers as its schema says, or the request asks for.

    A completion that goes on is answered with 202.
    """

    @wraps(view)
    def with_rendering(*args: Any, **kwargs: Any) -> Any:
        result = view(*args, **kwargs)
        if isinstance(result, ItemList):
            return text_response(result.lines)
        if isinstance(result, DatasetGrant):
            return _dataset(result)
        if isinstance(result, Completing):
            return _accepted(result)
        if issubclass(schema, StreamedSchema):
            return json_response(schema.document(result))
        return result

    return with_rendering


def _accepted(completing: Completing) -> Response:
    response = jsonify(CompletingSchema().dump(completing))
    response.status_code = HTTPStatus.ACCEPTED
    response.headers["Retry-After"] = "1"
    return response


def _dataset(grant: DatasetGrant) -> Response:
    if request.accept_mimetypes.best_match([JSON, NDJSON]) == NDJSON:
        head, items = DatasetGrantSchema.lines(grant)
        response = ndjson_response(head, items)
    else:
        response = json_response(DatasetGrantSchema.document(grant))
    response.vary.add("Accept")
    set_pagination(response, grant.page)
    return response


def set_pagination(response: Response, page: Page | None) -> None:
    """Set dserver's header for a page, if the answer is one."""
    if page is None:
        return
    wanted = page.request
    metadata = PaginationMixin._make_pagination_metadata(wanted.number, wanted.size, page.total)
    response.headers[PaginationMixin.PAGINATION_HEADER_NAME] = json.encode(metadata).decode()
