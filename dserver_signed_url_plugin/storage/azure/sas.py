"""Shared access signatures (SAS) of blobs, in bulk.

One signer serves many blobs of one account: what they share is written down once, so that a further
URL costs one HMAC. Standard library only; what it makes is what the SDK makes of the same.

Source: Microsoft, "Create a service SAS",
https://learn.microsoft.com/rest/api/storageservices/create-service-sas
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime
from urllib.parse import quote

from dserver_signed_url_plugin.filenames import ServedAs

READ, CREATE, WRITE = "r", "c", "w"
# With it one PUT may carry 5,000 MiB, as with every version from 2019-12-12 on.
VERSION = "2023-01-03"

_ENCRYPTION_SCOPES = "2020-12-06"  # from this version on the string to sign has a field for them
# Headers are ASCII, for which this is several times as quick as quoting each anew.
_QUOTED = {code: quote(chr(code)) for code in range(128)}


class BlobSigner:
    """Signs for blobs of one account, until ``ends`` (UTC, whole seconds).

    There is no start: a store whose clock is behind the server's would refuse fresh URLs.

    :param endpoint: the URL to which containers are added; https is then all the store accepts.
    :param key: the account's key, decoded.
    """

    def __init__(
        self, endpoint: str, account: str, key: bytes, ends: datetime, version: str = VERSION
    ) -> None:
        self._endpoint, self._key = endpoint, key
        end = ends.strftime("%Y-%m-%dT%H:%M:%SZ")
        protocol = "https" if endpoint.startswith("https:") else ""
        scope = "\n" if version >= _ENCRYPTION_SCOPES else ""
        # Between the fields: start, stored policy, address, snapshot, cache control, language.
        self._before = f"\n\n{end}\n/blob/{account}/"
        self._after = f"\n\n\n{protocol}\n{version}\nb\n\n{scope}\n"
        self._end = f"?se={quote(end)}&sp="
        self._version = f"{protocol and '&spr=https'}&sv={version}&sr=b"

    def sign(
        self, permission: str, container: str, blob: str, served: ServedAs | None = None
    ) -> str:
        """Return the URL with which one blob may be read, created or written.

        :param served: headers with which the store is to answer, as the bytes that there are.
        """
        path = f"{container}/{blob}"
        signed, query = _overrides(served)
        to_sign = f"{permission}{self._before}{path}{self._after}{signed}"
        digest = hmac.digest(self._key, to_sign.encode(), "sha256")
        signature = base64.b64encode(digest).decode().replace("+", "%2B").replace("=", "%3D")
        # No container's name and no item identifier has anything to quote.
        name = blob if blob.isascii() and blob.isalnum() else quote(blob)
        url = f"{self._endpoint}/{container}/{name}{self._end}{permission}{self._version}"
        return f"{url}{query}&sig={signature}"


def _overrides(served: ServedAs | None) -> tuple[str, str]:
    """Return Content-Disposition, -Encoding, -Language and -Type, as signed and in the query."""
    if served is None:
        return "\n\n\n", ""
    disposition, kind = served.content_disposition, served.content_type
    # Who has the account's key may have given a blob a Content-Encoding, for which clients would
    # turn what was verified into other bytes.
    signed = f"{disposition}\nidentity\n\n{kind}"
    return signed, f"&rscd={disposition.translate(_QUOTED)}&rsce=identity&rsct={quote(kind)}"
