"""A local Azure Blob store that verifies signatures: Azurite, which runs on Node."""

from __future__ import annotations

import http.client
import os
import secrets
import shlex
import shutil
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

import urllib3

from dserver_signed_url_plugin.demo.processes import StoreProcess, never
from dserver_signed_url_plugin.demo.store import (
    CORS_RULE,
    HOST,
    StoreUnavailable,
    free_port,
    inherited_variables,
)
from dserver_signed_url_plugin.storage.azure.service import BlobService
from dserver_signed_url_plugin.storage.azure.shared_key import SharedKey

VERSION = "3.35.0"
PROGRAM = "azurite-blob"
KEY_BYTES = 64


class AzuriteMissing(StoreUnavailable):
    """Azurite is not installed; the message says how to install it."""

    def __init__(self) -> None:
        command = f"npm install --no-save --prefix {shlex.quote(sys.prefix)} azurite@{VERSION}"
        super().__init__(f"The local Azure store, Azurite, is not installed. Run: {command}")


class LocalAzure(StoreProcess):
    """Azurite in a child process, running as long as the ``with`` block.

    :param accounts: the names of its accounts, which share one ``key`` (Base64).
    :param data_dir: where to keep blobs; in memory if None.
    :raises AzuriteMissing: if it is not installed.
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
        """Return the URL of an account, without a container."""
        return f"http://{HOST}:{self.port}/{account}"

    def allow_browsers(self, account: str) -> None:
        """Let web pages from any origin read and write through signed URLs."""
        # Never through a proxy, as this machine is meant.
        service = BlobService(
            self.endpoint(account),
            SharedKey(account, b64decode(self.key)),
            urllib3.PoolManager(),
        )
        query = {"restype": "service", "comp": "properties"}
        service.send("PUT", "", query, body=_cors_document(), status=202)

    def _command(self) -> list[str]:
        command = [self._program, "--blobHost", HOST, "--blobPort", str(self.port)]
        # Its log would contain signed URLs.
        command += ["--silent", "--disableTelemetry"]
        if self._data_dir is None:
            return [*command, "--inMemoryPersistence"]
        return [*command, "--location", str(self._data_dir)]

    def _environment(self, scratch: Path) -> dict[str, str]:
        accounts = ";".join(f"{account}:{self.key}" for account in self.accounts)
        return inherited_variables() | {"AZURITE_ACCOUNTS": accounts, "TMPDIR": str(scratch)}

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", f"/{self.accounts[0]}?comp=list")
            # Another Azurite on this port would respond with 404, as it does not have the account.
            return connection.getresponse().status == 403
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _cors_document() -> bytes:
    """Return the rule as Set Blob Service Properties has it."""
    names = {"ExposeHeaders": "ExposedHeaders"}
    values = {names.get(name, name): ",".join(texts) for name, texts in CORS_RULE.items()}
    rule = "".join(f"<{name}>{text}</{name}>" for name, text in values.items())
    cors = f"<Cors><CorsRule>{rule}<MaxAgeInSeconds>0</MaxAgeInSeconds></CorsRule></Cors>"
    return f"<StorageServiceProperties>{cors}</StorageServiceProperties>".encode()


def program() -> str:
    """Return the path of Azurite: in this environment, where ``make test`` installs it, or on PATH.

    :raises AzuriteMissing: if it is in neither.
    """
    local = Path(sys.prefix, "node_modules", ".bin")
    found = shutil.which(PROGRAM, path=f"{local}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found is None:
        raise AzuriteMissing
    return found
