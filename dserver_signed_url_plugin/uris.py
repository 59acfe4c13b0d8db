"""Base URIs and dataset URIs as values: parsed and validated once, when a request arrives."""

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

# A bucket or an account is one base URI: dtool-s3 and dtool-azure have no directories in it.
_FLAT_SCHEMES = frozenset({"s3", "azure"})
# The names of buckets that boto3 accepts. AWS is stricter, but other stores are not.
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")


def is_canonical_uuid(text: str) -> bool:
    """Return whether a text is a UUID of 36 characters, in lower case and with dashes."""
    return _UUID.fullmatch(text) is not None


@dataclass(frozen=True)
class BaseURI:
    """Where datasets are, such as ``s3://bucket``; ``str()`` returns it as dserver stores it."""

    scheme: str
    location: str

    @classmethod
    def parse(cls, text: str, field: str = "base_uri") -> BaseURI:
        """Parse a base URI; ``s3:/bucket``, as some proxies rewrite it, is ``s3://bucket``.

        :param field: the name of the field in the error.
        :raises InvalidField: if the text is not a valid base URI.
        """
        scheme, segments = _split(text, field)
        if scheme in _FLAT_SCHEMES and len(segments) > 1:
            raise InvalidField(
                field, f"has a path, which no base URI of {scheme} has: {scheme}://name."
            )
        return cls(scheme, "/".join(segments))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.location}"

    def dataset(self, name: str) -> DatasetURI:
        """Return the URI of a dataset at this base URI, by its UUID."""
        return DatasetURI(self, name)


@dataclass(frozen=True)
class DatasetURI:
    """A dataset, such as ``s3://bucket/uuid``; ``str()`` returns it as dserver stores it."""

    base: BaseURI
    uuid: str

    @classmethod
    def parse(cls, text: str, field: str = "uri") -> DatasetURI:
        """Parse a dataset URI.

        :param field: the name of the field in the error.
        :raises InvalidField: if the text is not a valid dataset URI.
        """
        scheme, segments = _split(text, field)
        if len(segments) < 2:
            raise InvalidField(field, "does not end in a dataset, as s3://bucket/uuid does.")
        *location, uuid = segments
        if scheme in _FLAT_SCHEMES:
            if len(location) > 1:
                raise InvalidField(field, f"is not like {scheme}://name/uuid.")
            if not is_canonical_uuid(uuid):
                raise InvalidField(field, "does not end in a UUID in lower case with dashes.")
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
