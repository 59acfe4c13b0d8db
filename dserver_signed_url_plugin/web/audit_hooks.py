"""The witness at the doors: sees every answer leave, and has the decision written down.

Knows where in a request each fact of a decision is found: identity, action, URI, reason, extent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

from dservercore.utils_auth import get_jwt_identity
from flask import Blueprint, Response, request

from dserver_signed_url_plugin import request_ids
from dserver_signed_url_plugin.audit.decisions import GRANTED, REFUSED, Decision
from dserver_signed_url_plugin.downloads import DatasetGrant, ItemGrant
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.uploads.begin import UploadGrant
from dserver_signed_url_plugin.uploads.cancel import Cancellation
from dserver_signed_url_plugin.uploads.complete import Completion
from dserver_signed_url_plugin.uploads.status import UploadStatus

# What each door's view is called in the book.
ACTIONS = {
    "read_dataset": "read-dataset",
    "read_item": "read-item",
    "begin_upload": "upload-begin",
    "look_at_upload": "upload-status",
    "cancel_upload": "upload-cancel",
    "complete_upload": "upload-complete",
    "read_audit": "audit-read",
}
REQUEST_ID = "X-Request-ID"

_NOTES = "dserver_signed_url_plugin.notes"
_SANE_REQUEST_ID = re.compile(r"[!-~]{1,64}")

P = ParamSpec("P")
Answer = TypeVar("Answer")


class _RequestFacts:
    """What was learned of a request on its way."""

    def __init__(self) -> None:
        self.request_id = _request_id()
        self.uri: str | None = None
        self.reason: str | None = None
        self.answer: object = None
        self.is_written = False


def install(blueprint: Blueprint) -> None:
    """Let every request to the doors of the blueprint become exactly one decision."""
    blueprint.before_request(_correlate)
    blueprint.after_request(_write_down)
    blueprint.teardown_request(_write_down_crash)


def about(uri: str) -> None:
    """Note which URI a request is about, where its path does not say so."""
    _notes().uri = uri


def refused(reason: str) -> None:
    """Note why a request is refused, as a slug."""
    _notes().reason = reason


def witnessed(view: Callable[P, Answer]) -> Callable[P, Answer]:
    """Let a view's answer be noted before it is laid out for the wire."""

    @wraps(view)
    def seen(*args: P.args, **kwargs: P.kwargs) -> Answer:
        answer = view(*args, **kwargs)
        _notes().answer = answer
        return answer

    return seen


def _notes() -> _RequestFacts:
    notes: _RequestFacts | None = request.environ.get(_NOTES)
    if notes is None:
        request.environ[_NOTES] = notes = _RequestFacts()
    return notes


def _correlate() -> None:
    request_ids.begin(_notes().request_id, _action())


def _write_down(response: Response) -> Response:
    notes = _notes()
    response.headers[REQUEST_ID] = notes.request_id
    # A browser's preflight asks for nothing yet, and comes without a token.
    if request.method != "OPTIONS":
        _record(notes, response.status_code)
    return response


def _write_down_crash(error: BaseException | None) -> None:
    """Write down what Flask passes on to its caller, as it does while debugging or testing."""
    notes = _notes()
    request_ids.end()
    if error is not None and not notes.is_written:
        _record(notes, HTTPStatus.INTERNAL_SERVER_ERROR)


def _record(notes: _RequestFacts, status: int) -> None:
    notes.is_written = True
    is_granted = status < HTTPStatus.BAD_REQUEST
    services().audit.record(
        Decision(
            action=_action(),
            username="" if status == HTTPStatus.UNAUTHORIZED else _identity(),
            uri=_uri(notes),
            outcome=GRANTED if is_granted else REFUSED,
            reason=None if is_granted else notes.reason or f"http-{int(status)}",
            address=request.remote_addr,
            request_id=notes.request_id,
            **(_extent(notes.answer) if is_granted else {}),
        )
    )


def _action() -> str:
    view = (request.endpoint or "").rpartition(".")[2]
    return ACTIONS.get(view, view)


def _identity() -> str:
    try:
        return str(get_jwt_identity() or "")
    except RuntimeError:
        # Nobody has looked at the token yet.
        return ""


def _uri(notes: _RequestFacts) -> str:
    path = request.view_args or {}
    return str(notes.uri or path.get("uri") or path.get("base_uri") or "")


def _request_id() -> str:
    """Return what a proxy calls this request, so that its log and ours can be read together."""
    given = request.headers.get(REQUEST_ID, "")
    return given if _SANE_REQUEST_ID.fullmatch(given) else str(uuid4())


def _extent(answer: object) -> dict[str, Any]:
    """Return how much was granted, and until when, as far as it is known without asking anew."""
    match answer:
        case DatasetGrant():
            items, size = len(answer.urls.items), answer.size_in_bytes
        case ItemGrant():
            items, size = 1, None
        case UploadGrant():
            items, size = len(answer.items), _size(answer.items)
        case UploadStatus(grant=UploadGrant() as grant):
            return _extent(grant)
        case Completion():
            return {"items": answer.number_of_items, "size_in_bytes": answer.size_in_bytes}
        case Cancellation():
            return {"size_in_bytes": answer.freed.size_in_bytes}
        case _:
            return {}
    return {"items": items, "size_in_bytes": size, "expires_at": answer.life.ends}


def _size(items: Sequence[Item]) -> int | None:
    sizes = [item.size_in_bytes for item in items if item.size_in_bytes is not None]
    return sum(sizes) if len(sizes) == len(items) else None
