"""Schemas of URLs for the parts of an item; that of the body only documents it."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from dserver_signed_url_plugin.uploads.parts import PartGrant
from dserver_signed_url_plugin.web.announcement import MAX_NUMBERS, PartsRequest
from dserver_signed_url_plugin.web.schemas.common import (
    URI,
    BodySchema,
    GrantSchema,
    Seconds,
    StreamedSchema,
    described,
)


class PartsPlanSchema(BodySchema):
    """A request for URLs of parts."""

    body = PartsRequest
    # 1,000 numbers and hashes, in an encoding of four bytes per character.
    longest = 512 * 1024

    numbers = fields.List(
        fields.Integer(validate=validate.Range(min=1)),
        required=True,
        validate=validate.Length(max=MAX_NUMBERS),
        metadata=described("From 1 to the item's count. Without any, what is stored is listed."),
    )
    hashes = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        load_default=None,
        allow_none=True,
        metadata=described(
            "MD5s (32 hexadecimal digits) by number; the URL of such a part accepts no other bytes."
        ),
    )
    expiry_seconds = Seconds()


class SignedPartSchema(Schema):
    """Where to PUT one part, and the headers to send verbatim."""

    url = fields.String(required=True, metadata=URI)
    headers = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class StoredPartSchema(Schema):
    """A part that is stored."""

    size_in_bytes = fields.Integer(required=True)
    hash = fields.String(
        required=True, allow_none=True, metadata=described("MD5; null if the store does not tell.")
    )


class PartGrantSchema(GrantSchema, StreamedSchema):
    """Signed URLs for parts of an item, and what is stored of it."""

    identifier = fields.String(required=True)
    part_size = fields.Integer(
        required=True, metadata=described("The bytes of each part; the last one has the rest.")
    )
    count = fields.Integer(required=True, metadata=described("The number of parts of the item."))
    parts = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(SignedPartSchema),
        required=True,
        metadata=described("By number."),
    )
    stored = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(StoredPartSchema),
        required=True,
        metadata=described("By number: the parts that need not be sent again."),
    )

    @staticmethod
    def document(grant: PartGrant) -> dict[str, Any]:
        """Return the fields of the answer."""
        return {
            "uri": str(grant.uri),
            **grant.life.as_answer(),
            "identifier": grant.identifier,
            "part_size": grant.division.part_bytes,
            "count": grant.division.count,
            "parts": {
                str(number): {"url": request.url, "headers": dict(request.headers)}
                for number, request in grant.requests.items()
            },
            "stored": {
                str(number): {"size_in_bytes": part.size_in_bytes, "hash": part.md5}
                for number, part in sorted(grant.stored.items())
            },
        }
