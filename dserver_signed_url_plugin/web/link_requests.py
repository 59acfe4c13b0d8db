"""Requests to the link of a share, whose path holds its token: what they want, what answers carry.

The token is all that somebody needs, so answers keep it from other sites, caches and search
engines.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from flask import Response, request
from werkzeug.urls import iri_to_uri

from dserver_signed_url_plugin.services import services

HTML, JSON = "text/html", "application/json"

# Also as it is before slashes are merged, which the redirect to that repeats.
_PATH = re.compile(r"/+signed-urls/+s(/|\Z)")
_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
# Of answers that are no page: a browser that displays one runs and loads nothing.
_NOTHING_RUNS = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def is_link() -> bool:
    """Return whether the current request is one to a link, or below it."""
    return _PATH.match(request.path) is not None


def wants_html() -> bool:
    """Return whether the client wants a page, as browsers do, and all that do not say.

    Who asks for a list is a program, unless it says that it prefers pages.
    """
    first, second = (JSON, HTML) if request.args.get("format") else (HTML, JSON)
    return request.accept_mimetypes.best_match([first, second], first) == HTML


def protected(response: Response) -> Response:
    """Set the headers that every answer to a link has; what a page sets itself is kept."""
    for name, value in _HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Content-Security-Policy", _NOTHING_RUNS)
    if response.mimetype in (HTML, JSON):
        response.vary.add("Accept")
    return response


def base_url() -> str:
    """Return the address of dserver without a slash at its end, for links in an answer.

    Without ``SIGNED_URL_PUBLIC_URL``, links have the host that the client has sent.
    """
    public_url = services().settings.public_url
    if public_url is not None:
        return public_url
    address: str = iri_to_uri(request.root_url)
    return quote(address, safe=":/?#[]@!$&'()*+,;=%~").rstrip("/")
