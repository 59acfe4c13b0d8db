"""The routes: each identifies the caller, checks the permission, parses the request and acts.

A route's endpoint is the name of its action in the audit. Errors become responses in
``error_handlers``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypedDict, TypeVar
from urllib.parse import quote

from flask_smorest import Blueprint
from flask_smorest.error_handler import ErrorSchema

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.audit.decisions import DecisionPage, parsed
from dserver_signed_url_plugin.downloads import DatasetGrant, ItemGrant
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.permissions import (
    UploadPermit,
    permit_completion,
    permit_read,
    permit_upload,
)
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uploads.begin import UploadGrant
from dserver_signed_url_plugin.uploads.cancel import Cancellation
from dserver_signed_url_plugin.uploads.complete import Completion
from dserver_signed_url_plugin.uploads.status import UploadStatus
from dserver_signed_url_plugin.uris import DatasetURI
from dserver_signed_url_plugin.web import audit_hooks, body_parser, error_handlers
from dserver_signed_url_plugin.web.announcement import Announcement, CompletionRequest
from dserver_signed_url_plugin.web.authentication import identified, identity, may_register
from dserver_signed_url_plugin.web.schemas.audit import AuditQuerySchema, AuditSchema
from dserver_signed_url_plugin.web.schemas.common import ReadingSchema
from dserver_signed_url_plugin.web.schemas.downloads import DatasetGrantSchema, ItemGrantSchema
from dserver_signed_url_plugin.web.schemas.status import (
    CancelSchema,
    UploadStatusQuerySchema,
    UploadStatusSchema,
)
from dserver_signed_url_plugin.web.schemas.uploads import (
    CompletionPlanSchema,
    CompletionSchema,
    UploadGrantSchema,
    UploadPlanSchema,
)

View = TypeVar("View", bound=Callable[..., object])


class SignedURLBlueprint(Blueprint):  # type: ignore[misc]  # untyped in flask-smorest
    """flask-smorest's blueprint, with limits for bodies and stores, and with an audit."""

    ARGUMENTS_PARSER = body_parser.BodyParser()

    def response(self, *args: Any, **kwargs: Any) -> Callable[[View], View]:
        """Note the extent of a view's result, then dump it."""
        dump = super().response(*args, **kwargs)
        return lambda view: dump(audit_hooks.audited(_limited(view)))


def _limited(view: Callable[..., Any]) -> Callable[..., Any]:
    """Limit how long a view may wait for its store."""

    @wraps(view)
    def limited(*args: Any, **kwargs: Any) -> Any:
        with services().storages.call():
            return view(*args, **kwargs)

    return limited


blueprint = SignedURLBlueprint(
    "signed_urls",
    __name__,
    url_prefix="/signed-urls",
    description="Time-limited signed URLs to read and deposit datasets.",
)
blueprint.before_request(database.limit_request)
error_handlers.install(blueprint)
audit_hooks.install(blueprint)
blueprint.after_request(body_parser.close_unless_read)

_REFUSALS = {
    400: "A URI, name, relpath or body cannot be used; `message` says why",
    401: "No token, or one that is not valid",
    403: "No permission on the base URI, or dserver does not know it",
    429: "More requests than this server takes of one person or address; `Retry-After` says when",
    501: "The storage of this base URI cannot sign URLs; `message` names it",
    502: "The store is away or refuses the server; call again after `Retry-After`, or later",
    503: "The database is busy or away; call again after `Retry-After`",
}
_READING = {
    404: "dserver does not have it, or storage no longer holds it",
    409: "The store keeps it in an archive; `message` says what restores it",
    410: "A lifecycle rule of its store may delete it at any moment",
}
_BODIES = {411: "The body came without its length", 413: "The body is too large"}
_UPLOADING = {
    **_BODIES,
    409: "Registered already; or the UUID is pending elsewhere, by someone else or with other "
    "contents; or storage holds a dataset there; or another request is opening it; or this person "
    "has as much pending as this server allows",
}
_COMPLETING = {
    **_BODIES,
    400: "Nothing is pending, or items are missing or differ: `errors` holds `missing` (relpaths) "
    "and `mismatched` (relpath, expected, found), the first 100 of each, and their totals",
    409: "Another completion is running, or the UUID is pending at another base URI",
}

_LOOKING = {
    404: "There is no upload and no dataset under this URI",
    409: "There is nothing to sign: announce the upload again, or complete it; or another "
    "request is opening or completing it",
}
_AUDITING = {404: "This server keeps no table of decisions"}
_CANCELLING = {
    409: "It is registered or frozen, or another request is opening or completing it",
}


class ReadingQuery(TypedDict):
    """What ReadingSchema loads."""

    expiry_seconds: int | None
    disposition: Disposition


class UploadStatusQuery(TypedDict):
    """What ProgressQuerySchema loads."""

    urls: bool
    expiry_seconds: int | None


class AuditQuery(TypedDict):
    """What AuditQuerySchema loads."""

    limit: int
    before: int | None


def _encoded(name: str, example: str) -> dict[str, object]:
    """Document a URI in the path."""
    text = f"URL-encoded once, as in {quote(example, safe='')}"
    return {"name": name, "in": "path", "description": text, "schema": {"type": "string"}}


