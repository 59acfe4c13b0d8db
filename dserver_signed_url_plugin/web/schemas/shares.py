"""Schemas of shares: what is requested, created, listed and revoked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, get_args

from marshmallow import Schema, fields, pre_dump, validate

from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.downloads.selection import MAX_ITEMS
from dserver_signed_url_plugin.shares.facts import CURSOR, EndReason, State
from dserver_signed_url_plugin.shares.service import (
    MAX_DOWNLOADS,
    MAX_NOTE_CHARACTERS,
    CreatedShare,
)
from dserver_signed_url_plugin.web.schemas.common import URI, BodySchema, described, moment
from dserver_signed_url_plugin.web.share_request import MAX_BYTES, ShareRequest

LONGEST_PAGE = 1000


class ShareRequestSchema(BodySchema):
    """A request for a share."""

    body, longest = ShareRequest, MAX_BYTES

    items = fields.List(
        fields.String(),
        allow_none=True,
        validate=validate.Length(1, MAX_ITEMS),
        metadata=described("The relpaths of the items to share; without it, all are shared."),
    )
    expires_in = fields.Integer(
        allow_none=True,
        validate=validate.Range(min=1),
        metadata=described("For how many seconds the link works; by default seven days."),
    )
    max_downloads = fields.Integer(
        allow_none=True,
        validate=validate.Range(1, MAX_DOWNLOADS),
        metadata=described("How many downloads the link allows, of all items together."),
    )
    note = fields.String(
        allow_none=True,
        validate=validate.Length(max=MAX_NOTE_CHARACTERS),
        metadata=described("A text for whoever opens the link."),
    )


class ShareListQuerySchema(Schema):
    """Query parameters of the list of shares."""

    uri = fields.String(
        load_default=None, metadata=described("Only shares of this dataset.", format="uri")
    )
    limit = fields.Integer(
        load_default=100,
        validate=validate.Range(1, LONGEST_PAGE),
        metadata=described(f"The most shares to return, at most {LONGEST_PAGE}."),
    )
    before = fields.String(
        load_default=None,
        validate=validate.Regexp(CURSOR),
        metadata=described("`next` of the previous page."),
    )


class ShareSchema(Schema):
    """A share, without its link."""

    id = fields.String(required=True)
    uri = fields.String(required=True, metadata=URI)
    name = fields.String(required=True, metadata=described("The name of the dataset."))
    owner = fields.String(
        required=True,
        metadata=described("Who created it; empty for an operator at the server's shell."),
    )
    note = fields.String(required=True, allow_none=True)
    state = fields.String(
        required=True,
        metadata=described("Whether the link works, or why not.", enum=list(get_args(State))),
    )
    ended_because = fields.String(
        required=True,
        allow_none=True,
        metadata=described(
            "What ended it before its time; null if nothing did.",
            enum=[*get_args(EndReason), None],
        ),
    )
    created_timestamp = fields.String(required=True, metadata=moment("When it was created:"))
    expires_timestamp = fields.String(required=True, metadata=moment("When the link expires:"))
    max_downloads = fields.Integer(
        required=True, allow_none=True, metadata=described("null for any number.")
    )
    downloads = fields.Integer(required=True, metadata=described("How many there were."))
    number_of_items = fields.Integer(required=True)
    size_in_bytes = fields.Integer(
        required=True, allow_none=True, metadata=described("null if not known.")
    )

    @pre_dump
    def to_json(self, share: Any, **_: Any) -> dict[str, Any]:
        """Return the fields of the answer."""
        document: dict[str, Any] = share.as_json()
        return document


@dataclass(frozen=True)
class LinkedShare:
    """A share that was just created, and its link."""

    created: CreatedShare
    link: str = field(repr=False)

    @property
    def extent(self) -> Extent:
        """What the audit records of it."""
        return self.created.extent

    def as_json(self) -> dict[str, Any]:
        """Return what JSON has of it."""
        created = self.created
        limited = {} if created.limited_by is None else {"expiry_limited_by": created.limited_by}
        return {
            **created.share.as_json(),
            "link": self.link,
            "items": created.items,
            **limited,
        }


class CreatedShareSchema(ShareSchema):
    """A share that was just created; no other answer has the link."""

    link = fields.String(
        required=True,
        metadata=described("Opens the share without an account. It cannot be shown again.", **URI),
    )
    items = fields.List(
        fields.String(),
        required=True,
        allow_none=True,
        metadata=described("The relpaths of the items, sorted; null if all are shared."),
    )
    expiry_limited_by = fields.String(
        metadata=described(
            "Why the share ends earlier than requested, or than by default; absent if it does not.",
            enum=["lifecycle"],
        )
    )


class SharePageSchema(Schema):
    """Shares, newest first."""

    shares = fields.List(fields.Nested(ShareSchema), required=True)
    next = fields.String(
        required=True,
        allow_none=True,
        metadata=described("Send it as `before` to get older ones; null on the last page."),
    )
