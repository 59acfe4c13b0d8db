"""The routes: each identifies the caller, checks the permission, parses the request and acts.

A route's endpoint is the name of its action in the audit. Errors become responses in
``error_handlers``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypedDict

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.audit.decisions import DecisionPage
from dserver_signed_url_plugin.audit.texts import parsed
from dserver_signed_url_plugin.downloads.grants import (
    DatasetGrant,
    ItemGrant,
    ItemList,
    SelectedItems,
)
from dserver_signed_url_plugin.downloads.lists import ListFormat
from dserver_signed_url_plugin.downloads.paging import PageRequest
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.permissions import (
    ReadPermit,
    UploadPermit,
    permit_completion,
    permit_read,
    permit_upload,
)
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uploads.cancel import Cancellation
from dserver_signed_url_plugin.uploads.complete import Completing, Completion
from dserver_signed_url_plugin.uploads.grant import UploadGrant
from dserver_signed_url_plugin.uploads.parts import PartGrant
from dserver_signed_url_plugin.uploads.status import UploadStatus
from dserver_signed_url_plugin.uris import DatasetURI
from dserver_signed_url_plugin.web import (
    audit_hooks,
    body_parser,
    compression,
    error_handlers,
    examples,
    openapi,
    tracing,
)
from dserver_signed_url_plugin.web.announcement import Announcement, CompletionRequest, PartsRequest
from dserver_signed_url_plugin.web.authentication import (
    identified,
    identified_for_upload,
    identity,
    may_complete,
    may_read,
    may_register,
    uploader,
)
from dserver_signed_url_plugin.web.blueprint import SignedURLBlueprint
from dserver_signed_url_plugin.web.item_request import ItemRequest
from dserver_signed_url_plugin.web.schemas.audit import AuditQuerySchema, AuditSchema
from dserver_signed_url_plugin.web.schemas.common import ReadingSchema
from dserver_signed_url_plugin.web.schemas.downloads import (
    DatasetGrantSchema,
    DatasetQuerySchema,
    ItemGrantSchema,
    ItemRequestSchema,
    SelectedItemsSchema,
)
from dserver_signed_url_plugin.web.schemas.parts import PartGrantSchema, PartsPlanSchema
from dserver_signed_url_plugin.web.schemas.status import (
    CancelSchema,
    UploadStatusQuerySchema,
    UploadStatusSchema,
)
from dserver_signed_url_plugin.web.schemas.uploads import (
    CompletingSchema,
    CompletionPlanSchema,
    CompletionSchema,
    UploadGrantSchema,
    UploadPlanSchema,
)

blueprint = SignedURLBlueprint(
    "signed_urls",
    __name__,
    url_prefix="/signed-urls",
    description="Time-limited signed URLs to read and deposit datasets.",
)
blueprint.before_request(database.limit_request)
error_handlers.install(blueprint)
audit_hooks.install(blueprint)
tracing.install(blueprint)
blueprint.after_request(body_parser.close_unless_read)
blueprint.after_request(compression.compress_large)


class ReadingQuery(TypedDict):
    """What ReadingSchema loads."""

    expiry_seconds: int | None
    disposition: Disposition


class DatasetQuery(ReadingQuery):
    """What DatasetQuerySchema loads."""

    format: Literal["json"] | ListFormat
    details: bool
    page: PageRequest | None


class UploadStatusQuery(TypedDict):
    """What UploadStatusQuerySchema loads."""

    urls: bool
    expiry_seconds: int | None


class AuditQuery(TypedDict):
    """What AuditQuerySchema loads."""

    limit: int
    before: int | None


@blueprint.route(
    "/dataset/<path:uri>", methods=["GET"], parameters=[openapi.URI], endpoint="read-dataset"
)
@identified
@blueprint.arguments(DatasetQuerySchema(), location="query")
@blueprint.response(200, DatasetGrantSchema, example=examples.DATASET_GRANT)
@blueprint.refuses(openapi.READING_DATASET)
def read_dataset(query: DatasetQuery, uri: str) -> DatasetGrant | ItemList:
    """Return signed URLs for all of a dataset. Requires search permission on its base URI."""
    dataset = DatasetURI.parse(uri)
    permit = permit_read(identity(), dataset.base)
    seconds, disposition = query["expiry_seconds"], query["disposition"]
    if query["format"] != "json":
        return services().downloads.item_list(
            permit, dataset.uuid, query["format"], seconds, disposition
        )
    page = query["page"]
    grant = services().downloads.dataset(permit, dataset.uuid, seconds, disposition, page)
    return replace(grant, details=query["details"])


@blueprint.route(
    "/items/<path:uri>", methods=["POST"], parameters=[openapi.URI], endpoint="read-items"
)
@identified
@may_read
@blueprint.arguments(ItemRequestSchema, example=examples.ITEM_REQUEST)
@blueprint.response(200, SelectedItemsSchema, example=examples.SELECTED_ITEMS)
@blueprint.refuses(openapi.READING_ITEMS)
def read_items(permit: ReadPermit, uuid: str, requested: ItemRequest) -> SelectedItems:
    """Return signed URLs for some items. Requires search permission on the base URI."""
    seconds, disposition = requested.expiry_seconds, requested.disposition
    return services().downloads.selected(permit, uuid, requested.selection, seconds, disposition)


@blueprint.route(
    "/item/<path:uri>/<identifier>",
    methods=["GET"],
    parameters=[openapi.URI, openapi.IDENTIFIER],
    endpoint="read-item",
)
@identified
@blueprint.arguments(ReadingSchema(), location="query")
@blueprint.response(200, ItemGrantSchema, example=examples.ITEM_GRANT)
@blueprint.refuses(openapi.READING)
def read_item(query: ReadingQuery, uri: str, identifier: str) -> ItemGrant:
    """Return a signed URL for one item. Requires search permission on the base URI."""
    dataset = DatasetURI.parse(uri)
    permit = permit_read(identity(), dataset.base)
    seconds, disposition = query["expiry_seconds"], query["disposition"]
    return services().downloads.item(permit, dataset.uuid, identifier, seconds, disposition)


@blueprint.route(
    "/upload/<path:uri>", methods=["POST"], parameters=[openapi.UPLOAD_URI], endpoint="upload-begin"
)
@identified
@may_register
@blueprint.arguments(UploadPlanSchema, example=examples.ANNOUNCEMENT)
@blueprint.response(200, UploadGrantSchema, example=examples.UPLOAD_GRANT)
@blueprint.refuses(openapi.ANNOUNCING)
def begin_upload(permit: UploadPermit, announced: Announcement) -> UploadGrant:
    """Announce an upload and return signed URLs for its items. The same request resumes it."""
    audit_hooks.about(f"{permit.base_uri}/{announced.uuid}")
    plan = announced.plan(services().settings.max_items)
    return services().uploads.begin(permit, plan)


@blueprint.route(
    "/upload/<path:uri>", methods=["GET"], parameters=[openapi.UPLOAD_URI], endpoint="upload-status"
)
@identified_for_upload
@blueprint.arguments(UploadStatusQuerySchema, location="query")
@blueprint.response(200, UploadStatusSchema, example=examples.UPLOAD_STATUS)
@blueprint.refuses(openapi.STATUS)
def upload_status(query: UploadStatusQuery, uri: str) -> UploadStatus:
    """Return how far an upload has come and, with ?urls=true, URLs for what is missing."""
    dataset = DatasetURI.parse(uri)
    permit = permit_completion(uploader(dataset), dataset.base)
    return services().statuses.of(
        permit, dataset.uuid, urls=query["urls"], expiry_seconds=query["expiry_seconds"]
    )


@blueprint.route(
    "/upload/<path:uri>",
    methods=["DELETE"],
    parameters=[openapi.UPLOAD_URI],
    endpoint="upload-cancel",
)
@identified_for_upload
@blueprint.response(200, CancelSchema, example=examples.CANCELLATION)
@blueprint.refuses(openapi.CANCELLING)
def cancel_upload(uri: str) -> Cancellation:
    """Cancel an upload and delete what it has stored. Idempotent."""
    dataset = DatasetURI.parse(uri)
    permit = permit_completion(uploader(dataset), dataset.base)
    return services().cancellations.cancel(permit, dataset.uuid)


@blueprint.route(
    "/parts/<path:uri>/<identifier>",
    methods=["POST"],
    parameters=[openapi.URI, openapi.IDENTIFIER],
    endpoint="upload-parts",
)
@identified_for_upload
@may_complete
@blueprint.arguments(PartsPlanSchema, example=examples.PARTS_REQUEST)
@blueprint.response(200, PartGrantSchema, example=examples.PART_GRANT)
@blueprint.refuses(openapi.PARTS)
def sign_parts(permit: UploadPermit, parts: PartsRequest, uuid: str, identifier: str) -> PartGrant:
    """Return signed URLs for parts of an item, and the parts that are stored already."""
    return services().parts.sign(permit, uuid, identifier, parts.plan())


@blueprint.route("/upload-complete", methods=["POST"], endpoint="upload-complete")
@identified_for_upload
@blueprint.arguments(CompletionPlanSchema, example=examples.COMPLETION_REQUEST)
@blueprint.response(200, CompletionSchema, example=examples.COMPLETION)
@blueprint.alt_response(
    202,
    schema=CompletingSchema,
    example=examples.COMPLETING,
    description="After `wait_seconds`, or while another request works on the upload: send the "
    "same request again after `Retry-After`",
)
@blueprint.refuses(openapi.COMPLETING)
def complete_upload(completion: CompletionRequest) -> Completion | Completing:
    """Verify every item of an upload, freeze it and register the dataset. Idempotent."""
    audit_hooks.about(completion.uri)
    dataset = DatasetURI.parse(completion.uri)
    permit = permit_completion(uploader(dataset), dataset.base)
    return services().completions.complete(permit, dataset.uuid, completion.seconds_to_wait)


@blueprint.route(
    "/audit/<path:uri>", methods=["GET"], parameters=[openapi.URI], endpoint="audit-read"
)
@identified
@blueprint.arguments(AuditQuerySchema, location="query")
@blueprint.response(200, AuditSchema, example=examples.DECISIONS)
@blueprint.refuses(openapi.AUDIT)
def read_audit(query: AuditQuery, uri: str) -> DecisionPage:
    """Return who was granted or refused what, newest first. Requires register permission.

    The decisions about a base URI include those about the datasets below it.
    """
    place = parsed(uri)
    base, uuid = (place.base, place.uuid) if isinstance(place, DatasetURI) else (place, None)
    permit = permit_upload(identity(), base)
    return services().audit.page(permit, uuid, query["before"], query["limit"])