_URI = _encoded("uri", "s3://bucket/550e8400-e29b-41d4-a716-446655440000")
_BASE_URI = _encoded("base_uri", "s3://bucket")
_IDENTIFIER = {
    "name": "identifier",
    "in": "path",
    "description": "SHA-1 of the item's relpath, as 40 hexadecimal digits",
    "schema": {"type": "string"},
}


def _refuses(more: dict[int, str]) -> Callable[[View], View]:
    """Document the errors of a route."""

    def decorate(view: View) -> View:
        for status, description in sorted({**_REFUSALS, **more}.items(), reverse=True):
            view = blueprint.alt_response(status, schema=ErrorSchema, description=description)(view)
        return view

    return decorate


@blueprint.route("/dataset/<path:uri>", methods=["GET"], parameters=[_URI], endpoint="read-dataset")
@identified
@blueprint.arguments(ReadingSchema, location="query")
@blueprint.response(200, DatasetGrantSchema)
@_refuses(_READING)
def read_dataset(query: ReadingQuery, uri: str) -> DatasetGrant:
    """Answer with signed GETs for all of a dataset; needs search permission on its base URI."""
    dataset = DatasetURI.parse(uri)
    permit = permit_read(identity(), dataset.base)
    asked, disposition = query["expiry_seconds"], query["disposition"]
    return services().downloads.dataset(permit, dataset.uuid, asked, disposition)


@blueprint.route(
    "/item/<path:uri>/<identifier>",
    methods=["GET"],
    parameters=[_URI, _IDENTIFIER],
    endpoint="read-item",
)
@identified
@blueprint.arguments(ReadingSchema, location="query")
@blueprint.response(200, ItemGrantSchema)
@_refuses(_READING)
def read_item(query: ReadingQuery, uri: str, identifier: str) -> ItemGrant:
    """Answer with one signed GET for one item; needs search permission on its base URI."""
    dataset = DatasetURI.parse(uri)
    permit = permit_read(identity(), dataset.base)
    asked, disposition = query["expiry_seconds"], query["disposition"]
    return services().downloads.item(permit, dataset.uuid, identifier, asked, disposition)


@blueprint.route(
    "/upload/<path:uri>", methods=["POST"], parameters=[_BASE_URI], endpoint="upload-begin"
)
@identified
@may_register
@blueprint.arguments(UploadPlanSchema)
@blueprint.response(200, UploadGrantSchema)
@_refuses(_UPLOADING)
def begin_upload(permit: UploadPermit, announced: Announcement) -> UploadGrant:
    """Open an upload; answer with one signed PUT per item. The same call again resumes it."""
    audit_hooks.about(f"{permit.base_uri}/{announced.uuid}")
    plan = announced.plan(services().settings.max_items)
    return services().uploads.begin(permit, plan)


@blueprint.route("/upload/<path:uri>", methods=["GET"], parameters=[_URI], endpoint="upload-status")
@identified
@blueprint.arguments(UploadStatusQuerySchema, location="query")
@blueprint.response(200, UploadStatusSchema)
@_refuses(_LOOKING)
def upload_status(query: UploadStatusQuery, uri: str) -> UploadStatus:
    """Answer how far an upload has come; with ?urls=true, sign what is still to be sent."""
    dataset = DatasetURI.parse(uri)
    permit = permit_completion(identity(), dataset.base)
    return services().progresses.of(permit, dataset.uuid, query["urls"], query["expiry_seconds"])


@blueprint.route(
    "/upload/<path:uri>", methods=["DELETE"], parameters=[_URI], endpoint="upload-cancel"
)
@identified
@blueprint.response(200, CancelSchema)
@_refuses(_CANCELLING)
def cancel_upload(uri: str) -> Cancellation:
    """Cancel an upload, storage included. The same call again answers again."""
    dataset = DatasetURI.parse(uri)
    permit = permit_completion(identity(), dataset.base)
    return services().removals.cancel(permit, dataset.uuid)


@blueprint.route("/upload-complete", methods=["POST"], endpoint="upload-complete")
@identified
@blueprint.arguments(CompletionPlanSchema)
@blueprint.response(200, CompletionSchema)
@_refuses(_COMPLETING)
def complete_upload(asked: CompletionRequest) -> Completion:
    """Verify an upload item by item, freeze and register it. The same call again answers again."""
    audit_hooks.about(asked.uri)
    dataset = DatasetURI.parse(asked.uri)
    permit = permit_completion(identity(), dataset.base)
    return services().completions.complete(permit, dataset.uuid)


@blueprint.route("/audit/<path:uri>", methods=["GET"], parameters=[_URI], endpoint="audit-read")
@identified
@blueprint.arguments(AuditQuerySchema, location="query")
@blueprint.response(200, AuditSchema)
@_refuses(_AUDITING)
def read_audit(query: AuditQuery, uri: str) -> DecisionPage:
    """Answer who was granted or refused what here, newest first; needs register permission.

    A base URI stands for all that is below it.
    """
    place = parsed(uri)
    base, uuid = (place.base, place.uuid) if isinstance(place, DatasetURI) else (place, None)
    permit = permit_upload(identity(), base)
    return services().audit.page(permit, uuid, query["before"], query["limit"])
