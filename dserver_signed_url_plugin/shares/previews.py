"""Previews of items: which there are, and the beginning of a text, read from the store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from posixpath import splitext
from typing import Literal
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from dserver_signed_url_plugin.errors import ItemArchived, StorageAway, StorageMisconfigured
from dserver_signed_url_plugin.filenames import served_as
from dserver_signed_url_plugin.signed_http import UnusableConnections, connections, no_answer
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.deadline import Deadline
from dserver_signed_url_plugin.storage.http_sockets import POOLS

MAX_TEXT_BYTES = 64 * 1024
SECONDS = 10.0  # for all of a preview
_PIECE_BYTES, _MOST_ERROR_BYTES = 8 * 1024, 4096
# The codes of S3 and of Azure for an object in an archive.
_ARCHIVED = re.compile(rb"<Code>(?:InvalidObjectState|BlobArchived)</Code>")

# What browsers display; they need no more than the type, whatever the bytes are.
_IMAGES = frozenset(
    f"image/{name}" for name in ("avif", "bmp", "gif", "jpeg", "png", "webp", "x-ms-bmp")
)
_JSON = re.compile(r"application/(?:.*[+-])?json$")
# Text of which Python's table has no type, or one of a program.
_TEXT_EXTENSION = re.compile(
    r"\.(?:bed|bib|cfg|cif|conf|cpp|dat|diff|f90|fa|fasta|fastq|geojson|gff3?|go|gtf|ini|ipynb|java"
    r"|jl|js|jsonl|m|ndjson|nwk|out|pdb|r|rmd|rs|rst|sam|sh|sql|tex|toml|ts|vcf|xml|xyz|ya?ml)"
)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a]")


@dataclass(frozen=True)
class TextPreview:
    """The beginning of a text, and whether there is more of it; None if it is no text."""

    text: str | None
    is_cut: bool


def kind_of(relpath: str) -> Literal["image", "text"] | None:
    """Return how an item can be shown, by its name."""
    media_type = served_as(relpath, "inline").content_type
    if media_type in _IMAGES:
        return "image"
    extension = splitext(relpath.lower())[1]
    if media_type.startswith("text/") or _JSON.match(media_type):
        return "text"
    # README, LICENSE, Makefile and the like have no extension.
    return "text" if not extension or _TEXT_EXTENSION.fullmatch(extension) else None


def beginning(url: str, seconds: float = SECONDS) -> TextPreview:
    """Read the beginning of an item.

    :param url: a signed URL of the item.
    :param seconds: how long the store may take, in all.
    :raises ItemArchived: if the store keeps it in an archive.
    :raises StorageAway: if the store does not give it in time.
    """
    content = b""
    with _response(url, seconds) as response:
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return TextPreview("", is_cut=False)  # there is no first byte
        if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise _refusal(response)
        while len(content) <= MAX_TEXT_BYTES and (piece := response.read1(_PIECE_BYTES)):
            content += piece
    text = None if _NO_TEXT.search(content) else _decoded(content[:MAX_TEXT_BYTES])
    return TextPreview(text, is_cut=len(content) > MAX_TEXT_BYTES)


@contextmanager
def _response(url: str, seconds: float) -> Iterator[urllib3.BaseHTTPResponse]:
    try:
        manager = connections(url, 1)
    except UnusableConnections as error:
        raise StorageMisconfigured("The store", f"cannot be read: {error}") from None
    manager.pool_classes_by_scheme = POOLS
    # One byte more tells whether there is more.
    headers = {"Range": f"bytes=0-{MAX_TEXT_BYTES}", "Accept-Encoding": "identity"}
    try:
        with deadline.under(Deadline(min(seconds, deadline.left() or seconds))):
            response = manager.request(
                "GET",
                url,
                headers=headers,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
            try:
                yield response
            finally:
                # Ends the connection, whether or not the body was read to its end.
                response.close()
    except (OSError, HTTPError) as error:
        # Not chained: urllib3's own message holds the URL.
        raise StorageAway("The store", no_answer(manager, urlsplit(url).hostname, error)) from None
    finally:
        manager.clear()


def _refusal(response: urllib3.BaseHTTPResponse) -> Exception:
    if _ARCHIVED.search(response.read(_MOST_ERROR_BYTES)):
        return ItemArchived("This file", "by the store's means")
    return StorageAway("The store", f"answered {response.status}")


def _decoded(content: bytes) -> str:
    """Return UTF-8 as text; the last character may be cut."""
    text = content.decode("utf-8-sig", "replace")
    return text.rstrip("\ufffd") if len(content) == MAX_TEXT_BYTES else text
