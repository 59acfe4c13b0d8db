"""Schemas of the audit: its query parameters, and a page of decisions."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, pre_dump, validate

from dserver_signed_url_plugin.audit.decisions import DecisionPage, Outcome
from dserver_signed_url_plugin.web.schemas.common import URI, described, moment

LONGEST_PAGE = 1000


class AuditQuerySchema(Schema):
    """Query parameters for decisions."""

    limit = fields.Integer(
        load_default=100,
        validate=validate.Range(1, LONGEST_PAGE),
        metadata=described(f"The most decisions to return, at most {LONGEST_PAGE}."),
    )
    before = fields.Integer(
        load_default=None,
        validate=validate.Range(1, 2**63 - 1),
        metadata=described("`next` of the previous page."),
    )


class DecisionSchema(Schema):
    """A request that was granted or refused."""

    time = fields.String(required=True, metadata=moment("When it was decided:"))
    username = fields.String(
        required=True, metadata=described("The token's user; empty without a valid token.")
    )
    action = fields.String(
        required=True, metadata=described("What was requested, as in read-item or upload-begin.")
    )
    uri = fields.String(required=True)
    outcome = fields.String(
        required=True, metadata={"enum": [outcome.value for outcome in Outcome]}
    )
    reason = fields.String(
        required=True, allow_none=True, metadata=described("The slug of a refusal.")
    )
    items = fields.Integer(required=True, allow_none=True)
    size_in_bytes = fields.Integer(
        required=True, allow_none=True, metadata=described("null if not known.")
    )
    expires_at = fields.String(
        required=True, allow_none=True, metadata=moment("When the URLs expire:")
    )
    address = fields.String(
        required=True,
        allow_none=True,
        metadata=described("The client's address; null unless you are an admin."),
    )
    request_id = fields.String(
        required=True, allow_none=True, metadata=described("As in X-Request-ID.")
    )
    requests = fields.Integer(
        required=True,
        metadata=described(
            "How many were counted together: refusals without a token, or above the rate limit, "
            "are counted per minute and address or user, and the other fields are the first's."
        ),
    )
    verified = fields.String(
        required=True,
        allow_none=True,
        metadata=described(
            "How the items of a completed upload were verified; null for other actions, and for "
            "a dataset that was registered before.",
            enum=["md5", "parts", None],
        ),
    )
    share = fields.String(
        required=True,
        allow_none=True,
        metadata=described("The ID of the share that was created, revoked or used."),
    )
    operator = fields.String(
        required=True,
        allow_none=True,
        metadata=described(
            "The login of whoever ran a command at the server's shell; null for a request, and "
            "unless you are an admin."
        ),
    )
    host = fields.String(
        required=True,
        allow_none=True,
        metadata=described("Where the command ran; null as `operator` is."),
    )


class AuditSchema(Schema):
    """Decisions about a dataset or a base URI, newest first."""

    uri = fields.String(required=True, metadata=URI)
    decisions = fields.List(fields.Nested(DecisionSchema), required=True)
    next = fields.Integer(
        required=True,
        allow_none=True,
        metadata=described("Send it as `before` to get older ones; null on the last page."),
    )

    @pre_dump
    def to_json(self, page: DecisionPage, **_: Any) -> dict[str, Any]:
        """Return the fields of the answer."""
        decisions = [decision.as_json() for decision in page.decisions]
        return {"uri": page.uri, "decisions": decisions, "next": page.next}
