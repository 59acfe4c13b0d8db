"""Previews of items: which there are, and what the beginning of a text looks like."""

from __future__ import annotations

import re
from dataclasses import dataclass
from posixpath import splitext
from typing import Literal

from dserver_signed_url_plugin.filenames import served_as

MAX_TEXT_BYTES = 64 * 1024

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


def text_preview(content: bytes) -> TextPreview:
    """Return what is shown of a text.

    :param content: its first MAX_TEXT_BYTES + 1 bytes; the last one tells whether there are more.
    """
    text = None if _NO_TEXT.search(content) else _decoded(content[:MAX_TEXT_BYTES])
    return TextPreview(text, is_cut=len(content) > MAX_TEXT_BYTES)


def _decoded(content: bytes) -> str:
    """Return UTF-8 as text; the last character may be cut."""
    text = content.decode("utf-8-sig", "replace")
    return text.rstrip("\ufffd") if len(content) == MAX_TEXT_BYTES else text
