"""What may be asked in a URL's query by whoever wants signed URLs: how long, and served how.

Knows names and bounds; what a server allows at most is said in lifetimes.
"""

from __future__ import annotations

from typing import Any, get_args

from marshmallow import Schema, ValidationError, fields, validate

from dserver_signed_url_plugin.filenames import Disposition


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
