"""An Azure account as the doctor sees it: its containers, its Blob service, a scratch container.

Never says what an answer means for anybody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from uuid import uuid4

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.doctor.probe import Removal
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.azure.connection import AzureConnection
from dserver_signed_url_plugin.storage.azure.layout import (
    BLOCK,
    DOCUMENT_METADATA,
    block_url,
    item_headers,
)
from dserver_signed_url_plugin.storage.azure.sas import CREATE, READ, WRITE
from dserver_signed_url_plugin.storage.values import Item, Refused, SignedRequest, StoredItem
from dserver_signed_url_plugin.uris import BaseURI

_SCRATCH = "dserver-signed-url-doctor-"
_RELPATH = "doctor.txt"
_LIFE = 15 * 60  # seconds; no less than clocks may be apart
_CONTAINERS_PER_PAGE = 5000  # the most that List Containers gives


class _AccountRefusal(StorageUnavailable):
    """The store refused, for the reason that ``code`` gives."""

    def __init__(self, doing: str, code: str) -> None:
        super().__init__(f"The store refused the server ({doing}: {code}).")
        self.code = code


class _AccountAdmin(AzureConnection):
    """A connection that can also be asked about the account, and writes without a condition."""

    def public_containers(self) -> list[str]:
        with self._asking("listing containers"):
            found = self._service.list_containers(num_results=_CONTAINERS_PER_PAGE)
            return [each.name for each in found if each.properties.public_access]

    def days_kept(self) -> int:
        with self._asking("asking for the service's properties"):
            properties = self._service.get_blob_service_properties()
        # A store that does not know of it leaves it out, and the SDK then has no such attribute.
        policy = getattr(properties, "delete_retention_policy", None)
        return policy.days if policy is not None and policy.enabled else 0

    def put(self, container: str, blob: str, text: str) -> None:
        with self._asking("writing"):
            self._put(container, blob, text, DOCUMENT_METADATA)

    def _unavailable(self, doing: str, code: str, passes: bool = False) -> StorageUnavailable:
        # Nothing for the log: a refusal is what the doctor came for, and reports.
        return _AccountRefusal(doing, code)


class AzureProbe:
    """One account under examination, over a connection of its own."""

    pins = True

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._azure = _AccountAdmin(base_uri.location, settings)
        self.inside, self.outside = self._azure.inside, self._azure.endpoint
        # Like an upload's, it has no metadata: what has none is no dataset in dtool's listing.
        self._container = f"{_SCRATCH}{uuid4()}"
        self.scratch = f"{self._container}/"

    # Signing -------------------------------------------------------------------------------

    def bare_url(self, key: str, inside: bool = False) -> str:
        """Return the URL of a blob without a signature."""
        return f"{self.inside if inside else self.outside}/{key}"

    def read_url(self, key: str, method: str = "GET", ago: int = 0) -> str:
        """Sign as is done for people; Azure does not tell GET from HEAD."""
        return self._signed(READ, key, ago)

    def pinned_put(self, key: str, content: bytes) -> SignedRequest:
        """Sign the PUT of an item of this content, which was announced."""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        headers = item_headers(Item("doctor", _RELPATH, len(content), md5))
        return SignedRequest(self._signed(CREATE, key), headers)

    def staged_url(self, key: str) -> str:
        """Sign the PUT of a document's block, with no header."""
        return block_url(self._signed(WRITE, key))

    def _signed(self, permission: str, key: str, ago: int = 0) -> str:
        ends = datetime.now(timezone.utc) + timedelta(seconds=_LIFE - ago)
        return self._azure.signer(ends).sign(permission, self._container, self._blob(key))

    def _blob(self, key: str) -> str:
        return key.removeprefix(self.scratch)

    # The server's own ways -----------------------------------------------------------------

    def public_containers(self) -> Sequence[str]:
        """Return which of the first 5,000 containers anybody may read."""
        with _in_the_stores_words():
            return self._azure.public_containers()

    def days_kept(self) -> int:
        """Return for how many days blobs are kept that somebody deletes."""
        with _in_the_stores_words():
            return self._azure.days_kept()

    def create_scratch(self) -> None:
        """Create the scratch container."""
        with _in_the_stores_words():
            self._azure.create_container(self._container)

    def write(self, key: str, content: str) -> None:
        """Write as the server does."""
        with _in_the_stores_words():
            self._azure.put(self._container, self._blob(key), content)

    def read(self, key: str) -> bytes | None:
        """Read as the server does."""
        with _in_the_stores_words():
            return self._azure.get(self._container, self._blob(key))

    def collect(self, key: str) -> bytes | None:
        """Make a blob of the block that was PUT, if there is one, and read it."""
        with _in_the_stores_words():
            self._azure.commit(self._container, self._blob(key), BLOCK)
        return self.read(key)

    def listing(self) -> Mapping[str, StoredItem]:
        """List the scratch container as the server does."""
        with _in_the_stores_words():
            found = self._azure.listing(self._container)
            return {f"{self.scratch}{blob.name}": blob.stored for blob in found}

    def remove(self) -> Removal:
        """Delete the scratch container, if there is one, with all that is in it."""
        removed = len(self.listing())
        with _in_the_stores_words():
            self._azure.delete_container(self._container)
        return Removal(removed)


@contextmanager
def _in_the_stores_words() -> Iterator[None]:
    """Let the store's own word through, by which the doctor tells one trouble from another."""
    try:
        yield
    except _AccountRefusal as error:
        status = getattr(error.__cause__, "status_code", 500)
        # Without a body of Azure's, the connection calls the status a code.
        is_a_word = re.fullmatch("[A-Za-z]{1,64}", error.code)
        raise Refused(status, error.code if is_a_word else None) from error
