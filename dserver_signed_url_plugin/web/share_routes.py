"""The routes for shares that need an account: create one, list them, revoke one."""

from __future__ import annotations

from typing import TypedDict

from dserver_signed_url_plugin.permissions import ReadPermit, is_admin
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.shares.facts import ShareFacts, SharePage
from dserver_signed_url_plugin.shares.service import link
from dserver_signed_url_plugin.uris import DatasetURI
from dserver_signed_url_plugin.web import audit_hooks, examples, openapi
from dserver_signed_url_plugin.web.authentication import identified, identity, may_read
from dserver_signed_url_plugin.web.link_requests import base_url
from dserver_signed_url_plugin.web.routes import blueprint
from dserver_signed_url_plugin.web.schemas.shares import (
    CreatedShareSchema,
    LinkedShare,
    ShareListQuerySchema,
    SharePageSchema,
    ShareRequestSchema,
    ShareSchema,
)
from dserver_signed_url_plugin.web.share_request import ShareRequest


class ShareListQuery(TypedDict):
    """What ShareListQuerySchema loads."""

    uri: str | None
    limit: int
    before: str | None


@blueprint.route(
    "/shares/<path:uri>", methods=["POST"], parameters=[openapi.SHARE_URI], endpoint="share-create"
)
@identified
@may_read
@blueprint.arguments(ShareRequestSchema, example=examples.SHARE_REQUEST)
@blueprint.response(201, CreatedShareSchema, example=examples.CREATED_SHARE)
@blueprint.refuses(openapi.SHARING)
def create_share(permit: ReadPermit, uuid: str, requested: ShareRequest) -> LinkedShare:
    """Create a link for people without an account. Requires search permission on the base URI.

    The link works until it expires or is revoked, as long as its owner may read the dataset.
    """
    created = services().shares.create(permit, uuid, requested.new)
    audit_hooks.about(str(created.share.uri), created.share.id)
    return LinkedShare(created, link(base_url(), created.token))


@blueprint.route("/shares", methods=["GET"], endpoint="share-list")
@identified
@blueprint.arguments(ShareListQuerySchema, location="query")
@blueprint.response(200, SharePageSchema, example=examples.SHARES)
@blueprint.refuses({})
def list_shares(query: ShareListQuery) -> SharePage:
    """Return your shares, newest first; to an admin, those of everybody."""
    uri = None if query["uri"] is None else str(DatasetURI.parse(query["uri"]))
    audit_hooks.about(uri or "")
    shares, username = services().shares, identity()
    before, limit = query["before"], query["limit"]
    if is_admin(username):
        return shares.page(None, uri, before, limit)
    return shares.own(username, uri, before, limit)


@blueprint.route(
    "/shares/<share_id>",
    methods=["DELETE"],
    endpoint="share-revoke",
)
@identified
@blueprint.response(200, ShareSchema, example=examples.SHARE)
@blueprint.refuses(openapi.REVOKING)
def revoke_share(share_id: str) -> ShareFacts:
    """Revoke a share of yours, or as an admin one of anybody. Idempotent."""
    username = identity()
    share = services().shares.revoke(share_id, username, is_admin=is_admin(username))
    audit_hooks.about(str(share.uri), share.id)
    return share
