"""Takes the tokens of links out of OpenTelemetry's spans, where an operator traces requests.

Neither this module nor the rest of the plugin needs OpenTelemetry.
"""

from __future__ import annotations

import sys

from flask import Blueprint, Response, request

from dserver_signed_url_plugin.web import audit_hooks

_PREFIX = "signed-urls"
# Attributes that hold the path or the query of a request (OpenTelemetry's semantic conventions for
# HTTP spans, 1.12 and 1.20 and newer).
_PATHS, _URLS, _QUERIES = ("http.target", "url.path"), ("http.url", "url.full"), ("url.query",)


def install(blueprint: Blueprint) -> None:
    """Correct the span of each request, also if no route matches."""
    blueprint.after_app_request(_hide_path)


def _hide_path(response: Response) -> Response:
    """Replace the path, which may hold the token of a link or a signed URL, by its route."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or _PREFIX not in request.path:
        return response
    span = trace.get_current_span()
    route, known = audit_hooks.described_route(), getattr(span, "attributes", None) or {}
    hidden = dict.fromkeys(_PATHS, route)
    hidden |= dict.fromkeys(_URLS, f"{request.host_url.rstrip('/')}{route}")
    hidden |= dict.fromkeys(_QUERIES, "")
    span.set_attributes({name: value for name, value in hidden.items() if name in known})
    if request.url_rule is None and span.is_recording():
        span.update_name(f"{request.method} {route}")
    return response
