"""Schemas of what a reader is given: the signed URLs of a dataset, or of one item."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, pre_dump

from dserver_signed_url_plugin.downloads import DatasetGrant, ItemGrant
from dserver_signed_url_plugin.web.schemas.common import (
    GrantSchema,
    PreparedDict,
)


class DatasetGrantSchema(GrantSchema):
    """Signed URLs for all of a dataset."""

    admin_metadata_url = fields.String()
    manifest_url = fields.String()
    readme_url = fields.String()
    item_urls = PreparedDict(keys=fields.String(), values=fields.String())
    overlay_urls = PreparedDict(keys=fields.String(), values=fields.String())
    annotation_urls = PreparedDict(keys=fields.String(), values=fields.String())
    tags = fields.List(fields.String())

    @pre_dump
    def wire(self, grant: DatasetGrant, **_: Any) -> dict[str, Any]:
        """Lay the grant out as WIRE has it."""
        urls = grant.urls
        return {
            "uri": str(grant.uri),
            **grant.life.as_answer(),
            "admin_metadata_url": urls.admin_metadata,
            "manifest_url": urls.manifest,
            "readme_url": urls.readme,
            "item_urls": urls.items,
            "overlay_urls": urls.overlays,
            "annotation_urls": urls.annotations,
            "tags": urls.tags,
        }


class ItemGrantSchema(GrantSchema):
    """A signed URL for one item."""

    identifier = fields.String()
    url = fields.String()

    @pre_dump
    def wire(self, grant: ItemGrant, **_: Any) -> dict[str, Any]:
        """Lay the grant out as WIRE has it."""
        return {
            "uri": str(grant.uri),
            **grant.life.as_answer(),
            "identifier": grant.identifier,
            "url": grant.url,
        }
