"""Schemas of the status of an upload, and of its cancellation."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, pre_dump

from dserver_signed_url_plugin.errors import UploadIncomplete
from dserver_signed_url_plugin.times import timestamp
from dserver_signed_url_plugin.uploads.assembly import ListedParts
from dserver_signed_url_plugin.uploads.cancel import Cancellation
from dserver_signed_url_plugin.uploads.status import UploadStatus
from dserver_signed_url_plugin.web.schemas.common import (
    URI,
    UUID,
    LifetimeSchema,
    StreamedSchema,
    described,
    moment,
)
from dserver_signed_url_plugin.web.schemas.uploads import (
    PartsSchema,
    ProgressSchema,
    UploadGrantSchema,
)


class UploadStatusQuerySchema(LifetimeSchema):
    """Query parameters of the status of an upload."""

    urls = fields.Boolean(
        load_default=False,
        metadata=described("Whether to return fresh URLs for what is missing or wrong."),
    )


class CountsSchema(Schema):
    """Numbers of items of an upload."""

    expected = fields.Integer(required=True)
    stored = fields.Integer(required=True, metadata=described("Stored as announced."))
    missing = fields.Integer(required=True)
    wrong = fields.Integer(required=True, metadata=described("Stored, but not as announced."))


class MismatchSchema(Schema):
    """An item that is not as announced."""

    relpath = fields.String(required=True)
    expected = fields.Dict(required=True)
    found = fields.Dict(required=True)


class StoredPartsSchema(PartsSchema):
    """How an item is divided, and how many of its parts are stored."""

    relpath = fields.String(required=True)
    stored = fields.Integer(required=True)


class UploadStatusSchema(StreamedSchema):
    """The status of an upload; of a registered dataset there is only the state."""

    uri = fields.String(required=True, metadata=URI)
    uuid = fields.String(required=True, metadata=UUID)
    state = fields.String(
        required=True, metadata={"enum": ["opening", "open", "frozen", "registered"]}
    )
    name = fields.String()
    uploader = fields.String()
    created_at = fields.String(metadata=moment("When it was announced:"))
    urls_expire_at = fields.String(
        allow_none=True, metadata=moment("When the last URL that was signed expires:")
    )
    items = fields.Nested(CountsSchema)
    expected_bytes = fields.Integer(
        allow_none=True, metadata=described("null unless the size of every item was announced.")
    )
    stored_bytes = fields.Integer()
    completing = fields.Nested(
        ProgressSchema, metadata=described("While the upload is being completed.")
    )
    missing = fields.List(fields.String(), metadata=described("The first 100 relpaths."))
    mismatched = fields.List(fields.Nested(MismatchSchema), metadata=described("The first 100."))
    parts = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(StoredPartsSchema),
        metadata=described(
            "By identifier: the first 100 items that are not in place, and whose parts were begun; "
            "absent if there are none."
        ),
    )
    upload = fields.Nested(
        UploadGrantSchema,
        metadata=described(
            "With ?urls=true: fresh URLs for exactly what is missing or wrong; those of parts are "
            "left to /signed-urls/parts."
        ),
    )

    @staticmethod
    def document(result: UploadStatus) -> dict[str, Any]:
        """Return the answer; its URLs are signed while it is sent."""
        answer: dict[str, Any] = {
            "uri": str(result.uri),
            "uuid": result.uri.uuid,
            "state": result.state,
        }
        return answer | _details(result)


class CancelSchema(Schema):
    """What was deleted with an upload."""

    uri = fields.String(required=True, metadata=URI)
    status = fields.String(required=True, metadata={"enum": ["cancelled"]})
    objects = fields.Integer(required=True)
    bytes = fields.Integer(required=True)
    old_versions_remain = fields.Boolean(
        metadata=described(
            "true if the bucket keeps old versions of what was deleted, so that no bytes are "
            "freed but those of parts; otherwise absent."
        )
    )

    @pre_dump
    def to_json(self, cancelled: Cancellation, **_: Any) -> dict[str, Any]:
        """Return the fields of the answer."""
        freed = cancelled.freed
        size: dict[str, Any] = {"objects": freed.objects, "bytes": freed.size_in_bytes}
        if freed.old_versions_remain:
            size["old_versions_remain"] = True
        return {"uri": str(cancelled.uri), "status": "cancelled", **size}


def _details(status: UploadStatus) -> dict[str, Any]:
    upload, found = status.upload, status.comparison
    if upload is None or found is None:
        return {}
    missing, wrong, ends = len(found.missing), len(found.mismatched), upload.urls_expire_at_utc
    details: dict[str, Any] = {
        "name": upload.name,
        "uploader": upload.uploader,
        "created_at": timestamp(upload.created_at_utc),
        "urls_expire_at": ends and timestamp(ends),
        "items": {
            "expected": len(status.items),
            "stored": len(status.items) - missing - wrong,
            "missing": missing,
            "wrong": wrong,
        },
        "expected_bytes": upload.size_in_bytes,
        "stored_bytes": status.stored_bytes,
        "missing": found.missing[: UploadIncomplete.LISTED],
        "mismatched": found.mismatched[: UploadIncomplete.LISTED],
    }
    if status.parts:
        details["parts"] = {parts.item.identifier: _stored(parts) for parts in status.parts}
    if upload.is_completing:
        details["completing"] = {
            "items_done": upload.items_done,
            "items_total": upload.number_of_items,
        }
    if status.grant is None:
        return details
    return {**details, "upload": UploadGrantSchema.document(status.grant)}


def _stored(parts: ListedParts) -> dict[str, Any]:
    return {
        "relpath": parts.item.relpath,
        "size": parts.division.part_bytes,
        "count": parts.division.count,
        "stored": parts.number_stored,
    }
