"""Wire shapes: what bodies hold, for documentation, and grants as they are answered.

Knows field names as WIRE has them; bodies are decoded by announcements.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from marshmallow import Schema, fields, pre_dump, validate

from dserver_signed_url_plugin.announcements import Announcement, CompletionRequest
from dserver_signed_url_plugin.completion import Completion
from dserver_signed_url_plugin.downloads import DatasetGrant, ItemGrant
from dserver_signed_url_plugin.plans import EARLIEST, HASH_FUNCTION, LATEST
from dserver_signed_url_plugin.queries import Seconds
from dserver_signed_url_plugin.storage.base import Life
from dserver_signed_url_plugin.uploads import UploadGrant
from dserver_signed_url_plugin.uris import MAX_URI_LENGTH, DatasetURI


def described(text: str) -> dict[str, str]:
    """Return the metadata of a field that says what it is."""
    return {"description": text}


def utc(moment: datetime) -> str:
    """Write a time (UTC) as the wire has it: 2024-01-15T14:30:00.000000Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def granted(uri: DatasetURI, life: Life) -> dict[str, Any]:
    """Return what every grant says, as the wire has it."""
    limited = {} if life.limited_by is None else {"expiry_limited_by": life.limited_by}
    return {
        "uri": str(uri),
        "expiry_seconds": life.seconds,
        "expiry_timestamp": utc(life.ends),
        **limited,
    }


class BodySchema(Schema):
    """What a body holds, for documentation: ``body`` decodes it.

    ``longest`` is its limit in bytes, where that is less than the server's.
    """

    body: ClassVar[type[Announcement | CompletionRequest]]
    longest: ClassVar[int | None] = None


class AnnouncedItemSchema(Schema):
    """One item."""

    relpath = fields.String(required=True, metadata=described("Path below the dataset's data."))
    size_in_bytes = fields.Integer(allow_none=True)
    hash = fields.String(allow_none=True, metadata=described("MD5 as 32 hexadecimal digits."))
    utc_timestamp = fields.Float(allow_none=True, metadata=described("Seconds since 1970, UTC."))


class UploadPlanSchema(BodySchema):
    """An upload, announced."""

    body = Announcement

    uuid = fields.String(required=True, metadata=described("Canonical UUID, 36 characters."))
    name = fields.String(required=True, metadata=described("dtool dataset name."))
    items = fields.List(fields.Nested(AnnouncedItemSchema), load_default=list)
    creator_username = fields.String(
        load_default=None, metadata=described("dtool's creator; the caller, if left out.")
    )
    frozen_at = fields.Float(
        load_default=None,
        validate=validate.Range(EARLIEST, LATEST),
        metadata=described("Seconds since 1970, UTC; the time of completion, if left out."),
    )
    hash_function = fields.String(load_default=None, metadata=described(HASH_FUNCTION))
    tags = fields.List(fields.String(), load_default=list, allow_none=True)
    annotations = fields.Dict(keys=fields.String(), load_default=dict, allow_none=True)
    overlays = fields.Dict(
        keys=fields.String(), values=fields.Dict(), load_default=dict, allow_none=True
    )
    upload_headers = fields.Boolean(
        load_default=None,
        metadata=described(
            "Whether the client sends the returned headers verbatim; if left out, true exactly "
            "when hash_function is sent."
        ),
    )
    expiry_seconds = Seconds()


class CompletionPlanSchema(BodySchema):
    """An upload, to be completed."""

    body = CompletionRequest
    # A URI of 1,024 characters, each of which may be escaped.
    longest = 8 * 1024

    uri = fields.String(required=True, validate=validate.Length(1, MAX_URI_LENGTH))


class Prepared(fields.Dict):
    """A dict that is dumped as it is: its entries were made by us, and may be 100,000."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return value


class GrantSchema(Schema):
    """What every grant says."""

    uri = fields.String()
    expiry_seconds = fields.Integer(metadata=described("What was granted, in seconds."))
    expiry_timestamp = fields.String(
        metadata=described("When the URLs die: UTC, 2024-01-15T14:30:00.000000Z.")
    )
    expiry_limited_by = fields.String(
        metadata=described(
            "Only there when less was granted than was asked for, or than is this server's "
            "default: what ends sooner, such as credentials."
        )
    )


class DatasetGrantSchema(GrantSchema):
    """Signed URLs for all of a dataset."""

    admin_metadata_url = fields.String()
    manifest_url = fields.String()
    readme_url = fields.String()
    item_urls = Prepared(keys=fields.String(), values=fields.String())
    overlay_urls = Prepared(keys=fields.String(), values=fields.String())
    annotation_urls = Prepared(keys=fields.String(), values=fields.String())
    tags = fields.List(fields.String())

    @pre_dump
    def wire(self, grant: DatasetGrant, **_: Any) -> dict[str, Any]:
        """Lay the grant out as WIRE has it."""
        urls = grant.urls
        return {
            **granted(grant.uri, grant.life),
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
        return {**granted(grant.uri, grant.life), "identifier": grant.identifier, "url": grant.url}


class SignedItemSchema(Schema):
    """Where to PUT one item, and the headers to send verbatim."""

    url = fields.String()
    relpath = fields.String()
    headers = fields.Dict(keys=fields.String(), values=fields.String())


class UploadURLsSchema(Schema):
    """Where to PUT everything."""

    readme = fields.String()
    admin_metadata = fields.String()
    manifest = fields.String()
    structure = fields.String()
    items = Prepared(keys=fields.String(), values=fields.Nested(SignedItemSchema))


class UploadGrantSchema(GrantSchema):
    """Signed URLs for an upload."""

    uuid = fields.String()
    base_uri = fields.String()
    max_size_in_bytes = fields.Integer(
        metadata=described("The largest item that a PUT to one of these URLs can carry.")
    )
    upload_urls = fields.Nested(UploadURLsSchema)

    @pre_dump
    def wire(self, grant: UploadGrant, **_: Any) -> dict[str, Any]:
        """Lay the grant out as WIRE has it."""
        requests = grant.urls.items
        items = {
            item.identifier: {
                "url": requests[item.identifier].url,
                "relpath": item.relpath,
                "headers": requests[item.identifier].headers,
            }
            for item in grant.items
        }
        return {
            **granted(grant.uri, grant.life),
            "uuid": grant.uri.uuid,
            "base_uri": str(grant.uri.base),
            "max_size_in_bytes": grant.max_size_in_bytes,
            "upload_urls": {**grant.urls.documents, "items": items},
        }


class CompletionSchema(Schema):
    """The dataset that an upload has become."""

    uri = fields.String()
    status = fields.String(metadata=described("registered"))
    name = fields.String()
    uuid = fields.String()

    @pre_dump
    def wire(self, done: Completion, **_: Any) -> dict[str, Any]:
        """Lay the outcome out as WIRE has it."""
        return {"uri": done.uri, "status": "registered", "name": done.name, "uuid": done.uuid}
