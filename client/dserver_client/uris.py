"""Parse the addresses of dservers, base URIs, datasets and items.

``dserver://host[:port][/prefix]``
    a dserver
``dserver://host[:port][/prefix]/s3/bucket[/uuid]``
    a base URI, or a dataset there
``dserver://host[:port][/prefix]/uuid``
    a dataset, wherever this dserver has it
``s3://bucket[/uuid]``, ``azure://account[/uuid]``, ``uuid``
    the same at the dserver of the settings
``https://host[:port]/…``
    what a browser shows: a dserver, or a dataset if its URI or UUID is somewhere in the address;
    but links with ``/signed-urls/s/`` are none of these, see ``links``

A prefix may hold any words, also ``s3``. If the settings know a dserver under that address (from
``DSERVER_URL`` or a login), its prefix counts. Otherwise an address is read from its end: a UUID,
before it the name of a bucket and ``s3`` or ``azure``, and all that is left is the prefix.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from dserver_client.errors import UsageError
from dserver_client.links import is_link, without_token
from dserver_client.server_urls import server_url, without_scheme
from dserver_client.settings import Settings

SCHEME = "dserver://"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_STORES = frozenset({"s3", "azure"})
_STORAGE_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_DATASET_URI = re.compile(rf"([a-z][a-z0-9+.-]*):/{{1,2}}([^\s/?#&]+)/({_UUID.pattern})", re.I)
_LOCATION = re.compile(r"[^\s?#@\\/]+(/[^\s?#@\\/]+)*")


@dataclass(frozen=True)
class Address:
    """A dserver, and what is meant there.

    ``uri`` is a base URI or, with ``uuid``, a dataset in the store, such as ``s3://bucket/uuid``.
    ``uuid`` alone is a dataset of which only dserver knows where it is. A dserver has neither.
    """

    server_url: str
    uri: str | None = None
    uuid: str | None = None

    @property
    def base_uri(self) -> str | None:
        """The base URI, of the dataset or as it is, or None."""
        if self.uri is None or self.uuid is None:
            return self.uri
        return self.uri.rpartition("/")[0]

    def __str__(self) -> str:
        if self.uri is not None:
            return dserver_uri(self.server_url, self.uri)
        end = "" if self.uuid is None else f"/{self.uuid}"
        return f"{SCHEME}{without_scheme(self.server_url)}{end}"


def parse(text: str, settings: Settings) -> Address:
    """Return what a person means by an address. The module's docstring lists the forms.

    :raises UsageError: if it is none of them, or names no dserver and the settings have none.
    """
    if is_link(text):
        raise UsageError(
            f"{without_token(text)} is a link for people without an account, not the URI of a "
            "dataset: 'dserver get LINK' fetches what is behind it."
        )
    text = text.strip()
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme == "dserver" and separator:
        return _of_dserver(rest, settings)
    if scheme in ("http", "https") and separator:
        return _of_browser(text, settings)
    if not separator and not is_uuid(text):
        forms = "dserver://host/s3/bucket/uuid or s3://bucket/uuid"
        raise UsageError(f"{text!r} is not the URI of a dataset or a base URI, such as {forms}.")
    if separator and not rest.strip("/"):
        raise UsageError(f"{text} names no bucket: a base URI is written like {text}lab.")
    if settings.url is None:
        raise UsageError(
            f"{text} does not say which dserver to ask: set DSERVER_URL, or log in to one."
        )
    return _at(settings.url, [scheme, *_segments(rest)])


def split_item(text: str) -> tuple[str, str]:
    """Return the address of a dataset and what follows it: a relpath, or nothing.

    :raises UsageError: if there is no UUID of a dataset.
    """
    found = re.search(rf"/{_UUID.pattern}(?=/|$)", text, re.IGNORECASE)
    if found is None:
        raise UsageError(f"{text!r} is not a dataset, such as dserver://host/uuid.")
    return text[: found.end()], text[found.end() + 1 :]


def dserver_uri(server_url: str, uri: str) -> str:
    """Return the ``dserver://`` form of a base URI or dataset, as ``parse`` reads it."""
    scheme, _, rest = uri.partition("://")
    return f"{SCHEME}{without_scheme(server_url)}/{scheme}/{rest}"


def quoted(text: str) -> str:
    """Return a URI, or an identifier, as a segment of the path of a request."""
    return quote(text, safe="")


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID of 36 characters."""
    return _UUID.fullmatch(text) is not None


def _of_dserver(rest: str, settings: Settings) -> Address:
    rest = rest.rstrip("/")
    if not rest:
        raise UsageError("dserver:// must be followed by the host of a dserver.")
    known = _known(rest, settings)
    if known is not None:
        return _at(known, _segments(rest[len(without_scheme(known)) :]))
    host, *segments = rest.split("/")
    prefix, meant = _without_prefix([each for each in segments if each])
    address = "/".join([host, *prefix])
    return _at(server_url(address, "What follows dserver://", settings.protocol), meant)


def _known(rest: str, settings: Settings) -> str | None:
    """Return the known dserver, of those with the longest prefix, that an address begins with."""
    candidates = [
        url
        for url in settings.servers
        if f"{rest}/".lower().startswith(f"{without_scheme(url)}/".lower())
        and (settings.protocol is None or url.startswith(f"{settings.protocol}:"))
    ]
    return max(candidates, key=len, default=None)


def _without_prefix(segments: list[str]) -> tuple[list[str], list[str]]:
    """Split the path below an unknown dserver: its prefix, and what is meant there."""
    end = segments[-1:] if segments and is_uuid(segments[-1]) else []
    before = segments[: len(segments) - len(end)]
    in_store = len(before) >= 2 and before[-2].lower() in _STORES
    if in_store or (len(before) == 2 and end and _STORAGE_SCHEME.fullmatch(before[0])):
        return before[:-2], [*before[-2:], *end]
    return before, end


def _at(url: str, segments: list[str]) -> Address:
    """Return what a path below a dserver means."""
    if not segments:
        return Address(url)
    if len(segments) == 1:
        if not is_uuid(segments[0]):
            raise UsageError(f"{segments[0]!r} at {url} is neither a UUID nor a base URI.")
        return Address(url, None, segments[0].lower())
    scheme, *location = segments
    uuid = location.pop().lower() if is_uuid(location[-1]) and len(location) > 1 else None
    base = "/".join(location)
    if not _STORAGE_SCHEME.fullmatch(scheme.lower()) or not _LOCATION.fullmatch(base):
        raise UsageError(f"{scheme}://{base} is not a base URI.")
    if scheme.lower() in _STORES and len(location) > 1:
        raise UsageError(f"{scheme}://{base} is not a dataset: {location[-1]!r} is not a UUID.")
    uri = f"{scheme.lower()}://{base}"
    return Address(url, uri if uuid is None else f"{uri}/{uuid}", uuid)


def _of_browser(text: str, settings: Settings) -> Address:
    """Return what an address in a browser shows, as far as it can be known."""
    scheme, _, rest = text.partition("://")
    plain = unquote(rest)
    known = _known(rest, settings)
    origin = server_url(f"{scheme}://{rest.partition('/')[0]}")
    before, separator, _ = text.partition("/signed-urls/")
    url = known or (server_url(before) if separator else origin)
    # From the path on: a host may look like a scheme.
    if found := _DATASET_URI.search(plain.partition("/")[2]):
        return _at(url, [found[1], found[2], found[3]])
    if found := _UUID.search(plain.partition("/")[2]):
        return Address(url, None, found[0].lower())
    return Address(known or server_url(text))


def _segments(path: str) -> list[str]:
    return [each for each in path.split("/") if each]
