"""A local Azure Blob store that verifies signatures: Azurite, a program for Node.

Knows where Azurite is installed and how it is started. Never touches dserver or datasets.
"""

from __future__ import annotations

import http.client
import os
import secrets
import shlex
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

from dserver_signed_url_plugin.demo.processes import LocalStorage, never
from dserver_signed_url_plugin.demo.store import (
    FOR_BROWSERS,
    HOST,
    StoreUnavailable,
    free_port,
    inherited,
)

VERSION = "3.35.0"
PROGRAM = "azurite-blob"
KEY_BYTES = 64


class AzuriteMissing(StoreUnavailable):
    """Azurite is not installed; the message says how to."""

    def __init__(self) -> None:
        command = f"npm install --no-save --prefix {shlex.quote(sys.prefix)} azurite@{VERSION}"
        super().__init__(f"The local Azure store, Azurite, is not installed. Type: {command}")


class LocalAzure(LocalStorage):
    """Azurite as a child process, from ``with`` to the end of the block.

    It knows ``accounts`` and no other, and all have the same ``key`` (Base64). Blobs are kept in
    ``data_dir`` if there is one, and forgotten at the end otherwise.

    :raises AzuriteMissing: where it is not installed.
    """

    name = "The local Azure store"

    def __init__(
        self,
        accounts: Sequence[str],
        log_path: Path | None = None,
        data_dir: Path | None = None,
        stop_requested: Callable[[], bool] = never,
    ) -> None:
        self.accounts = tuple(accounts)
        self.key = b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        self.port = free_port()
        self._program = program()
        self._data_dir = data_dir
        super().__init__(log_path, stop_requested)

    def endpoint(self, account: str) -> str:
        """Return the URL of an account, to which containers are added."""
        return f"http://{HOST}:{self.port}/{account}"

    def allow_browsers(self, account: str) -> None:
        """Let web pages of every origin read and write through signed URLs."""
        from azure.storage.blob import BlockBlobService
        from azure.storage.common.models import CorsRule

        service = BlockBlobService(account, self.key, custom_domain=self.endpoint(account))
        # No proxy leads to this machine, whatever the environment says.
        service.request_session.trust_env = False
        service.set_blob_service_properties(
            cors=[
                CorsRule(
                    FOR_BROWSERS["AllowedOrigins"],
                    FOR_BROWSERS["AllowedMethods"],
                    exposed_headers=FOR_BROWSERS["ExposeHeaders"],
                    allowed_headers=FOR_BROWSERS["AllowedHeaders"],
                )
            ]
        )

    def _command(self) -> list[str]:
        command = [self._program, "--blobHost", HOST, "--blobPort", str(self.port)]
        # Its log would hold every URL, signature included.
        command += ["--silent", "--disableTelemetry"]
        if self._data_dir is None:
            return [*command, "--inMemoryPersistence"]
        return [*command, "--location", str(self._data_dir)]

    def _environment(self, scratch: Path) -> dict[str, str]:
        accounts = ";".join(f"{account}:{self.key}" for account in self.accounts)
        return inherited() | {"AZURITE_ACCOUNTS": accounts, "TMPDIR": str(scratch)}

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", f"/{self.accounts[0]}?comp=list")
            # Another Azurite that took the port would not know the account: 404.
            return connection.getresponse().status == 403
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def program() -> str:
    """Return the path of Azurite: beside this Python, where ``make test`` puts it, or on PATH.

    :raises AzuriteMissing: if it is in neither place.
    """
    beside = Path(sys.prefix, "node_modules", ".bin")
    found = shutil.which(PROGRAM, path=f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found is None:
        raise AzuriteMissing
    return found
