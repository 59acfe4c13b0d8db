"""The routes behind the link of a share, which need no account: its page, its items, previews.

The same link answers with a page, with JSON, or with a list for another program.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Literal, TypedDict
from urllib.parse import quote

from flask import Response, request

from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.downloads.lists import ListFormat
from dserver_signed_url_plugin.downloads.paging import PageRequest
from dserver_signed_url_plugin.errors import ShareEnded, ShareNotFound
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.shares.service import link
from dserver_signed_url_plugin.shares.visits import OpenShare, normalized_token
from dserver_signed_url_plugin.web import audit_hooks, examples, link_requests, openapi, share_page
from dserver_signed_url_plugin.web.blueprint import limited
from dserver_signed_url_plugin.web.rendering import set_pagination
from dserver_signed_url_plugin.web.routes import blueprint
from dserver_signed_url_plugin.web.schemas.common import DispositionSchema
from dserver_signed_url_plugin.web.schemas.links import LinkQuerySchema, ShareContentsSchema
from dserver_signed_url_plugin.web.streamed import json_response, text_response


class LinkQuery(TypedDict):
    """What LinkQuerySchema loads."""

    format: Literal["json"] | ListFormat | None
    page: PageRequest | None
    name: str | None


class DownloadQuery(TypedDict):
    """What DispositionSchema loads."""

    disposition: Disposition


def opens_share(view: Callable[..., Response]) -> Callable[..., Response]:
    """Call a view with the open share of its link, and count the request against the rate limit.

    Before the query is read, so that no request is left out.

    :raises TooManyRequests: above ``SIGNED_URL_RATE_LIMIT`` of the address: of requests with this
        link, or of those without one that works.
    """

    @wraps(view)
    def with_open_share(token: str, **rest: str) -> Response:
        limits, visits = services().rate_limits, services().visits
        try:
            facts = visits.find(token)
            audit_hooks.about(str(facts.uri), facts.id)
            opened = visits.open(facts)
        except (ShareNotFound, ShareEnded):
            limits.check_address(request.remote_addr)
            raise
        limits.check_visitor(request.remote_addr, facts.id)
        return view(opened, **rest)

    return with_open_share


@blueprint.route(
    "/s/<token>",
    methods=["GET"],
    parameters=[openapi.TOKEN],
    endpoint="share-open",
    strict_slashes=False,
)
@opens_share
@blueprint.arguments(LinkQuerySchema(), location="query")
@blueprint.alt_response(200, schema=ShareContentsSchema, example=examples.SHARE_CONTENTS)
@blueprint.refuses(openapi.OPENING_LINK, openapi.LINK_REFUSALS)
@limited
def open_link(opened: OpenShare, query: LinkQuery) -> Response:
    """Return what the link of a share leads to: a page, JSON, or a list. Requires no account."""
    audit_hooks.granted(opened.extent)
    if request.path.endswith("/"):
        return _without_slash()
    address, list_format = _link(), query["format"]
    if list_format is not None and list_format != "json":
        return text_response(services().visits.item_list(opened, address, list_format).lines)
    if list_format is None and link_requests.wants_html():
        return share_page.page(opened, address, request.args)
    contents = services().visits.contents(opened, address, query["page"])
    response = json_response(ShareContentsSchema.document(contents))
    set_pagination(response, contents.page)
    return response


@blueprint.route(
    "/s/<token>/<identifier>",
    methods=["GET"],
    parameters=[openapi.TOKEN, openapi.IDENTIFIER],
    endpoint="share-download",
)
@opens_share
@blueprint.arguments(DispositionSchema(), location="query")
@blueprint.alt_response(303, description="`Location` is signed at this moment, for a minute")
@blueprint.refuses(openapi.DOWNLOADING, openapi.LINK_REFUSALS)
@limited
def download_item(opened: OpenShare, query: DownloadQuery, identifier: str) -> Response:
    """Redirect to a URL of one item, which is counted as a download. Requires no account.

    HEAD only says whether there is such an item: it redirects nowhere, and is not counted.
    """
    visits = services().visits
    if request.method == "HEAD":
        visits.signed(opened, identifier, query["disposition"])
        audit_hooks.granted(Extent(items=0))
        return Response(status=204)
    url = visits.download(opened, identifier, query["disposition"])
    audit_hooks.granted(Extent(items=1))
    response = Response(status=303)
    response.headers["Location"] = url
    return response


@blueprint.route(
    "/s/<token>/<identifier>/preview",
    methods=["GET"],
    parameters=[openapi.TOKEN, openapi.IDENTIFIER],
    endpoint="share-preview",
)
@opens_share
@blueprint.alt_response(200, description="A page", content_type="text/html")
@blueprint.refuses(openapi.DOWNLOADING, openapi.LINK_REFUSALS)
@limited
def preview_item(opened: OpenShare, identifier: str) -> Response:
    """Show an image, or the beginning of a text, as a page. Requires no account."""
    audit_hooks.granted(Extent(items=1))
    return share_page.preview(opened, _link(), identifier)


def _token() -> str:
    """Return the token of the link in its normal form."""
    return normalized_token((request.view_args or {})["token"])


def _link() -> str:
    """Return the link itself."""
    return link(link_requests.base_url(), _token())


def _without_slash() -> Response:
    """Redirect to the same without the slash: links on a page are relative to it."""
    query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
    response = Response(status=308)
    response.headers["Location"] = f"../{quote(_token(), safe='')}{query}"
    return response
