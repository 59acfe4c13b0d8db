"""The doctor's access to an Azure account: its configuration, and a scratch container."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from uuid import uuid4

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.doctor.probe import Removal
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.azure.connection import AzureConnection
from dserver_signed_url_plugin.storage.azure.errors import AzureErrorTranslator
from dserver_signed_url_plugin.storage.azure.layout import (
    BLOCK,
    DOCUMENT_METADATA,
    block_url,
    item_headers,
)
from dserver_signed_url_plugin.storage.azure.sas import CREATE, READ, WRITE
from dserver_signed_url_plugin.storage.azure.xml_documents import parsed
from dserver_signed_url_plugin.storage.md5 import content_md5, md5_of
from dserver_signed_url_plugin.storage.values import Item, Refused, SignedRequest, StoredItem
from dserver_signed_url_plugin.uris import BaseURI

_SCRATCH = "dserver-signed-url-doctor-"
_RELPATH = "doctor.txt"
_LIFETIME = 15 * 60  # seconds; not less than the clock skew that Azure accepts


class _AccountRefusal(StorageUnavailable):
    """The store refused a request with the error ``code``."""

    def __init__(self, doing: str, code: str) -> None:
        super().__init__("The store", f"refused the server ({doing}: {code})")
        self.code = code


class _UnloggedErrors(AzureErrorTranslator):
    """Does not log refusals, because the doctor reports them."""

    def unavailable(self, doing: str, code: str, *, passes: bool = False) -> StorageUnavailable:
        return _AccountRefusal(doing, code)


class _AccountAdmin(AzureConnection):
    """A connection that can also read the account's configuration, and writes unconditionally."""

    def soft_delete_days(self) -> int:
        query = {"restype": "service", "comp": "properties"}
        with self._errors.translated("asking for the service's properties"):
            answer = self._service.send("GET", "", query)
            # The store may not support it; then it has no such element.
            policy = parsed(answer.body, "StorageServiceProperties").find("DeleteRetentionPolicy")
            if policy is None or policy.findtext("Enabled") != "true":
                return 0
            return int(policy.findtext("Days", ""))

    def put(self, container: str, blob: str, text: str) -> None:
        with self._errors.translated("writing"):
            self._put(container, blob, text, DOCUMENT_METADATA, {})

    def _make_errors(self) -> AzureErrorTranslator:
        return _UnloggedErrors(self.account)


class AzureProbe:
    """The doctor's access to one Azure account, with a connection of its own."""

    pins = True

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._azure = _AccountAdmin(base_uri.location, settings)
        self.endpoint, self.public_endpoint = self._azure.inside, self._azure.endpoint
        # It has no metadata, so dtool does not list it as a dataset.
        self._container = f"{_SCRATCH}{uuid4()}"
        self.scratch = f"{self._container}/"

    # Signing -------------------------------------------------------------------------------

    def unsigned_url(self, key: str, *, public: bool = True) -> str:
        """Return the URL of a blob without a signature."""
        return f"{self.public_endpoint if public else self.endpoint}/{key}"

    def read_url(self, key: str, method: str = "GET", age: int = 0) -> str:
        """Sign GET or HEAD, which are the same for Azure, as if it were ``age`` seconds ago."""
        return self._signed(READ, key, age)

    def pinned_put(self, key: str, content: bytes) -> SignedRequest:
        """Sign the PUT of an item that was announced with this content."""
        headers = item_headers(Item("doctor", _RELPATH, len(content), md5_of(content)))
        return SignedRequest(self._signed(CREATE, key), headers)

    def staged_url(self, key: str) -> str:
        """Sign the PUT of a block of a document, without headers."""
        return block_url(self._signed(WRITE, key))

    def part_put(self, key: str, content: bytes) -> SignedRequest:
        """Sign the PUT of a part, whose MD5 is given, of an item."""
        return SignedRequest(self.staged_url(key), content_md5(md5_of(content)))

    def _signed(self, permission: str, key: str, age: int = 0) -> str:
        ends = datetime.now(timezone.utc) + timedelta(seconds=_LIFETIME - age)
        return self._azure.signer(ends).sign(permission, self._container, self._blob(key))

    def _blob(self, key: str) -> str:
        return key.removeprefix(self.scratch)

    # Access as the server ------------------------------------------------------------------

    def key_ends(self) -> datetime | None:
        """Return when what signs URLs ends (UTC); None if that is the account's key."""
        with _refusals_raised():
            return self._azure.key_ends()

    def public_containers(self) -> Sequence[str]:
        """Return the containers that anybody can read."""
        with _refusals_raised():
            return [container.name for container in self._azure.containers() if container.is_public]

    def soft_delete_days(self) -> int:
        """Return for how many days deleted blobs are kept; 0 if they are not."""
        with _refusals_raised():
            return self._azure.soft_delete_days()

    def create_scratch(self) -> None:
        """Create the scratch container."""
        with _refusals_raised():
            self._azure.create_container(self._container)

    def write(self, key: str, content: str) -> None:
        """Write a blob as the server does."""
        with _refusals_raised():
            self._azure.put(self._container, self._blob(key), content)

    def read(self, key: str) -> bytes | None:
        """Read a blob as the server does; None if it does not exist."""
        with _refusals_raised():
            return self._azure.get(self._container, self._blob(key))

    def read_staged(self, key: str) -> bytes | None:
        """Commit the block that was PUT, if there is one, and read the blob."""
        with _refusals_raised():
            self._azure.commit(self._container, self._blob(key), BLOCK)
        return self.read(key)

    def assembled(self, key: str, target: str) -> bytes | None:
        """Commit the block that was PUT, copy the blob and read the copy; None if absent."""
        with _refusals_raised():
            etag = self._azure.commit(self._container, self._blob(key), BLOCK)
            if etag is not None:
                source = f"{self._azure.inside}/{key}"
                self._azure.copy(self._container, self._blob(target), source, etag)
        return self.read(target)

    def listing(self) -> Mapping[str, StoredItem]:
        """List the scratch container as the server does."""
        with _refusals_raised():
            found = self._azure.listing(self._container)
            return {f"{self.scratch}{blob.name}": blob.stored for blob in found}

    def remove(self) -> Removal:
        """Delete the scratch container with everything in it, if it exists."""
        removed = len(self.listing())
        with _refusals_raised():
            self._azure.delete_container(self._container)
        return Removal(removed)


@contextmanager
def _refusals_raised() -> Iterator[None]:
    """Raise Refused, with the store's status and error code, when the store refuses."""
    try:
        yield
    except _AccountRefusal as error:
        status = getattr(error.__cause__, "status", 500)
        # If there is no Azure error in the body, the connection uses the status as code.
        is_error_code = re.fullmatch("[A-Za-z]{1,64}", error.code)
        raise Refused(status, error.code if is_error_code else None) from error
