"""The pages behind the link of a share."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response
from markupsafe import Markup

from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.shares.visits import OpenShare


def page(opened: OpenShare, link: str, query: Mapping[str, str]) -> Response:
    """Return the page of a share."""
    items = services().visits.items(opened).values()
    lines = (
        Markup('<li><a href="{}/{}">{}</a>').format(link, i.identifier, i.relpath) for i in items
    )
    return Response(Markup("<h1>{}</h1>").format(opened.facts.name) + Markup("").join(lines))


def preview(opened: OpenShare, link: str, identifier: str) -> Response:
    """Return the page that shows one item."""
    services().visits.preview_url(opened, identifier)
    return Response(Markup("<img src='{}/{}?disposition=inline'>").format(link, identifier))


def gone(error: SignedURLError) -> Response:
    """Return the page that says why there is no other."""
    return Response(Markup("<p>{}").format(error.message), error.status)
