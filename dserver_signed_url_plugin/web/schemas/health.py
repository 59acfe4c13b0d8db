"""Schemas of the health routes."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from dserver_signed_url_plugin.health.schema import Migrations
from dserver_signed_url_plugin.health.service import Readiness
from dserver_signed_url_plugin.web.schemas.common import URI, StreamedSchema, described


class LiveSchema(Schema):
    """A process that answers."""

    status = fields.String(required=True, metadata={"enum": ["live"]})


class ReadyQuerySchema(Schema):
    """Query parameter for readiness."""

    stores = fields.Boolean(
        load_default=False,
        metadata=described("Whether to add the stores that the process has used since its start."),
    )


class StoreStateSchema(Schema):
    """A store, by the base URI for which it is used."""

    base_uri = fields.String(required=True, metadata=URI)
    is_refused = fields.Boolean(
        required=True,
        metadata=described(
            "true: it did not answer, and until it does most requests for it are refused at once."
        ),
    )


class ReadySchema(StreamedSchema):
    """A server that is ready."""

    status = fields.String(required=True, metadata={"enum": ["ready"]})
    migrations = fields.String(
        required=True,
        metadata=described(
            "Who made the tables that this version needs: it itself, a newer version, or others.",
            enum=[each.value for each in Migrations],
        ),
    )
    stores = fields.List(
        fields.Nested(StoreStateSchema), metadata=described("Present with `?stores=true`.")
    )

    @staticmethod
    def document(result: Readiness) -> dict[str, Any]:
        answer: dict[str, Any] = {"status": "ready", "migrations": result.migrations.value}
        if result.refused_stores is not None:
            answer["stores"] = [
                {"base_uri": base_uri, "is_refused": is_refused}
                for base_uri, is_refused in result.refused_stores.items()
            ]
        return answer
