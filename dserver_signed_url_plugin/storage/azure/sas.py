"""Shared access signatures (SAS) of blobs, in bulk.

A signer computes once what all blobs of an account have in common, so that each URL costs one HMAC.
Its URLs are the same as those of the SDK. They are signed with the key of the account, or with one
that Azure has made for a user, a managed identity or an application (a user delegation SAS).

Source: Microsoft, "Create a service SAS" and "Create a user delegation SAS",
https://learn.microsoft.com/rest/api/storageservices/create-service-sas
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote

from dserver_signed_url_plugin.filenames import ServedAs
from dserver_signed_url_plugin.storage.hmac_sha256 import HMACSHA256

READ, CREATE, WRITE = "r", "c", "w"
# Of the interface, for URLs and for the server's own requests. From version 2019-12-12 on, one PUT
# may have 5,000 MiB, and a block 4,000 MiB; from 2025-07-05 on, more of a delegation is signed.
VERSION = "2025-01-05"

_ENCRYPTION_SCOPES = "2020-12-06"  # the version that added a field for them to the string to sign


@dataclass(frozen=True)
class DelegationKey:
    """A user delegation key as the store returns it, with its owner and when it is valid."""

    value: bytes = field(repr=False)
    object_id: str
    tenant_id: str
    start: str
    expiry: str
    service: str
    version: str

    @property
    def signed(self) -> str:
        """What is signed of the key; empty are two agents, and the correlation ID."""
        return "\n".join((*self._fields.values(), "", "", ""))

    @property
    def query(self) -> str:
        """The parameters of URLs that are signed with it."""
        return "".join([f"&{name}={quote(value)}" for name, value in self._fields.items()])

    @property
    def _fields(self) -> dict[str, str]:
        return {
            "skoid": self.object_id,
            "sktid": self.tenant_id,
            "skt": self.start,
            "ske": self.expiry,
            "sks": self.service,
            "skv": self.version,
        }


class BlobSigner:
    """Signs URLs of blobs of one account that are valid until ``ends`` (UTC, whole seconds).

    They have no start time: a store whose clock is behind the server's would refuse new URLs.

    :param endpoint: the URL of the account; if it is https, the store refuses http.
    :param key: the account's key, decoded, or a user delegation key.
    """

    def __init__(
        self,
        endpoint: str,
        account: str,
        key: bytes | DelegationKey,
        ends: datetime,
        version: str = VERSION,
    ) -> None:
        if isinstance(key, DelegationKey):
            value, signed, self._delegated = key.value, key.signed, key.query
        else:
            # Empty is the name of a stored policy.
            value, signed, self._delegated = key, "", ""
        self._endpoint, self._hmac = endpoint, HMACSHA256(value)
        end = ends.strftime("%Y-%m-%dT%H:%M:%SZ")
        protocol = "https" if endpoint.startswith("https:") else ""
        scope = "\n" if version >= _ENCRYPTION_SCOPES else ""
        # Empty are start, IP address, snapshot, cache control and language.
        self._before = f"\n\n{end}\n/blob/{account}/"
        self._after = f"\n{signed}\n\n{protocol}\n{version}\nb\n\n{scope}\n"
        self._end = f"?se={quote(end)}&sp="
        self._version = f"{protocol and '&spr=https'}&sv={version}&sr=b"

    def sign(
        self, permission: str, container: str, blob: str, served: ServedAs | None = None
    ) -> str:
        """Return the URL to read, create or write a blob.

        :param permission: ``READ``, ``CREATE`` or ``WRITE``.
        :param served: headers for the store's response, which has no Content-Encoding then.
        """
        path = f"{container}/{blob}"
        signed, query = _overrides(served)
        to_sign = f"{permission}{self._before}{path}{self._after}{signed}"
        digest = self._hmac.digest(to_sign.encode())
        signature = base64.b64encode(digest).decode().replace("+", "%2B").replace("=", "%3D")
        # Container names and item identifiers need no quoting.
        name = blob if blob.isascii() and blob.isalnum() else quote(blob)
        url = f"{self._endpoint}/{container}/{name}{self._end}{permission}{self._version}"
        return f"{url}{query}{self._delegated}&sig={signature}"


def _overrides(served: ServedAs | None) -> tuple[str, str]:
    """Return Content-Disposition, -Encoding, -Language and -Type, as signed and in the query."""
    if served is None:
        return "\n\n\n", ""
    kind = served.content_type
    # Overrides a Content-Encoding of the blob, for which clients would decode the verified bytes.
    signed = f"{served.content_disposition}\nidentity\n\n{kind}"
    disposition = served.quoted_content_disposition
    return signed, f"&rscd={disposition}&rsce=identity&rsct={_quoted(kind)}"


# There are few content types.
@lru_cache(maxsize=256)
def _quoted(value: str) -> str:
    return quote(value)
