"""Presigned URLs with Signature Version 4, in bulk.

A signer derives the signing key of the day once, so that each URL costs one SHA-256 and one HMAC.
Its URLs are the same as those of botocore, byte for byte.

Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)",
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"
# A lookup table, because quote() takes twice as long for the text of a header.
_ENCODED = [quote(bytes([byte]), safe="-_.~") for byte in range(256)]


@dataclass(frozen=True)
class Credentials:
    """The credentials of a signature; ``token`` is for temporary credentials only."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Endpoint:
    """The address of a bucket: ``scheme://host[:port]`` and the path before its keys.

    ``prefix`` is ``/`` for virtual-host style and ``/bucket/`` for path style, percent-encoded.
    """

    scheme: str
    host: str
    prefix: str
    region: str


class QuerySigner:
    """Signs URLs of one bucket that are valid from ``signed_at`` (UTC).

    :param seconds: for how long they are valid, from 1 to 604,800.
    """

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, signed_at: datetime, seconds: int
    ) -> None:
        self._endpoint = endpoint
        self._stamp = signed_at.strftime("%Y%m%dT%H%M%SZ")
        day = self._stamp[:8]
        self._scope = f"{day}/{endpoint.region}/s3/aws4_request"
        self._key = _day_key(credentials.secret_key, day, endpoint.region)
        self._credentials = credentials
        self._seconds = seconds
        self._queries: dict[str, tuple[str, str]] = {}

    def sign(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> str:
        """Return the URL for one key.

        :param headers: signed headers, which the client must send verbatim.
        :param parameters: signed parameters of S3, such as ``response-content-type``, in lower case
            and ascending order.
        """
        signed = {name.lower(): " ".join(value.split()) for name, value in (headers or {}).items()}
        signed["host"] = self._endpoint.host
        names = sorted(signed)
        path = self._endpoint.prefix + quote(key, safe="/~")
        query, canonical_query = self._query(";".join(names))
        if parameters:
            # Upper case sorts before lower case, so these are last in the canonical query.
            more = "&".join([f"{name}={_encoded(value)}" for name, value in parameters.items()])
            query, canonical_query = f"{more}&{query}", f"{canonical_query}&{more}"
        lines = "".join([f"{name}:{signed[name]}\n" for name in names])
        request = (
            f"{method}\n{path}\n{canonical_query}\n{lines}\n{';'.join(names)}\nUNSIGNED-PAYLOAD"
        )
        to_sign = f"{_ALGORITHM}\n{self._stamp}\n{self._scope}\n{_hex(request)}"
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        origin = f"{self._endpoint.scheme}://{self._endpoint.host}"
        return f"{origin}{path}?{query}&X-Amz-Signature={signature}"

    def _query(self, signed_headers: str) -> tuple[str, str]:
        """Return the query in the order of botocore, and in canonical order."""
        if signed_headers not in self._queries:
            parameters = {
                "X-Amz-Algorithm": _ALGORITHM,
                "X-Amz-Credential": f"{self._credentials.access_key}/{self._scope}",
                "X-Amz-Date": self._stamp,
                "X-Amz-Expires": str(self._seconds),
                "X-Amz-SignedHeaders": signed_headers,
            }
            if self._credentials.token:
                parameters["X-Amz-Security-Token"] = self._credentials.token
            pairs = [f"{name}={_encoded(value)}" for name, value in parameters.items()]
            self._queries[signed_headers] = "&".join(pairs), "&".join(sorted(pairs))
        return self._queries[signed_headers]


def _encoded(value: str) -> str:
    return "".join([_ENCODED[byte] for byte in value.encode()])


def _hex(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _day_key(secret_key: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
