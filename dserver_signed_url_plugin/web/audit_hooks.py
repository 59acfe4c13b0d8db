"""Records requests, each as one decision of the audit and in the metrics; sets headers of answers.

Flask calls these hooks before and after each view, and when a request ends. A route's endpoint is
the name of its action in the audit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from time import perf_counter
from typing import ParamSpec, Protocol, TypeVar
from uuid import uuid4

from flask import Blueprint, Response, request

from dserver_signed_url_plugin import request_ids
from dserver_signed_url_plugin.audit.decisions import Decision, Extent, Outcome
from dserver_signed_url_plugin.audit.texts import printable_uri
from dserver_signed_url_plugin.errors import InternalError
from dserver_signed_url_plugin.observer import Answer
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.web import caller

REQUEST_ID = "X-Request-ID"

# Endpoints that programs request all day, without a token, and that grant nothing.
UNRECORDED = frozenset({"health-live", "health-ready", "metrics"})

_EXPOSED = f"{REQUEST_ID}, Retry-After, X-Pagination"
_FACTS = "dserver_signed_url_plugin.request_facts"
_SHOWN = 3  # segments of an unknown path, of which the first is empty
_REQUEST_ID = re.compile(r"[!-~]{1,64}")


class Result(Protocol):
    """What a view returns, before its schema dumps it."""

    @property
    def extent(self) -> Extent: ...


P = ParamSpec("P")
AnyResult = TypeVar("AnyResult", bound=Result)


class _RequestFacts:
    """What is known about the current request."""

    def __init__(self) -> None:
        self.request_id = _request_id()
        self._began = perf_counter()
        self.uri: str | None = None
        self.share: str | None = None
        self.reason: str | None = None
        self.extent = Extent()
        self.is_recorded = False

    @property
    def seconds(self) -> float:
        """The seconds since the request began."""
        return perf_counter() - self._began


def install(blueprint: Blueprint) -> None:
    """Let every request to the blueprint's routes become exactly one decision, but for probes."""
    blueprint.before_request(_begin)
    blueprint.after_request(_record_response)
    blueprint.teardown_request(_record_exception)


def about(uri: str, share: str | None = None) -> None:
    """Note which URI a request is about, where its path does not say so, and which share."""
    facts = _facts()
    facts.uri, facts.share = uri, share


def refused(reason: str) -> None:
    """Note why a request is refused, as a slug."""
    _facts().reason = reason


def granted(extent: Extent) -> None:
    """Note how much a request is granted, unless it is refused in the end."""
    _facts().extent = extent


def audited(view: Callable[P, AnyResult]) -> Callable[P, AnyResult]:
    """Note the extent of a view's result."""

    @wraps(view)
    def noting(*args: P.args, **kwargs: P.kwargs) -> AnyResult:
        result = view(*args, **kwargs)
        granted(result.extent)
        return result

    return noting


def described_request() -> str:
    """Return the URI, request ID and action of a request for a line in the log; no secret."""
    facts = _facts()
    uri = printable_uri(_uri(facts)) or described_route()
    return f"{uri} (request {facts.request_id}, {_action()})"


def described_route() -> str:
    """Return the URL rule, or the start of an unknown path, the rest of which may be a token."""
    if request.url_rule is not None:
        return request.url_rule.rule
    segments = request.path.split("/")
    start = printable_uri("/".join(segments[:_SHOWN]))
    return f"{start}/…" if len(segments) > _SHOWN else start


def set_headers(response: Response) -> Response:
    """Set X-Request-ID, let browsers read it, and forbid caching, because of signed URLs."""
    response.headers[REQUEST_ID] = _facts().request_id
    response.headers["Cache-Control"] = "no-store"
    # Flask-CORS, which runs later, adds a header of its own if the operator exposes others.
    response.headers.add("Access-Control-Expose-Headers", _EXPOSED)
    return response


def _facts() -> _RequestFacts:
    facts: _RequestFacts | None = request.environ.get(_FACTS)
    if facts is None:
        request.environ[_FACTS] = facts = _RequestFacts()
    return facts


def _begin() -> None:
    request_ids.begin(_facts().request_id, _action())
    services().metrics.observer.request_began()


def _record_response(response: Response) -> Response:
    # A browser's preflight requests nothing yet, and comes without a token.
    if request.method != "OPTIONS":
        _record(_facts(), response.status_code)
    return set_headers(response)


def _record_exception(error: BaseException | None) -> None:
    """Record what Flask passes on to its caller, as it does while debugging or testing."""
    facts = _facts()
    request_ids.end()
    if error is not None and not facts.is_recorded:
        _record(facts, HTTPStatus.INTERNAL_SERVER_ERROR)


def _record(facts: _RequestFacts, status: int) -> None:
    facts.is_recorded = True
    if _action() in UNRECORDED:
        return
    is_granted = status < HTTPStatus.BAD_REQUEST
    decision = Decision(
        action=_action(),
        username="" if status == HTTPStatus.UNAUTHORIZED else _identity(),
        uri=_uri(facts),
        share=facts.share,
        outcome=Outcome.GRANTED if is_granted else Outcome.REFUSED,
        reason=None if is_granted else facts.reason or InternalError.slug,
        address=request.remote_addr,
        request_id=facts.request_id,
        **vars(facts.extent if is_granted else Extent()),
    )
    services().audit.record(decision)
    answer = Answer(
        route=decision.action,
        status=status,
        slug=decision.reason,
        seconds=facts.seconds,
        uri=decision.uri,
        items=decision.items,
        size_in_bytes=decision.size_in_bytes,
    )
    services().metrics.observer.answered(answer)


def count_unknown(status: int) -> None:
    """Count a request that no route takes. It is not audited, because nothing was decided."""
    facts = _facts()
    answer = Answer(route=None, status=status, slug=facts.reason, seconds=facts.seconds)
    services().metrics.observer.answered(answer)


def _action() -> str:
    return (request.endpoint or request.method).rpartition(".")[2]


def _identity() -> str:
    try:
        return str(caller.username() or "")
    except RuntimeError:
        # No token has been looked at yet.
        return ""


def _uri(facts: _RequestFacts) -> str:
    return str(facts.uri or (request.view_args or {}).get("uri") or "")


def _request_id() -> str:
    """Return what a proxy calls this request, so that its log and ours can be read together."""
    given = request.headers.get(REQUEST_ID, "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid4())
