"""The README of a dataset as HTML that is safe to show: its text, or its Markdown.

Most READMEs are YAML, which dtool writes; that and what is too large is shown as it is. Everything
else is taken for Markdown (CommonMark, with tables), without HTML and images, and sanitised. Links
lead to the web only, and let the site know nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from dserver_signed_url_plugin.web.display import visible

# Markdown can be written so that it takes seconds to render; within these limits it takes half a
# second at most. Rows of a table are filled up to its number of columns.
_MAX_CHARACTERS, _MAX_CELLS, _MAX_NESTING = 20_000, 10_000, 12

_YAML_LINE = re.compile(r"\s|-|#|\.\.\.|[\w.\"'$/@ -]+:(?:\s|$)")
_YAML_KEY = re.compile(r"^[\w.\"'$/@ -]+:(?:\s|$)", re.MULTILINE)
_WEB_ADDRESS = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)

_TEXT_TAGS = {"p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li"}
_TABLE_TAGS = {"table", "thead", "tbody", "tr", "th", "td"}
# That of its section has level 2.
_HEADING_TAGS = {"h3", "h4", "h5", "h6"}
_cleaner = nh3.Cleaner(
    tags={"a", *_TEXT_TAGS, *_TABLE_TAGS, *_HEADING_TAGS},
    attributes={"a": {"href", "title"}, "ol": {"start"}},
    attribute_filter=lambda tag, name, value: _attribute(name, value),
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer nofollow",
)


def html(readme: str) -> Markup:
    """Return a README as HTML."""
    if _is_costly(readme) or _is_yaml(readme):
        # YAML may begin with a line that only says so.
        return Markup("<pre>{}</pre>").format(visible(readme.removeprefix("---\n")).strip("\n"))
    return _rendered(readme)


def _is_costly(markdown: str) -> bool:
    if len(markdown) > _MAX_CHARACTERS:
        return True
    lines = markdown.splitlines()
    return len(lines) * max((line.count("|") for line in lines), default=0) > _MAX_CELLS


def _is_yaml(text: str) -> bool:
    """Return whether every line can be one of a YAML document, and there is a key."""
    lines = (line for line in text.splitlines() if line)
    return all(map(_YAML_LINE.match, lines)) and _YAML_KEY.search(text) is not None


@lru_cache(maxsize=32)
def _rendered(markdown: str) -> Markup:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    parser.add_render_rule("image", _image)
    tokens = parser.parse(visible(markdown))
    _move_headings_down(tokens)
    return Markup(_cleaner.clean(parser.renderer.render(tokens, parser.options, {})))  # noqa: S704


def _move_headings_down(tokens: Sequence[Token]) -> None:
    """Put headings below that of the section, without leaving out a level."""
    last = 2
    for token in tokens:
        if token.type == "heading_open":
            last = min(int(token.tag[1]) + 2, last + 1, 6)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{last}"


def _image(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    """Return the words that stand for an image, which would let its site know of the visitor."""
    return str(escape(f"[image: {tokens[index].content}]"))


def _attribute(name: str, value: str) -> str | None:
    return value if name != "href" or _WEB_ADDRESS.match(value) else None
