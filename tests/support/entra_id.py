"""An Azure account without a key: a store that takes tokens, and what gives the server one.

The token comes as from a managed identity of Azure App Service, and is signed by nobody; the store
looks at all but that. It verifies URLs that are signed with the keys that it makes.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dserver_signed_url_plugin.demo.azurite import LocalAzure
from tests.support.answering_server import Answer, Answering
from tests.support.dserver import Account
from tests.support.tls import certificate

ACCOUNT = "lab"
OBJECT_ID = "11059fcc-5514-4800-b5f8-49808b9cfab6"
TENANT_ID = "ab1f708d-50f6-404c-a006-d71b2ac7a606"


@dataclass(frozen=True)
class EntraAccount(Account):
    """An account of which the server knows no key; ``environ`` gives it an identity."""

    environ: Mapping[str, str] = field(default_factory=dict)
    certificate: str = ""

    def settings(self, endpoint: str | None = None) -> dict[str, str]:
        return {
            f"DTOOL_AZURE_ENTRA_ID_{self.name}": "1",
            f"DTOOL_AZURE_BLOB_ENDPOINT_{self.name}": endpoint or self.endpoint,
        }

    def apply(self, patch: pytest.MonkeyPatch) -> None:
        """Give the server the identity, and trust the store's certificate."""
        trust = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        for name, value in {**self.environ, **dict.fromkeys(trust, self.certificate)}.items():
            patch.setenv(name, value)


class SecureAzure(LocalAzure):
    """Azurite, with TLS, which takes tokens."""

    def __init__(self, public: Path, private: Path) -> None:
        self._certificate = ["--cert", str(public), "--key", str(private)]
        super().__init__([ACCOUNT])

    def endpoint(self, account: str) -> str:
        return super().endpoint(account).replace("http:", "https:")

    def _command(self) -> list[str]:
        return [*super()._command(), "--oauth", "basic", *self._certificate]

    def _is_ready(self) -> bool:
        context = ssl.create_default_context(cafile=self._certificate[1])
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context)
        try:
            connection.request("GET", f"/{ACCOUNT}?comp=list")
            return connection.getresponse().status in {401, 403}
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def token(seconds: int = 3600, **claims: Any) -> str:
    """Return a token for the store that ends after so many seconds."""
    now = int(time.time())
    said = {
        "aud": "https://storage.azure.com",
        "iss": f"https://sts.windows.net/{TENANT_ID}/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + seconds,
        "oid": OBJECT_ID,
        "tid": TENANT_ID,
        **claims,
    }
    parts = (_encoded({"alg": "RS256", "typ": "JWT"}), _encoded(said), "c2ln")
    return ".".join(parts)


def given(text: str, seconds: int = 3600) -> Answer:
    """Return what the service for managed identities answers."""
    about = {"access_token": text, "expires_on": str(int(time.time()) + seconds)}
    content = {**about, "resource": "https://storage.azure.com", "token_type": "Bearer"}
    return Answer(
        content=json.dumps(content).encode(), headers={"Content-Type": "application/json"}
    )


def identity(service: Answering) -> dict[str, str]:
    """Return the variables of a server with a managed identity, and no other one."""
    return {
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        "IDENTITY_ENDPOINT": f"{service.endpoint}/token",
        "IDENTITY_HEADER": "secret-header",
    }


@contextmanager
def running(directory: Path) -> Iterator[EntraAccount]:
    """Run the store and the service that gives tokens."""
    public, private = certificate(directory)
    with SecureAzure(public, private) as store, Answering([given(token())]) as service:
        yield EntraAccount(
            ACCOUNT, store.endpoint(ACCOUNT), store.key, identity(service), str(public)
        )


def _encoded(content: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
