"""Signs requests without a body by AWS Signature Version 4 in headers.

URLs are for clients, and signed by ``sigv4``; these are the server's own requests, whose signature
no log of a proxy is to hold. Makes no request.

Source: AWS, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

from dserver_signed_url_plugin.storage.s3.sigv4 import Credentials, Endpoint, day_key

_ALGORITHM = "AWS4-HMAC-SHA256"
_NO_BODY = hashlib.sha256(b"").hexdigest()


class RequestSigner:
    """Signs requests to one bucket that are sent at ``signed_at`` (UTC), or soon after."""

    def __init__(self, endpoint: Endpoint, credentials: Credentials, signed_at: datetime) -> None:
        stamp = signed_at.strftime("%Y%m%dT%H%M%SZ")
        self._prefix = endpoint.prefix
        self._scope = f"{stamp[:8]}/{endpoint.region}/s3/aws4_request"
        self._to_sign = f"{_ALGORITHM}\n{stamp}\n{self._scope}\n"
        self._credential = f"{_ALGORITHM} Credential={credentials.access_key}/{self._scope}"
        self._key = day_key(credentials.secret_key, stamp[:8], endpoint.region)
        self._headers = {
            "host": endpoint.host,
            "x-amz-content-sha256": _NO_BODY,
            "x-amz-date": stamp,
        }
        if credentials.token is not None:
            self._headers["x-amz-security-token"] = credentials.token

    def sign(self, method: str, key: str, headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Return the path of a key, and all headers of the request.

        :param headers: to be signed; names in lower case, values without superfluous blanks.
        """
        path = self._prefix + quote(key, safe="/~")
        signed = {**self._headers, **headers}
        names = sorted(signed)
        lines = "".join([f"{name}:{signed[name]}\n" for name in names])
        listed = ";".join(names)
        request = f"{method}\n{path}\n\n{lines}\n{listed}\n{_NO_BODY}"
        to_sign = self._to_sign + hashlib.sha256(request.encode()).hexdigest()
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        signed["authorization"] = (
            f"{self._credential}, SignedHeaders={listed}, Signature={signature}"
        )
        return path, signed
