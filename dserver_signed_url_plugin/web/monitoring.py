"""The routes for programs that watch a server: its health and metrics. They require no token.

Their requests are neither audited nor counted, in the metrics or against a rate limit.
"""

from __future__ import annotations

from typing import TypedDict

from flask import Response, current_app

from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.health.service import Readiness
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.web import examples, openapi, token_keys
from dserver_signed_url_plugin.web.routes import blueprint
from dserver_signed_url_plugin.web.schemas.health import LiveSchema, ReadyQuerySchema, ReadySchema

# Under this name in app.extensions, the init_app() of a plugin adds its migrations to a dict: by
# package, the version table and the names of the other tables.
_MIGRATIONS = "dserver-migrations"


class ReadyQuery(TypedDict):
    """What ReadyQuerySchema loads."""

    stores: bool


class Live:
    """A process that answers; nothing else is looked at."""

    status = "live"
    extent = Extent()


@blueprint.route("/health/live", methods=["GET"], endpoint="health-live")
@blueprint.response(200, LiveSchema, example=examples.LIVE)
def live() -> Live:
    """Say that the process answers, whatever its database and stores do. Requires no token."""
    return Live()


@blueprint.route("/health/ready", methods=["GET"], endpoint="health-ready")
@blueprint.arguments(ReadyQuerySchema, location="query")
@blueprint.response(200, ReadySchema, example=examples.READY)
@blueprint.refuses({}, openapi.NOT_READY)
def ready(query: ReadyQuery) -> Readiness:
    """Say, within a second, whether the server can serve: tokens, database, tables. No token."""
    token_keys.check(current_app)
    others = current_app.extensions.get(_MIGRATIONS, {})
    return services().health.ready(others, stores=query["stores"])


@blueprint.route("/metrics", methods=["GET"], endpoint="metrics")
@blueprint.alt_response(200, description="Prometheus' text format", content_type="text/plain")
@blueprint.refuses({}, openapi.METRICS)
def metrics() -> Response:
    """Return metrics for Prometheus, if the operator has switched them on. Requires no token."""
    exposition = services().metrics.exposition(current_app.app_context)
    return Response(exposition, content_type="text/plain; version=0.0.4; charset=utf-8")
