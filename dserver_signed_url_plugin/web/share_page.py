"""The pages behind the link of a share: its files, previews of them, and why a link does not work.

They run no script but that of the copy buttons, and load nothing but themselves and a preview.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from flask import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from dserver_signed_url_plugin.errors import (
    ItemArchived,
    ItemBeingRestored,
    ItemNotFound,
    SignedURLError,
    StorageUnavailable,
)
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.shares import listing, previews
from dserver_signed_url_plugin.shares.visits import MAX_README_CHARACTERS, OpenShare
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.web import audit_hooks, display, readme
from dserver_signed_url_plugin.web.download_commands import commands
from dserver_signed_url_plugin.web.refused_pages import words

logger = logging.getLogger(__name__)

_PAGE_NUMBER = re.compile(r"[0-9]{1,9}")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-:\[\]]+")
_NO_PREVIEW = "There is no preview of this kind of file."
_NOT_TEXT = "This file holds no text, so there is no preview of it."
_NOT_READ = "The server does not read files of this store itself, so there is no preview of text."
_MISSING = "The store does not hold this file any more."
_COUNTED = "A preview is a download, and this link allows a limited number of them."
_ARCHIVED = "The store keeps this file in an archive, so it cannot be read now."
_UNREADABLE = "The store does not give this file at the moment. Try again in a minute."


class _Row(NamedTuple):
    """An item as it is listed; ``directory`` ends with a slash, if there is one."""

    identifier: str
    directory: str
    file: str
    size: str
    exact_size: str
    has_preview: bool


# Not Flask's: dserver's templates and filters are its own.
_templates = Environment(
    loader=PackageLoader("dserver_signed_url_plugin.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_templates.globals.update(
    counted=counted,
    exact=lambda size: counted(size, "byte"),
    size=display.size,
)


def page(opened: OpenShare, link: str, query: Mapping[str, str]) -> Response:
    """Return the page of a share.

    :param query: ``page`` is its number, ``name`` a part of the relpaths to list.
    """
    items, token = services().visits.items(opened), link.rpartition("/")[2]
    part, number = query.get("name", "").strip(), query.get("page", "")
    shown = listing.page(items, part, int(number) if _PAGE_NUMBER.fullmatch(number) else 1)
    rows = [_row(opened, item) for item in shown.items]

    def page_link(wanted: int) -> str:
        query = {"name": part, "page": wanted} if part else {"page": wanted}
        return f"{token}?{urlencode(query, errors='replace')}#files"

    return _response(
        "page.html",
        commands=commands(link, opened.facts.name),
        has_previews=any(row.has_preview for row in rows),
        listing=shown,
        only_row=rows[0] if len(items) == len(rows) == 1 else None,
        page_link=page_link,
        part=display.one_line(part),
        rows=rows,
        token=token,
        **_about(opened),
        # The pages that follow, and those of a filter, are about the list alone.
        **_readme(None if part or shown.number > 1 else services().visits.readme(opened)),
    )


def preview(opened: OpenShare, link: str, identifier: str) -> Response:
    """Return the page that shows one item.

    :raises ItemNotFound: if the share has no such item.
    """
    item = services().visits.items(opened).get(identifier)
    if item is None:
        raise ItemNotFound(identifier[:40], "its page lists those that it has.", "This link")
    facts: dict[str, Any] = {
        "cut_at": previews.MAX_TEXT_BYTES,
        "kind": previews.kind_of(item.relpath),
        "name": display.one_line(opened.facts.name),
        "problem": None,
        "row": _row(opened, item),
        "token": link.rpartition("/")[2],
    }
    try:
        facts |= _preview(opened, item)
    except (ItemArchived, ItemBeingRestored):
        facts["problem"] = _ARCHIVED
    except ItemNotFound:
        facts["problem"] = _MISSING
    except StorageUnavailable as error:
        logger.warning("No preview: %s: %s", error, audit_hooks.described_request())
        facts["problem"] = _UNREADABLE
    return _response("preview.html", **facts)


def gone(error: SignedURLError) -> Response:
    """Return the page that says why there is no other, with the status of the error."""
    return _response("gone.html", error.status, **words(error)._asdict())


def _about(opened: OpenShare) -> dict[str, Any]:
    """Return what a page says of a share."""
    facts = opened.facts
    return {
        "downloads_left": opened.downloads_left,
        "ends": display.moment(facts.ends_at),
        "facts": facts,
        "name": display.one_line(facts.name),
        "note": display.visible(facts.note or ""),
        "time_left": display.duration(opened.seconds_left),
    }


def _readme(text: str | None) -> dict[str, Any]:
    if text is None:
        return {"readme": None}
    return {
        "readme": readme.html(text),
        "readme_is_cut": len(text) >= MAX_README_CHARACTERS,
    }


def _row(opened: OpenShare, item: Item) -> _Row:
    directory, slash, file = display.one_line(item.relpath).rpartition("/")
    size = item.size_in_bytes
    return _Row(
        item.identifier,
        directory + slash,
        file,
        "size unknown" if size is None else display.size(size),
        "" if size is None else counted(size, "byte"),
        opened.downloads_left is None and previews.kind_of(item.relpath) is not None,
    )


def _preview(opened: OpenShare, item: Item) -> dict[str, Any]:
    """Return what a preview shows, or why there is none."""
    if opened.downloads_left is not None:
        return {"problem": _COUNTED}
    kind = previews.kind_of(item.relpath)
    if kind is None:
        return {"problem": _NO_PREVIEW}
    visits = services().visits
    if kind == "image":
        url = urlsplit(visits.signed(opened, item.identifier, "inline"))
        return {"image_origin": f"{url.scheme}://{url.netloc}"}
    content = visits.beginning(opened, item.identifier, previews.MAX_TEXT_BYTES)
    if content is None:
        return {"problem": _NOT_READ}
    found = previews.text_preview(content)
    if found.text is None:
        return {"problem": _NOT_TEXT}
    return {"text": display.visible(found.text), "is_cut": found.is_cut}


def _response(template: str, status: int = 200, **values: Any) -> Response:
    nonce = secrets.token_urlsafe(16)
    content = _templates.get_template(f"shares/{template}").render(nonce=nonce, **values)
    response = Response(content.encode(errors="replace"), status, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _policy(nonce, values.get("image_origin", ""))
    return response


def _policy(nonce: str, image_origin: str) -> str:
    """Return what the page may load (Content Security Policy Level 3).

    :param image_origin: that of the store to which the URL of an image redirects.
    """
    images = f"'self' {image_origin}" if _ORIGIN.fullmatch(image_origin) else "'none'"
    return (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        f"img-src {images}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
