"""Base classes, fields and metadata that the schemas share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Protocol, get_args

from marshmallow import INCLUDE, Schema, ValidationError, fields, validate

from dserver_signed_url_plugin.filenames import Disposition

# Metadata of fields whose format is the whole description.
URI, UUID = {"format": "uri"}, {"format": "uuid"}


def described(text: str, **more: Any) -> dict[str, Any]:
    """Return the metadata of a field: its description, and more of its OpenAPI schema."""
    return {"description": text, **more}


def moment(text: str) -> dict[str, Any]:
    """Return the metadata of a field that holds a time."""
    return described(f"{text} UTC, as in 2024-01-15T14:30:00.000000Z.", format="date-time")


class Body(Protocol):
    """What a body is decoded to."""

    @classmethod
    def decode(cls, raw: bytes) -> Any: ...


class BodySchema(Schema):
    """Base of schemas that only document a body, which ``body`` decodes.

    ``longest`` is its limit in bytes, where that is less than the server's.
    """

    body: ClassVar[type[Body]]
    longest: ClassVar[int | None] = None


class StreamedSchema(Schema):
    """Base of schemas that only document an answer: ``document`` builds it, not marshmallow."""

    @staticmethod
    @abstractmethod
    def document(result: Any) -> dict[str, Any]:
        """Return the answer to what a view returns; ``Members`` in it are written last."""


class GrantSchema(Schema):
    """Fields of every answer with signed URLs."""

    uri = fields.String(required=True, metadata=URI)
    expiry_seconds = fields.Integer(
        required=True, metadata=described("The lifetime that was granted, in seconds.")
    )
    expiry_timestamp = fields.String(required=True, metadata=moment("When the URLs expire:"))
    expiry_limited_by = fields.String(
        metadata=described(
            "Why the lifetime is shorter than requested, or than the server's default; absent if "
            "it is not.",
            enum=["credentials", "store", "lifecycle"],
        )
    )


class Seconds(fields.Integer):
    """A lifetime: a whole number of seconds, at least 1."""

    def __init__(self) -> None:
        super().__init__(
            load_default=None,
            validate=validate.Range(min=1),
            metadata=described("The lifetime of the URLs, in seconds."),
        )

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, (bool, float)):
            raise ValidationError("Not a whole number of seconds.")
        return super()._deserialize(value, *args, **kwargs)


class LifetimeSchema(Schema):
    """Query parameters of every route that answers with signed URLs."""

    expiry_seconds = Seconds()


def disposition_field() -> fields.String:
    """Return the field with which a client chooses how browsers treat items."""
    return fields.String(
        load_default="attachment",
        validate=validate.OneOf(get_args(Disposition)),
        metadata=described(
            "Whether a browser saves an item under its own name, or displays it where that is safe."
        ),
    )


class DispositionSchema(Schema):
    """Query parameter of every route for reading an item."""

    disposition = disposition_field()


class ReadingSchema(LifetimeSchema, DispositionSchema):
    """Query parameters of both routes for reading."""


class ErrorDetailsSchema(Schema):
    """The slug of an error, and details of some, such as the field that is wrong."""

    class Meta:
        """Details are named after fields of the request, so there may be any."""

        unknown = INCLUDE

    slug = fields.String(
        required=True, metadata=described("A stable word for programs, as in upload-busy.")
    )


class RefusalSchema(Schema):
    """dserver's envelope for errors."""

    code = fields.Integer(required=True, metadata=described("The HTTP status."))
    status = fields.String(required=True, metadata=described("The HTTP status in words."))
    message = fields.String(required=True, metadata=described("A sentence for the user."))
    errors = fields.Nested(ErrorDetailsSchema, required=True)
