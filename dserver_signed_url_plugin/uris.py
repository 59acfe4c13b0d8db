"""Base URIs and dataset URIs: parsed once at the door, compared as values.

Knows how a URI may be written in a request; never asks whether it exists.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.errors import InvalidField

MAX_URI_LENGTH = 1024

_SHAPE = re.compile(r"(?P<scheme>[^:/]+):/{1,2}(?P<rest>[^/].*)", re.DOTALL)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_FORBIDDEN = re.compile(r"[\s\x00-\x1f\x7f?#@\\]")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# One bucket or account is one base URI: dtool-s3 and dtool-azure know no folders below it.
_FLAT_SCHEMES = frozenset({"s3", "azure"})
# What boto3 takes for a bucket's name; AWS itself is stricter, other stores are not.
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")


def is_canonical_uuid(text: str) -> bool:
    """Tell whether text is a UUID as Python writes it: 36 characters, lower case, dashes."""
    return _UUID.fullmatch(text) is not None


@dataclass(frozen=True)
class BaseURI:
    """Where datasets live, such as ``s3://bucket``; ``str()`` gives dserver's spelling."""

    scheme: str
    location: str

    @classmethod
    def parse(cls, text: str, field: str = "base_uri") -> BaseURI:
        """Read a base URI; ``s3:/bucket``, as proxies leave it, is ``s3://bucket``.

        :raises InvalidField: with the field and what is wrong with it.
        """
        scheme, segments = _split(text, field)
        if scheme in _FLAT_SCHEMES and len(segments) > 1:
            raise InvalidField(field, f"a base URI of {scheme} has no path, as in {scheme}://name.")
        return cls(scheme, "/".join(segments))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.location}"

    def dataset(self, name: str) -> DatasetURI:
        """Return the URI of the dataset of that UUID below this base URI."""
        return DatasetURI(self, name)


@dataclass(frozen=True)
class DatasetURI:
    """One dataset, such as ``s3://bucket/uuid``; ``str()`` gives dserver's spelling."""

    base: BaseURI
    uuid: str

    @classmethod
    def parse(cls, text: str, field: str = "uri") -> DatasetURI:
        """Read a dataset URI.

        :raises InvalidField: with the field and what is wrong with it.
        """
        scheme, segments = _split(text, field)
        if len(segments) < 2:
            raise InvalidField(field, "a dataset URI ends in the dataset, as in s3://bucket/uuid.")
        *location, uuid = segments
        if scheme in _FLAT_SCHEMES:
            if len(location) > 1:
                raise InvalidField(field, f"a dataset URI of {scheme} is {scheme}://name/uuid.")
            if not is_canonical_uuid(uuid):
                raise InvalidField(field, "its last part must be a UUID in lower case with dashes.")
        return cls(BaseURI(scheme, "/".join(location)), uuid)

    def __str__(self) -> str:
        return f"{self.base}/{self.uuid}"


def _split(text: str, field: str) -> tuple[str, list[str]]:
    if len(text) > MAX_URI_LENGTH:
        raise InvalidField(field, f"is longer than {MAX_URI_LENGTH} characters.")
    if "%" in text:
        raise InvalidField(field, "is URL-encoded twice; encode it once.")
    if _FORBIDDEN.search(text) or not text.isprintable():
        raise InvalidField(
            field, "holds a query, a fragment, a space, an @ or a control character."
        )
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise InvalidField(field, "is not a URI such as s3://bucket.")
    scheme, rest = shape["scheme"], shape["rest"]
    if not _SCHEME.fullmatch(scheme):
        raise InvalidField(field, "has a scheme that is not in lower case, as in s3://bucket.")
    if rest.endswith("/"):
        raise InvalidField(field, "ends in a slash; leave it out.")
    segments = rest.split("/")
    _check_segments(scheme, segments, field)
    return scheme, segments


def _check_segments(scheme: str, segments: Sequence[str], field: str) -> None:
    if any(segment in {"", ".", ".."} for segment in segments):
        raise InvalidField(field, "has an empty, '.' or '..' segment.")
    if scheme == "s3" and not _BUCKET.fullmatch(segments[0]):
        raise InvalidField(
            field, "has a bucket whose name is not of ASCII letters, digits, dots, dashes and _."
        )
