"""Parses and writes the XML documents that are exchanged with Azure.

A broken or hostile store must not take much memory: a document type, and with it every entity, is
refused, and so is a document of more elements or attributes than Azure sends. Its bytes are
limited when they are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

# A page of 5,000 blobs has less than a third of that.
_MAX_TAGS = 1_000_000
# There are hardly any attributes; most equals signs are in values in Base64.
_MAX_EQUALS_SIGNS = 250_000


def parsed(document: bytes, root: str) -> Element:
    """Return the root element of a document, which is UTF-8.

    :param root: the name that it has to have.
    :raises ValueError: if it is another document.
    """
    is_large = document.count(b"<") > _MAX_TAGS or document.count(b"=") > _MAX_EQUALS_SIGNS
    # UTF-16, which expat recognizes whatever the encoding is, has zeros in each tag.
    if is_large or b"<!" in document or b"\0" in document:
        raise ValueError("no document of Azure's")
    # With a fixed encoding, no declaration can hide a document type from the lines above.
    parser = ElementTree.XMLParser(encoding="utf-8")  # noqa: S314 (see above)
    try:
        element: Element = ElementTree.fromstring(document, parser)  # noqa: S314
    except ElementTree.ParseError as error:
        raise ValueError("no XML") from error
    if element.tag != root:
        raise ValueError(f"no {root}")
    return element


def written(root: str, children: Iterable[tuple[str, str]]) -> bytes:
    """Return a document with text elements (name, text) below its root."""
    elements = "".join([f"<{name}>{escape(text)}</{name}>" for name, text in children])
    return f'<?xml version="1.0" encoding="utf-8"?><{root}>{elements}</{root}>'.encode()
