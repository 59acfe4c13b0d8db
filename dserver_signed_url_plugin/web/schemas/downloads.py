"""Schemas of the answers to reading: signed URLs of a dataset, or of one item."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, pre_dump

from dserver_signed_url_plugin.downloads.grants import DatasetGrant, ItemGrant
from dserver_signed_url_plugin.web.schemas.common import (
    URI,
    GrantSchema,
    PreparedDict,
    described,
)


def _urls(text: str) -> PreparedDict:
    return PreparedDict(
        keys=fields.String(),
        values=fields.String(metadata=URI),
        required=True,
        metadata=described(text),
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
