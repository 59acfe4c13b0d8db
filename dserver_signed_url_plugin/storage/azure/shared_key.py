"""Signs requests by an account's key, in the header Authorization.

URLs are for clients, and signed by ``sas``; these are the server's own requests, whose signature no
log of a proxy is to hold. Makes no request.

Source: Microsoft, "Authorize with Shared Key",
https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

# Their values are signed without their names, in this order.
_STANDARD = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


class SharedKey:
    """Signs the requests to one account.

    :param key: the account's key, decoded.
    """

    def __init__(self, account: str, key: bytes) -> None:
        self._account, self._key = account, key

    def authorization(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        """Return the header Authorization of a request.

        :param path: of the URL, quoted as it is sent.
        :param query: its parameters, not quoted; names in lower case.
        :param headers: as they are sent, with x-ms-date; names in lower case. Of an empty body
            there is no Content-Length.
        """
        standard = "\n".join([headers.get(name, "") for name in _STANDARD])
        own = "".join(
            [f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-ms-")]
        )
        parameters = "".join([f"\n{name}:{query[name]}" for name in sorted(query)])
        signed = f"{method}\n{standard}\n{own}/{self._account}{path}{parameters}"
        digest = hmac.digest(self._key, signed.encode(), "sha256")
        return f"SharedKey {self._account}:{base64.b64encode(digest).decode()}"
