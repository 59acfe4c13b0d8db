"""Schemas of the answers to reading: signed URLs of a dataset, or of one item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from marshmallow import (
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates_schema,
)

from dserver_signed_url_plugin.downloads.grants import DatasetGrant, ItemGrant, SelectedItems
from dserver_signed_url_plugin.downloads.lists import FORMATS
from dserver_signed_url_plugin.downloads.paging import (
    DEFAULT_PAGE_SIZE,
    MAX_PAGE_SIZE,
    PageRequest,
)
from dserver_signed_url_plugin.downloads.selection import MAX_ITEMS, MAX_PATTERN_CHARACTERS
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.web.item_request import MAX_BYTES, ItemRequest
from dserver_signed_url_plugin.web.schemas.common import (
    URI,
    BodySchema,
    GrantSchema,
    ReadingSchema,
    Seconds,
    StreamedSchema,
    described,
    disposition_field,
)
from dserver_signed_url_plugin.web.streamed import Members


def _urls(text: str) -> fields.Dict:
    return fields.Dict(
        keys=fields.String(),
        values=fields.String(metadata=URI),
        required=True,
        metadata=described(text),
    )


JSON: Literal["json"] = "json"


class PageQuerySchema(Schema):
    """Query parameters of every route that can answer with a page of items."""

    page = fields.Integer(
        load_default=None,
        validate=validate.Range(min=1),
        metadata=described("Which page of the items, from 1 on; all of them if neither is given."),
    )
    page_size = fields.Integer(
        load_default=None,
        validate=validate.Range(1, MAX_PAGE_SIZE),
        metadata=described(f"How many items a page has; {DEFAULT_PAGE_SIZE:,} with page alone."),
    )

    @validates_schema
    def check(self, query: dict[str, Any], **_: Any) -> None:
        """Refuse a page of a list, which says nothing of the others."""
        for name in ("page", "page_size"):
            if query["format"] not in (None, JSON) and query[name] is not None:
                raise ValidationError("Only for format=json.", name)

    @post_load
    def with_page(self, query: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Make one value of the parameters for a page."""
        number, size = query.pop("page"), query.pop("page_size")
        is_whole = number is None and size is None
        page = None if is_whole else PageRequest(number or 1, size or DEFAULT_PAGE_SIZE)
        return {**query, "page": page}


class DatasetQuerySchema(ReadingSchema, PageQuerySchema):
    """Query parameters of reading a dataset."""

    format = fields.String(
        load_default=JSON,
        validate=validate.OneOf((JSON, *FORMATS)),
        metadata=described(
            "json, or else a list in plain text for another program: `curl -K -`, `aria2c -i -`, "
            "`md5sum -c`, or a BagIt fetch.txt."
        ),
    )
    details = fields.Boolean(
        load_default=False, metadata=described("Whether to add what the manifest says of items.")
    )


class ItemDetailsSchema(Schema):
    """An item, as the manifest has it."""

    relpath = fields.String(required=True)
    size_in_bytes = fields.Integer(required=True, allow_none=True)
    hash = fields.String(required=True, allow_none=True, metadata=described("Usually the MD5."))


class DatasetGrantSchema(GrantSchema, StreamedSchema):
    """Signed URLs for all of a dataset."""

    admin_metadata_url = fields.String(required=True, metadata=URI)
    manifest_url = fields.String(required=True, metadata=URI)
    readme_url = fields.String(required=True, metadata=URI)
    item_urls = _urls("URLs by item identifier.")
    overlay_urls = _urls("URLs by overlay name.")
    annotation_urls = _urls("URLs by annotation name.")
    tags = fields.List(fields.String(), required=True)
    items = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(ItemDetailsSchema),
        metadata=described("The items by identifier; only with details=true."),
    )

    @classmethod
    def document(cls, grant: DatasetGrant) -> dict[str, Any]:
        """Return the fields of the answer."""
        items = grant.urls.items
        details = ((name, details_of(item)) for name, item in items.entries.items())
        return {
            **cls._head(grant),
            **({"items": Members(details)} if grant.details else {}),
            "item_urls": Members((item.identifier, url) for item, url in items.signed()),
        }

    @classmethod
    def lines(cls, grant: DatasetGrant) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
        """Return all but the items, and the items with what the manifest says of them."""
        items = (
            {"identifier": item.identifier, **details_of(item), "url": url}
            for item, url in grant.urls.items.signed()
        )
        return cls._head(grant), items

    @staticmethod
    def _head(grant: DatasetGrant) -> dict[str, Any]:
        urls = grant.urls
        return {
            "uri": str(grant.uri),
            **grant.life.as_answer(),
            "admin_metadata_url": urls.admin_metadata,
            "manifest_url": urls.manifest,
            "readme_url": urls.readme,
            "overlay_urls": urls.overlays,
            "annotation_urls": urls.annotations,
            "tags": urls.tags,
        }


def details_of(item: Item) -> dict[str, Any]:
    """Return the fields of an item that its manifest has."""
    return {
        "relpath": item.relpath,
        "size_in_bytes": item.size_in_bytes,
        "hash": item.hash,
    }


class ItemGrantSchema(GrantSchema, StreamedSchema):
    """A signed URL for one item."""

    identifier = fields.String(required=True)
    url = fields.String(required=True, metadata=URI)

    @staticmethod
    def document(grant: ItemGrant) -> dict[str, Any]:
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


class SelectedItemSchema(ItemDetailsSchema):
    """An item, as the manifest has it, and its URL."""

    url = fields.String(required=True, metadata=URI)


class SelectedItemsSchema(GrantSchema, StreamedSchema):
    """Signed URLs for some items of a dataset."""

    items = fields.Dict(
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
            (identifier, {"url": grant.urls[identifier], **details_of(item)})
            for identifier, item in grant.chosen.items()
        )
        return {
            "uri": str(grant.uri),
            **grant.life.as_answer(),
            "missing": grant.missing,
            "items": Members(items),
        }
