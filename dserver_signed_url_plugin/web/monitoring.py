"""The routes for programs that watch a server: its health. They require no token.

Their requests are neither audited nor counted against a rate limit.
"""

from __future__ import annotations

from typing import TypedDict

from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.health.service import Readiness
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.web import examples, openapi
from dserver_signed_url_plugin.web.routes import blueprint
from dserver_signed_url_plugin.web.schemas.health import LiveSchema, ReadyQuerySchema, ReadySchema


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
    """Say, within a second, whether the server can serve: its database and tables. No token."""
    return services().health.ready(stores=query["stores"])
