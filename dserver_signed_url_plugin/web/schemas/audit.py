"""Wire shapes of the audit: what may be asked, and a page of decisions."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, pre_dump, validate

from dserver_signed_url_plugin.audit.decisions import DecisionPage
from dserver_signed_url_plugin.web.schemas.common import described

LONGEST_PAGE = 1000

_UTC = "UTC, 2024-01-15T14:30:00.000000Z"


class AuditQuerySchema(Schema):
    """Which decisions, and how many."""

    limit = fields.Integer(
        load_default=100,
        validate=validate.Range(1, LONGEST_PAGE),
        metadata=described(f"How many decisions to answer, {LONGEST_PAGE} at most."),
    )
    before = fields.Integer(
        load_default=None,
        validate=validate.Range(1, 2**63 - 1),
        metadata=described("The `next` of an earlier answer: go on from there."),
    )


class DecisionSchema(Schema):
    """Somebody asked for something, and was granted or refused it."""

    time = fields.String(metadata=described(_UTC))
    username = fields.String(metadata=described("What the token says; empty for nobody."))
    action = fields.String(metadata=described("Such as read-item or upload-begin."))
    uri = fields.String()
    outcome = fields.String(metadata=described("granted or refused"))
    reason = fields.String(allow_none=True, metadata=described("Why it was refused."))
    items = fields.Integer(allow_none=True)
    size_in_bytes = fields.Integer(allow_none=True, metadata=described("null if not known"))
    expires_at = fields.String(allow_none=True, metadata=described(f"When the URLs end: {_UTC}"))
    address = fields.String(
        allow_none=True, metadata=described("The client's; null unless you are an admin.")
    )
    request_id = fields.String(allow_none=True, metadata=described("As in X-Request-ID."))
    requests = fields.Integer(
        metadata=described(
            "How many; of refusals without a token, or above the rate, there is one for each "
            "address or person and minute, which tells of the first."
        )
    )


class AuditSchema(Schema):
    """Decisions about a dataset or a base URI, the newest first."""

    uri = fields.String()
    decisions = fields.List(fields.Nested(DecisionSchema))
    next = fields.Integer(
        allow_none=True, metadata=described("Send it as `before` for older ones; null if none.")
    )

    @pre_dump
    def wire(self, page: DecisionPage, **_: Any) -> dict[str, Any]:
        """Lay the page out."""
        decisions = [decision.as_json() for decision in page.decisions]
        return {"uri": page.uri, "decisions": decisions, "next": page.next}
