"""One storage account: its containers and their listings, and what signs for it.

Raises StorageUnavailable if the store does not do what it is asked; the absence of a container is a
result.

Source: Microsoft, "Blob Storage REST API", one page for each operation,
https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial

from dserver_signed_url_plugin.config import LONGEST_LIFE, Settings
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.azure.account import ConfiguredAccount
from dserver_signed_url_plugin.storage.azure.credentials import (
    AccountKey,
    DelegationKeys,
    SigningKey,
    SigningKeys,
    delegation,
    entra_tokens,
)
from dserver_signed_url_plugin.storage.azure.errors import AzureErrorTranslator
from dserver_signed_url_plugin.storage.azure.layout import metadata_headers, part_blob_url
from dserver_signed_url_plugin.storage.azure.listing import blob_page, container_page
from dserver_signed_url_plugin.storage.azure.sas import BlobSigner
from dserver_signed_url_plugin.storage.azure.service import (
    Authorizer,
    AzureRefusal,
    BlobService,
    UnexpectedAzureAnswer,
    connections_to,
)
from dserver_signed_url_plugin.storage.azure.shared_key import SharedKey
from dserver_signed_url_plugin.storage.azure.values import (
    FoundContainer,
    Listed,
    ListedBlob,
    ListedContainer,
    Page,
)
from dserver_signed_url_plugin.storage.values import Life

# Error codes that are results.
ABSENT = frozenset({"BlobNotFound", "ContainerNotFound", "ResourceNotFound"})
PRESENT = frozenset({"BlobAlreadyExists", "ContainerAlreadyExists"})
CHANGED = frozenset({"ConditionNotMet"})

_MAX_PAGES = 1_000
_CONTAINER = {"restype": "container"}


class AccountContainers:
    """The containers of one account, over kept connections; safe to share between threads.

    ``endpoint`` is the account's URL for clients, ``inside`` the one for the server.

    :raises StorageUnavailable: if dtool's settings have no usable key or endpoint.
    :raises SigningUnsupported: if Entra ID is used, and the extra for it is not installed.
    """

    def __init__(self, account: str, settings: Settings) -> None:
        configured = ConfiguredAccount.find(account, settings)
        self.account = account
        self.inside, self.endpoint = configured.inside, configured.outside
        self._errors = self._make_errors()
        authorizer: Authorizer
        if configured.key is None:
            authorizer = entra_tokens(account)
            self._keys: SigningKeys = DelegationKeys(self._delegation)
        else:
            authorizer = SharedKey(account, configured.key)
            self._keys = AccountKey(configured.key)
        self._service = BlobService(self.inside, authorizer, connections_to(self.inside))

    def life(self, seconds: int) -> Life:
        """Return the life of URLs signed now, in whole seconds; it ends with the signing key."""
        life, ends = Life.from_now(seconds, LONGEST_LIFE), self.key_ends()
        if ends is not None:
            life = life.until(ends, "credentials")
        if life.seconds < 1:
            raise StorageUnavailable(f"The key that signs URLs for {self.account}", "has ended")
        return life

    def key_ends(self) -> datetime | None:
        """Return when what signs URLs ends (UTC); the key of an account does not."""
        return self._keys.current().ends

    def signer(self, ends: datetime) -> BlobSigner:
        """Return what signs URLs that work until then (UTC, whole seconds)."""
        return BlobSigner(self.endpoint, self.account, self._keys.current().key, ends)

    def _delegation(self, document: bytes) -> SigningKey:
        """Get a user delegation key."""
        query = {"restype": "service", "comp": "userdelegationkey"}
        with self._errors.translated("getting a key to sign URLs"):
            key = delegation(self._service.send("POST", "", query, body=document).body)
            if key.ends is not None and key.ends <= datetime.now(timezone.utc):
                raise UnexpectedAzureAnswer("a key that has ended")
            return key

    def _make_errors(self) -> AzureErrorTranslator:
        return AzureErrorTranslator(self.account)

    # Containers ----------------------------------------------------------------------------

    def container(self, container: str) -> FoundContainer | None:
        """Return a container, or None if there is none."""
        with suppress(AzureRefusal), self._errors.translated("looking up", ABSENT):
            found = self._service.send("GET", container, _CONTAINER)
            return FoundContainer(
                found.metadata, parsedate_to_datetime(found.headers["last-modified"])
            )
        return None

    def create_container(self, container: str, metadata: Mapping[str, str] | None = None) -> None:
        """Create a container with its metadata, unless there is one already."""
        with suppress(AzureRefusal), self._errors.translated("creating", PRESENT):
            self._service.send("PUT", container, _CONTAINER, metadata_headers(metadata or {}))

    def set_container_metadata(self, container: str, metadata: Mapping[str, str]) -> None:
        """Replace a container's metadata."""
        query = {**_CONTAINER, "comp": "metadata"}
        with self._errors.translated("writing"):
            self._service.send("PUT", container, query, metadata_headers(metadata), status=200)

    def delete_container(self, container: str, unmodified_since: datetime | None = None) -> bool:
        """Delete a container with all that is in it, if there is one.

        :param unmodified_since: keep it, and return False, if its metadata were written since.
        """
        condition = {}
        if unmodified_since is not None:
            condition["if-unmodified-since"] = format_datetime(unmodified_since, usegmt=True)
        try:
            with self._errors.translated("deleting", ABSENT | CHANGED):
                self._service.send("DELETE", container, _CONTAINER, condition)
        except AzureRefusal as answer:
            return answer.code not in CHANGED
        if self.container(container) is not None:
            raise self._errors.unexpected("deleting", "still there")
        return True

    def containers(self) -> Iterator[ListedContainer]:
        """Yield all containers, at one request per 5,000."""
        with self._errors.translated("listing containers"):
            yield from self._pages("", {"comp": "list"}, container_page)

    def listing(self, container: str, prefix: str | None = None) -> Iterator[ListedBlob]:
        """Yield blobs of a container, if there is one, at one request per 5,000."""
        query = {**_CONTAINER, "comp": "list", "include": "copy,metadata"}
        if prefix is not None:
            query["prefix"] = prefix
        parse = partial(blob_page, parts_url=part_blob_url(self.inside, container))
        with suppress(AzureRefusal), self._errors.translated("listing", ABSENT):
            yield from self._pages(container, query, parse)

    def _pages(
        self, path: str, query: Mapping[str, str], parse: Callable[[bytes], Page[Listed]]
    ) -> Iterator[Listed]:
        marker: dict[str, str] = {}
        markers: set[str] = set()
        for _ in range(_MAX_PAGES):
            found = parse(self._service.send("GET", path, {**query, **marker}).body)
            yield from found.listed
            after = found.next_marker
            if after is None:
                return
            if after in markers:
                break
            markers.add(after)
            marker = {"marker": after}
            if found.listed:
                deadline.progress()
        raise self._errors.unexpected("listing", "a listing without an end")
