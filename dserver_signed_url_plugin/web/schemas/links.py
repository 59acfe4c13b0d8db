"""Schemas of what the link of a share answers with, and of its query parameters."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from dserver_signed_url_plugin.downloads.lists import LINK_FORMATS
from dserver_signed_url_plugin.shares.visits import ShareContents
from dserver_signed_url_plugin.times import timestamp
from dserver_signed_url_plugin.web.schemas.common import (
    URI,
    UUID,
    StreamedSchema,
    described,
    moment,
)
from dserver_signed_url_plugin.web.schemas.downloads import (
    JSON,
    ItemDetailsSchema,
    PageQuerySchema,
    details_of,
)
from dserver_signed_url_plugin.web.streamed import Members


class LinkQuerySchema(PageQuerySchema):
    """Query parameters of the link of a share."""

    format = fields.String(
        load_default=None,
        validate=validate.OneOf((JSON, *LINK_FORMATS)),
        metadata=described(
            "json, or else a list in plain text for another program: `curl -K -`, `aria2c -i -`, "
            "`md5sum -c`, or `wget --content-disposition --input-file=-`. Without it, Accept "
            "decides between JSON and a page."
        ),
    )
    name = fields.String(
        load_default=None,
        metadata=described("On the page: only items with this text in their relpath."),
    )


class ShareItemSchema(ItemDetailsSchema):
    """An item, as the manifest has it, and its link."""

    url = fields.String(
        required=True,
        metadata=described(
            "Its link, which redirects to a URL that is signed at that moment.", **URI
        ),
    )


class ShareContentsSchema(StreamedSchema):
    """A share, as whoever has its link sees it."""

    id = fields.String(required=True, metadata=described("Names the share, and opens nothing."))
    name = fields.String(required=True, metadata=described("The dataset's."))
    uuid = fields.String(required=True, metadata=UUID)
    note = fields.String(
        required=True, allow_none=True, metadata=described("What the owner says of it.")
    )
    readme = fields.String(
        required=True,
        allow_none=True,
        metadata=described("The dataset's, if there is one."),
    )
    expires_timestamp = fields.String(required=True, metadata=moment("When the link ends:"))
    seconds_left = fields.Integer(required=True, metadata=described("Until the link ends."))
    max_downloads = fields.Integer(
        required=True,
        allow_none=True,
        metadata=described("In all; null: any number."),
    )
    downloads_left = fields.Integer(required=True, allow_none=True)
    number_of_items = fields.Integer(required=True, allow_none=True)
    size_in_bytes = fields.Integer(required=True, allow_none=True)
    items = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(ShareItemSchema),
        required=True,
        metadata=described("The items by identifier, or a page of them."),
    )

    @staticmethod
    def document(contents: ShareContents) -> dict[str, Any]:
        """Return the fields of the answer."""
        opened, facts = contents.opened, contents.opened.facts
        items = (
            (item.identifier, {**details_of(item), "url": url})
            for item, url in contents.items.signed()
        )
        return {
            "id": facts.id,
            "name": facts.name,
            "uuid": opened.uuid,
            "note": facts.note,
            "readme": contents.readme,
            "expires_timestamp": timestamp(facts.ends_at),
            "seconds_left": opened.seconds_left,
            "max_downloads": facts.max_downloads,
            "downloads_left": opened.downloads_left,
            "number_of_items": facts.number_of_items,
            "size_in_bytes": facts.size_in_bytes,
            "items": Members(items),
        }
