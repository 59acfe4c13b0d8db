"""Presigned URLs with Signature Version 4, in bulk.

A signer derives the signing key of the day once, so that each URL costs one SHA-256 and one HMAC.
Its URLs are the same as those of botocore, byte for byte.

Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)",
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from urllib.parse import quote

from dserver_signed_url_plugin.storage.hmac_sha256 import HMACSHA256

_ALGORITHM = "AWS4-HMAC-SHA256"
_is_plain_key = re.compile(r"[\w.~/-]*", re.ASCII).fullmatch


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
        stamp = signed_at.strftime("%Y%m%dT%H%M%SZ")
        day = stamp[:8]
        scope = f"{day}/{endpoint.region}/s3/aws4_request"
        self._host, self._prefix = endpoint.host, endpoint.prefix
        self._origin = f"{endpoint.scheme}://{endpoint.host}"
        key = day_key(credentials.secret_key, day, endpoint.region)
        self._hmac = HMACSHA256(key, f"{_ALGORITHM}\n{stamp}\n{scope}\n".encode())
        self._parameters = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{credentials.access_key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(seconds),
        }
        self._token = credentials.token
        self._forms: dict[tuple[str, ...], _Form] = {}
        self._bare = self._form(())

    def sign(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        query: str = "",
    ) -> str:
        """Return the URL for one key.

        :param headers: signed headers, which the client must send verbatim.
        :param parameters: signed parameters of S3, such as ``response-content-type``, in ascending
            order; each begins with a lower-case letter.
        :param query: such parameters, percent-encoded by the caller.
        """
        form, lines = self._bare, f"host:{self._host}\n"
        if headers:
            form, values = self._form(tuple(headers)), {**headers, "host": self._host}
            lines = "".join(
                [f"{name}:{' '.join(values[sent].split())}\n" for name, sent in form.names]
            )
        if parameters:
            query = "&".join([f"{name}={_encoded(value)}" for name, value in parameters.items()])
        # Upper case sorts before lower case, so these are last in the canonical query.
        canonical_query = f"{form.canonical_query}&{query}" if query else form.canonical_query
        path = self._prefix + (key if _is_plain_key(key) else quote(key, safe="/~"))
        request = f"{method}\n{path}\n{canonical_query}\n{lines}\n{form.end}"
        signature = self._hmac.digest(sha256(request.encode()).hexdigest().encode()).hex()
        return f"{self._origin}{path}?{query and query + '&'}{form.query}{signature}"

    def _form(self, sent: tuple[str, ...]) -> _Form:
        """Return what requests with these headers have in common."""
        if sent not in self._forms:
            names = sorted({name.lower(): name for name in (*sent, "host")}.items())
            signed_headers = ";".join([name for name, _ in names])
            parameters = {**self._parameters, "X-Amz-SignedHeaders": signed_headers}
            if self._token:
                parameters["X-Amz-Security-Token"] = self._token
            pairs = [f"{name}={_encoded(value)}" for name, value in parameters.items()]
            self._forms[sent] = _Form(
                names,
                query=f"{'&'.join(pairs)}&X-Amz-Signature=",
                canonical_query="&".join(sorted(pairs)),
                end=f"{signed_headers}\nUNSIGNED-PAYLOAD",
            )
        return self._forms[sent]


@dataclass(frozen=True)
class _Form:
    """What requests with the same headers have in common.

    ``names`` are those of the signed headers, in lower case and as given; ``query`` is in the order
    of botocore, up to the signature; ``end`` is that of the canonical request.
    """

    names: list[tuple[str, str]]
    query: str = field(repr=False)  # has the session token
    canonical_query: str = field(repr=False)
    end: str


def _encoded(value: str) -> str:
    return quote(value, safe="~")


def day_key(secret_key: str, day: str, region: str) -> bytes:
    """Return the signing key of one day (``YYYYMMDD``, UTC)."""
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
