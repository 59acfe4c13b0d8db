"""Schemas of the answers to reading: signed URLs of a dataset, or of one item."""

from __future__ import annotations

from typing import Any, Literal

from marshmallow import Schema, fields, pre_dump, validate

from dserver_signed_url_plugin.downloads.grants import DatasetGrant, ItemGrant, SelectedItems
from dserver_signed_url_plugin.downloads.lists import FORMATS
from dserver_signed_url_plugin.downloads.selection import MAX_ITEMS, MAX_PATTERN_CHARACTERS
from dserver_signed_url_plugin.web.item_request import MAX_BYTES, ItemRequest
from dserver_signed_url_plugin.web.schemas.common import (
    URI,
    BodySchema,
    GrantSchema,
    PreparedDict,
    ReadingSchema,
    Seconds,
    StreamedSchema,
    described,
    disposition_field,
)
from dserver_signed_url_plugin.web.streamed import Members


def _urls(text: str) -> PreparedDict:
    return PreparedDict(
        keys=fields.String(),
        values=fields.String(metadata=URI),
        required=True,
        metadata=described(text),
    )


JSON: Literal["json"] = "json"


class DatasetQuerySchema(ReadingSchema):
    """Query parameters of reading a dataset."""

    format = fields.String(
        load_default=JSON,
        validate=validate.OneOf((JSON, *FORMATS)),
        metadata=described(
            "json, or else a list in plain text for another program: `curl -K -`, `aria2c -i -`, "
            "`md5sum -c`, or a BagIt fetch.txt."
        ),
    )


class DatasetGrantSchema(GrantSchema):
    """Signed URLs for all of a dataset."""

    admin_metadata_url = fields.String(required=True, metadata=URI)
    manifest_url = fields.String(required=True, metadata=URI)
    readme_url = fields.String(required=True, metadata=URI)
    item_urls = _urls("URLs by item identifier.")
    overlay_urls = _urls("URLs by overlay name.")
    annotation_urls = _urls("URLs by annotation name.")
    tags = fields.List(fields.String(), required=True)

    @pre_dump
    def to_json(self, grant: DatasetGrant, **_: Any) -> dict[str, Any]:
        """Return the fields of the answer."""
        urls = grant.urls
        return {
            "uri": str(grant.uri),
            **grant.life.as_answer(),
            "admin_metadata_url": urls.admin_metadata,
            "manifest_url": urls.manifest,
            "readme_url": urls.readme,
            "item_urls": dict(urls.items),
            "overlay_urls": urls.overlays,
            "annotation_urls": urls.annotations,
            "tags": urls.tags,
        }


class ItemGrantSchema(GrantSchema):
    """A signed URL for one item."""

    identifier = fields.String(required=True)
    url = fields.String(required=True, metadata=URI)

    @pre_dump
    def to_json(self, grant: ItemGrant, **_: Any) -> dict[str, Any]:
        """Return the fields of the answer."""
        return {
            "uri": str(grant.uri),
            **grant.life.as_answer(),
            "identifier": grant.identifier,
            "url": grant.url,
        }


class ItemRequestSchema(BodySchema):
    """A request for items; exactly one of identifiers, relpaths and match is required."""

    body, longest = ItemRequest, MAX_BYTES

    identifiers = fields.List(
        fields.String(), allow_none=True, validate=validate.Length(max=MAX_ITEMS)
    )
    relpaths = fields.List(
        fields.String(), allow_none=True, validate=validate.Length(max=MAX_ITEMS)
    )
    match = fields.String(
        allow_none=True,
        validate=validate.Length(1, MAX_PATTERN_CHARACTERS),
        metadata=described(
            "A pattern of relpaths, as of Python's fnmatch: `*` matches slashes, too, and case "
            f"counts. It may match at most {MAX_ITEMS:,} items."
        ),
    )
    expiry_seconds = Seconds()
    disposition = disposition_field()


class SelectedItemSchema(Schema):
    """An item, as the manifest has it, and its URL."""

    url = fields.String(required=True, metadata=URI)
    relpath = fields.String(required=True)
    size_in_bytes = fields.Integer(required=True, allow_none=True)
    hash = fields.String(required=True, allow_none=True, metadata=described("Usually the MD5."))


class SelectedItemsSchema(GrantSchema, StreamedSchema):
    """Signed URLs for some items of a dataset."""

    items = PreparedDict(
        keys=fields.String(),
        values=fields.Nested(SelectedItemSchema),
        required=True,
        metadata=described("The items by identifier."),
    )
    missing = fields.List(
        fields.String(),
        required=True,
        metadata=described("What was requested, and is no identifier or relpath of an item."),
    )

    @staticmethod
    def document(grant: SelectedItems) -> dict[str, Any]:
        """Return the fields of the answer."""
        items = (
            (
                identifier,
                {
                    "url": grant.urls[identifier],
                    "relpath": item.relpath,
                    "size_in_bytes": item.size_in_bytes,
                    "hash": item.hash,
                },
            )
            for identifier, item in grant.chosen.items()
        )
        return {
            "uri": str(grant.uri),
            **grant.life.as_answer(),
            "missing": grant.missing,
            "items": Members(items),
        }
