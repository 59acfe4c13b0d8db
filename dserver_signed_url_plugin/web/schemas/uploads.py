"""Schemas of announcing and completing an upload; those of bodies only document them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from marshmallow import Schema, fields, pre_dump, validate

from dserver_signed_url_plugin.storage.manifest import HASH_FUNCTION
from dserver_signed_url_plugin.uploads.complete import VERIFIED_PARTS, Completing, Completion
from dserver_signed_url_plugin.uploads.grant import UploadGrant
from dserver_signed_url_plugin.uploads.plan import EARLIEST, LATEST
from dserver_signed_url_plugin.uris import MAX_URI_LENGTH
from dserver_signed_url_plugin.web.announcement import MAX_WAIT, Announcement, CompletionRequest
from dserver_signed_url_plugin.web.schemas.common import (
    URI,
    UUID,
    BodySchema,
    GrantSchema,
    Seconds,
    StreamedSchema,
    described,
)
from dserver_signed_url_plugin.web.streamed import Members


class AnnouncedItemSchema(Schema):
    """One item of an announcement."""

    relpath = fields.String(
        required=True, metadata=described("Its path in the dataset, with slashes.")
    )
    size_in_bytes = fields.Integer(allow_none=True)
    hash = fields.String(allow_none=True, metadata=described("MD5 as 32 hexadecimal digits."))
    utc_timestamp = fields.Float(allow_none=True, metadata=described("Seconds since 1970, UTC."))


class UploadPlanSchema(BodySchema):
    """An announcement of an upload."""

    body = Announcement

    uuid = fields.String(
        required=True, metadata=described("36 characters, in lower case.", format="uuid")
    )
    name = fields.String(
        required=True, metadata=described("The dataset's name, as dtool permits it.")
    )
    items = fields.List(fields.Nested(AnnouncedItemSchema), load_default=list)
    creator_username = fields.String(
        load_default=None, metadata=described("dtool's creator; by default the caller.")
    )
    frozen_at = fields.Float(
        load_default=None,
        validate=validate.Range(EARLIEST, LATEST),
        metadata=described("Seconds since 1970, UTC; by default the time of completion."),
    )
    hash_function = fields.String(load_default=None, metadata={"enum": [HASH_FUNCTION, None]})
    tags = fields.List(fields.String(), load_default=list, allow_none=True)
    annotations = fields.Dict(keys=fields.String(), load_default=dict, allow_none=True)
    overlays = fields.Dict(
        keys=fields.String(), values=fields.Dict(), load_default=dict, allow_none=True
    )
    upload_headers = fields.Boolean(
        load_default=None,
        metadata=described(
            "Whether the client sends the returned headers verbatim; by default true exactly when "
            "hash_function is sent."
        ),
    )
    multipart = fields.Boolean(
        load_default=None,
        allow_none=True,
        metadata=described(
            "Whether the client sends large items in parts; they need size_in_bytes and hash."
        ),
    )
    expiry_seconds = Seconds()


class CompletionPlanSchema(BodySchema):
    """A request to complete an upload."""

    body = CompletionRequest
    # A URI of 1,024 characters, each of which may be escaped.
    longest = 8 * 1024

    uri = fields.String(required=True, validate=validate.Length(1, MAX_URI_LENGTH), metadata=URI)
    wait_seconds = fields.Float(
        load_default=None,
        validate=validate.Range(1, MAX_WAIT),
        metadata=described(
            "For how long the client waits: then the answer is 202, and the same request goes on; "
            "by default for as long as it takes."
        ),
    )


class PartsSchema(Schema):
    """How an item is divided into parts."""

    size = fields.Integer(
        required=True, metadata=described("The bytes of each part; the last one has the rest.")
    )
    count = fields.Integer(required=True)


class SignedItemSchema(Schema):
    """Where to PUT one item, and the headers to send verbatim; or how it is divided into parts."""

    url = fields.String(
        required=True,
        allow_none=True,
        metadata=described("null for an item that is sent in parts.", format="uri"),
    )
    relpath = fields.String(required=True)
    headers = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    parts = fields.Nested(
        PartsSchema,
        metadata=described("Only of an item that is sent in parts: see /signed-urls/parts."),
    )


class UploadURLsSchema(Schema):
    """Where to PUT everything."""

    readme = fields.String(required=True, metadata=URI)
    admin_metadata = fields.String(required=True, metadata=URI)
    manifest = fields.String(required=True, metadata=URI)
    structure = fields.String(required=True, metadata=URI)
    items = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(SignedItemSchema),
        required=True,
        metadata=described(
            "By item identifier. After an announcement with hash_function, without the items that "
            "are stored as announced, and without those of no bytes, which the server writes."
        ),
    )


class UploadGrantSchema(GrantSchema, StreamedSchema):
    """Signed URLs for an upload."""

    uuid = fields.String(required=True, metadata=UUID)
    base_uri = fields.String(required=True, metadata=URI)
    max_size_in_bytes = fields.Integer(
        required=True,
        metadata=described("The largest item that a PUT to one of these URLs can carry."),
    )
    upload_urls = fields.Nested(UploadURLsSchema, required=True)
    upload_token = fields.String(
        metadata=described(
            "Stands for the caller on this upload's routes, in the header Upload-Token instead of "
            "Authorization, until the URLs expire; absent where dserver has no SECRET_KEY."
        )
    )

    @staticmethod
    def document(grant: UploadGrant) -> dict[str, Any]:
        """Return the answer, whose items are signed while it is sent."""
        return {
            "uri": str(grant.uri),
            **grant.life.as_answer(),
            **({} if grant.token is None else {"upload_token": grant.token}),
            "uuid": grant.uri.uuid,
            "base_uri": str(grant.uri.base),
            "max_size_in_bytes": grant.max_size_in_bytes,
            "upload_urls": {**grant.urls.documents, "items": Members(_signed_items(grant))},
        }


def _signed_items(grant: UploadGrant) -> Iterator[tuple[str, Any]]:
    """Yield (identifier, where to PUT it), as SignedItemSchema documents it."""
    for item, request in grant.urls.items.signed():
        signed = {"url": request.url, "relpath": item.relpath, "headers": request.headers}
        yield item.identifier, signed
    for item in grant.items if grant.divisions else ():
        if division := grant.divisions.get(item.identifier):
            parts = {"size": division.part_bytes, "count": division.count}
            in_parts = {"url": None, "relpath": item.relpath, "headers": {}, "parts": parts}
            yield item.identifier, in_parts


class CompletionSchema(Schema):
    """The dataset that an upload has become."""

    uri = fields.String(required=True, metadata=URI)
    status = fields.String(required=True, metadata={"enum": ["registered"]})
    name = fields.String(required=True)
    uuid = fields.String(required=True, metadata=UUID)
    verified = fields.String(
        metadata=described(
            "parts if an item came in parts, so that its MD5 is what the client announced; else "
            "absent.",
            enum=[VERIFIED_PARTS],
        ),
    )

    @pre_dump
    def to_json(self, done: Completion, **_: Any) -> dict[str, Any]:
        """Return the fields of the answer."""
        verified = {"verified": done.verified} if done.verified == VERIFIED_PARTS else {}
        return {
            "uri": str(done.uri),
            "status": "registered",
            "name": done.name,
            "uuid": done.uri.uuid,
            **verified,
        }


class ProgressSchema(Schema):
    """How far a completion is."""

    items_done = fields.Integer(required=True, metadata=described("Verified, and in place."))
    items_total = fields.Integer(required=True)


class CompletingSchema(ProgressSchema):
    """A completion that is not finished: the same request goes on."""

    uri = fields.String(required=True, metadata=URI)
    status = fields.String(required=True, metadata={"enum": ["completing"]})

    @pre_dump
    def to_json(self, completing: Completing, **_: Any) -> dict[str, Any]:
        """Return the fields of the answer."""
        return {
            "uri": str(completing.uri),
            "status": "completing",
            "items_done": completing.items_done,
            "items_total": completing.items_total,
        }
