"""What several schemas share: names of fields as WIRE has them, times, grants, and queries."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

from marshmallow import Schema, ValidationError, fields, validate

from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.web.announcement import Announcement, CompletionRequest


def described(text: str) -> dict[str, str]:
    """Return the metadata of a field that says what it is."""
    return {"description": text}


class BodySchema(Schema):
    """What a body holds, for documentation: ``body`` decodes it.

    ``longest`` is its limit in bytes, where that is less than the server's.
    """

    body: ClassVar[type[Announcement | CompletionRequest]]
    longest: ClassVar[int | None] = None


class PreparedDict(fields.Dict):
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


class Seconds(fields.Integer):
    """The life that somebody asks for: a whole number of seconds, at least 1."""

    def __init__(self) -> None:
        super().__init__(
            load_default=None,
            validate=validate.Range(min=1),
            metadata={"description": "How long the URLs shall live, in seconds."},
        )

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, (bool, float)):
            raise ValidationError("Not a whole number of seconds.")
        return super()._deserialize(value, *args, **kwargs)


class LifetimeSchema(Schema):
    """What every route takes that answers with signed URLs."""

    expiry_seconds = Seconds()


class ReadingSchema(LifetimeSchema):
    """What both routes for reading take."""

    disposition = fields.String(
        load_default="attachment",
        validate=validate.OneOf(get_args(Disposition)),
        metadata={
            "description": "Whether a browser saves an item, under its own name, or shows it "
            "where that is safe."
        },
    )
