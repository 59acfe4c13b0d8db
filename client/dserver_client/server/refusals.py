"""Turn dserver's error responses into this package's exceptions."""

from __future__ import annotations

import json
from typing import Any, Literal

from dserver_client.connections import origin
from dserver_client.errors import ClientError, NotLoggedIn, Refused, Unavailable
from dserver_client.http import Response, retry_after
from dserver_client.values import User

# For servers that give no message, as the reference implementation.
_SENTENCES = {
    400: "dserver cannot use this request.",
    401: "dserver does not accept the token, or does not know its user: log in again.",
    403: "You have no permission for this base URI: ask an administrator of dserver.",
    404: "dserver has nothing under this URI.",
    409: "This conflicts with what dserver has: it may be registered, or pending elsewhere.",
    410: "It is no longer there.",
    422: "dserver does not understand this request.",
    501: "The storage of this base URI cannot sign URLs.",
}
_MAX_MESSAGE = 2_000  # characters


def refusal(response: Response, url: str) -> ClientError:
    """Return the error for an answer of 300 and above."""
    envelope = _envelope(response)
    facts = envelope.get("errors")
    facts = dict(facts) if isinstance(facts, dict) else {}
    slug = str(facts.pop("slug", f"http-{response.status}"))
    error = _error(response, url, _message(response, envelope, url), slug, facts)
    error.request_id = response.headers.get("X-Request-ID")
    return error


def not_permitted(user: User, action: Literal["read", "deposit"], base_uri: str) -> Refused:
    """Return the error for a base URI where a user may not read, or not deposit, datasets."""
    places = user.search_base_uris if action == "read" else user.register_base_uris
    name, listed = user.username, ", ".join(places)
    where = f"{name} may {action} at {listed}." if places else "Ask an administrator of dserver."
    return Refused(
        f"{name} may not {action} at {base_uri}, or dserver does not know it. {where}",
        403,
        "permission-denied",
        {"base_uri": base_uri},
    )


def is_json(response: Response) -> bool:
    """Return whether an answer says that it is JSON."""
    return "json" in response.headers.get("Content-Type", "")


def _error(
    response: Response, url: str, message: str, slug: str, facts: dict[str, Any]
) -> ClientError:
    status = response.status
    if 300 <= status < 400:
        return _redirected(response, url)
    # flask-jwt-extended answers 422 to what is no token at all.
    if status == 401 or (status == 422 and "msg" in _envelope(response)):
        return NotLoggedIn(message)
    if status in (429, 500, 502, 503, 504):
        seconds = retry_after(response)
        again = "" if seconds is None else f" Try again in {seconds:.0f} s."
        error = Unavailable(message + again)
        error.slug = slug
        return error
    return Refused(message, status, slug, facts)


def _message(response: Response, envelope: dict[str, Any], url: str) -> str:
    message = envelope.get("message")
    if isinstance(message, str) and message:
        return message[:_MAX_MESSAGE]
    if reason := envelope.get("msg"):
        return f"dserver does not accept the token ({reason}): log in again."[:_MAX_MESSAGE]
    if envelope.get("errors"):
        # webargs: {"json": {"field": ["sentence"]}}
        return f"dserver does not understand this request: {json.dumps(envelope['errors'])}"[
            :_MAX_MESSAGE
        ]
    default = f"{origin(url)} answers {response.status} {response.reason or ''}".rstrip() + "."
    return _SENTENCES.get(response.status, default)


def _envelope(response: Response) -> dict[str, Any]:
    if not is_json(response):
        return {}
    try:
        found = json.loads(response.data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _redirected(response: Response, url: str) -> ClientError:
    place = response.headers.get("Location", "").partition("?")[0]
    return Unavailable(
        f"{origin(url)} answers with a redirect to {place or 'nowhere'}: is that the address of "
        "dserver (DSERVER_URL), or a page to log in?"
    )
