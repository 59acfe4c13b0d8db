"""Parse links of shares, ``https://host[:port][/prefix]/signed-urls/s/TOKEN``, and hide tokens.

Whoever has the token may download what is shared, so it is shown nowhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dserver_client.errors import UsageError
from dserver_client.server_urls import LINK_PATH, server_url

# A token, and perhaps the identifier of an item. What may follow is not part of the link: a
# query, a fragment, a slash, or the punctuation and brackets of a text that it was copied from.
_END = re.compile(
    r"(?P<token>[a-z2-7]{32})(?![\w-])(?:/(?P<identifier>[0-9a-f]{40})(?!\w))?", re.IGNORECASE
)
_BEFORE = "<([{\"'\u201c\u201e\u00ab"  # and German or French quotation marks
_TOKEN = re.compile(rf"(?<={LINK_PATH})[^\s/?#'\"<>()]+")


@dataclass(frozen=True)
class ShareLink:
    """A link to a dataset, or to one of its items if it has an ``identifier``.

    ``str()`` and ``repr()`` do not show its token; ``url`` is the whole link to the dataset.
    """

    server_url: str
    token: str = field(repr=False)
    identifier: str | None = None

    @property
    def url(self) -> str:
        return f"{self.server_url}{LINK_PATH}{self.token}"

    def __str__(self) -> str:
        return without_token(self.url)


def is_link(text: str) -> bool:
    """Return whether a text is meant as a link of a share."""
    return LINK_PATH in text


def parse_link(text: str) -> ShareLink:
    """Return a link that may have been copied from a text, with what was around it.

    A line break inside it is ignored.

    :raises UsageError: if it is not complete. The message does not show it.
    """
    before, _, after = "".join(text.split()).partition(LINK_PATH)
    address = before.lstrip(_BEFORE).removeprefix("dserver://")
    url = server_url(address, "The address of the link")
    found = _END.match(after)
    if found is None:
        raise UsageError(
            f"This link is not complete: it ends with 32 letters and digits after {LINK_PATH}."
        )
    return ShareLink(url, found["token"].lower(), found["identifier"])


def without_token(text: str) -> str:
    """Replace the tokens of all links in a text."""
    return _TOKEN.sub("…", text)
