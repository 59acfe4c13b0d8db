"""Wire shapes of an upload under way: how far it has come, and what cancelling it freed."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, pre_dump

from dserver_signed_url_plugin.errors import UploadIncomplete
from dserver_signed_url_plugin.times import timestamp
from dserver_signed_url_plugin.uploads.cancel import Cancellation
from dserver_signed_url_plugin.uploads.status import UploadStatus
from dserver_signed_url_plugin.web.schemas.common import LifetimeSchema, described
from dserver_signed_url_plugin.web.schemas.uploads import UploadGrantSchema


class UploadStatusQuerySchema(LifetimeSchema):
    """What may be asked of an upload under way."""

    urls = fields.Boolean(
        load_default=False,
        metadata=described("Whether to answer fresh URLs for what is missing or wrong."),
    )


class CountsSchema(Schema):
    """Items of an upload, in numbers."""

    expected = fields.Integer()
    stored = fields.Integer(metadata=described("Stored, and as announced."))
    missing = fields.Integer()
    wrong = fields.Integer(metadata=described("Stored, but not as announced."))


class MismatchSchema(Schema):
    """An item that is not as announced."""

    relpath = fields.String()
    expected = fields.Dict()
    found = fields.Dict()


class UploadStatusSchema(Schema):
    """How far an upload has come."""

    uri = fields.String()
    uuid = fields.String()
    state = fields.String(metadata=described("opening, open, frozen or registered"))
    name = fields.String()
    uploader = fields.String()
    created_at = fields.String(metadata=described("UTC, 2024-01-15T14:30:00.000000Z"))
    urls_expire_at = fields.String(
        allow_none=True, metadata=described("When the last URL handed out ends, UTC.")
    )
    items = fields.Nested(CountsSchema)
    expected_bytes = fields.Integer(
        allow_none=True, metadata=described("null where not every item announced its size")
    )
    stored_bytes = fields.Integer()
    missing = fields.List(fields.String(), metadata=described("Relpaths, the first 100."))
    mismatched = fields.List(fields.Nested(MismatchSchema), metadata=described("The first 100."))
    upload = fields.Nested(
        UploadGrantSchema,
        metadata=described("With ?urls=true: fresh URLs for exactly what is missing or wrong."),
    )

    @pre_dump
    def wire(self, progress: UploadStatus, **_: Any) -> dict[str, Any]:
        """Lay the progress out; a registered dataset has nothing but its state."""
        answer: dict[str, Any] = {
            "uri": str(progress.uri),
            "uuid": progress.uri.uuid,
            "state": progress.state,
        }
        return answer | _details(progress)


class CancelSchema(Schema):
    """What cancelling an upload freed."""

    uri = fields.String()
    status = fields.String(metadata=described("cancelled"))
    objects = fields.Integer()
    bytes = fields.Integer()
    old_versions_remain = fields.Boolean(
        metadata=described(
            "true where the bucket keeps old versions of what was deleted, so that no bytes are "
            "freed; else left out."
        )
    )

    @pre_dump
    def wire(self, cancelled: Cancellation, **_: Any) -> dict[str, Any]:
        """Lay the outcome out."""
        freed = cancelled.freed
        size: dict[str, Any] = {"objects": freed.objects, "bytes": freed.size_in_bytes}
        if freed.old_versions_remain:
            size["old_versions_remain"] = True
        return {"uri": str(cancelled.uri), "status": "cancelled", **size}


def _details(progress: UploadStatus) -> dict[str, Any]:
    upload, found = progress.upload, progress.verification
    if upload is None or found is None:
        return {}
    missing, wrong, ends = len(found.missing), len(found.mismatched), upload.urls_expire_at_utc
    details = {
        "name": upload.name,
        "uploader": upload.uploader,
        "created_at": timestamp(upload.created_at_utc),
        "urls_expire_at": ends and timestamp(ends),
        "items": {
            "expected": len(progress.items),
            "stored": len(progress.items) - missing - wrong,
            "missing": missing,
            "wrong": wrong,
        },
        "expected_bytes": upload.size_in_bytes,
        "stored_bytes": progress.stored_bytes,
        "missing": found.missing[: UploadIncomplete.LISTED],
        "mismatched": found.mismatched[: UploadIncomplete.LISTED],
    }
    return details if progress.grant is None else {**details, "upload": progress.grant}
