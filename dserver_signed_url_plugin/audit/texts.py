"""Texts of decisions: as short and printable as the table's, and without secrets."""

from __future__ import annotations

import re

from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.uris import MAX_URI_LENGTH, BaseURI, DatasetURI

# What PostgreSQL can index; a character of UTF-8 has up to four.
_MAX_URI_BYTES = 2600
_CUT = "…"
_UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
_USER = re.compile(r"(?:^|(?<=/))[^/?#]*@")
# Of dserver, and of a share in its link, which somebody has pasted in the place of a URI.
_TOKEN = re.compile(r"eyJ[\w-]*\.[\w.-]*|(?<=/signed-urls/s/)[^/]+")
# Of a share without its link. A bucket may have such a name, so not in a URI.
_BARE_TOKEN = re.compile(r"\b[a-z2-7]{32}\b", re.IGNORECASE)
# As far as no query, fragment or encoding begins, any of which may hold a signature.
_HARMLESS = re.compile(r"[\w:/.+~-]*")


def shortened(text: str | None, longest: int) -> str | None:
    """Return a text that is printable and at most so many characters long; None stays None."""
    if text is None:
        return None
    short = text if len(text) <= longest else text[: longest - 1] + _CUT
    if short.isprintable():
        return short
    # No database takes NUL or half of a surrogate pair, and no terminal should obey the others.
    return "".join(sign if sign.isprintable() else _UNPRINTABLE for sign in short)


def printable_uri(text: str) -> str:
    """Return a URI as dserver spells it, or as much of the text as holds no secret."""
    try:
        known = str(parsed(text))
    except InvalidField:
        known = _BARE_TOKEN.sub(_CUT, _harmless(text[:_MAX_URI_BYTES]))
    short = shortened(_TOKEN.sub(_CUT, known), MAX_URI_LENGTH) or ""
    return short.encode()[:_MAX_URI_BYTES].decode(errors="ignore")


def _harmless(text: str) -> str:
    without_user = _USER.sub("", text)
    harmless = _HARMLESS.match(without_user)
    kept = harmless.group() if harmless else ""
    return kept if kept == without_user else kept + _CUT


def parsed(text: str) -> DatasetURI | BaseURI:
    """Read the URI of a dataset, or else a base URI.

    :raises InvalidField: if it is neither, with what is wrong with it as a dataset's.
    """
    try:
        return DatasetURI.parse(text)
    except InvalidField as reason:
        try:
            return BaseURI.parse(text)
        except InvalidField:
            raise reason from None
