"""One storage account: its key, and the requests this plugin makes of Azure.

The only room that speaks to the SDK. A vendor's error ends here: what goes out is
StorageUnavailable with a sentence of ours, or a plain answer where absence is one.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests
from azure.common import AzureException, AzureHttpError
from azure.storage.blob import BlobBlock, BlockBlobService, DeleteSnapshot, Include
from azure.storage.common.models import RetryContext
from azure.storage.common.retry import LinearRetry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    DeletionPending,
    ItemArchived,
    SignedURLError,
    StorageAway,
    StorageUnavailable,
)
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.azure.account import ConfiguredAccount
from dserver_signed_url_plugin.storage.azure.listing import ListedBlob, page
from dserver_signed_url_plugin.storage.azure.response_checks import (
    CheckingAdapter,
    UnexpectedAzureAnswer,
)
from dserver_signed_url_plugin.storage.azure.sas import BlobSigner
from dserver_signed_url_plugin.storage.error_translation import log_failure
from dserver_signed_url_plugin.storage.http_sockets import DeadlineConnection
from dserver_signed_url_plugin.storage.parallel import PARALLEL

# The SDK logs, as errors, every answer that is no success, and with a refusal what was signed.
logging.getLogger("azure.storage.common.storageclient").setLevel(logging.CRITICAL + 1)
logging.getLogger("azure.storage.common._auth").setLevel(logging.CRITICAL + 1)

_ABSENT = frozenset({"BlobNotFound", "ContainerNotFound", "ResourceNotFound"})
_PRESENT = frozenset({"BlobAlreadyExists", "ContainerAlreadyExists"})
_CHANGED = frozenset({"ConditionNotMet"})
# With a lease somebody who may write has kept everybody else, the server too, from committing.
_NO_BLOCK = frozenset({"InvalidBlockList", "InvalidBlobType", "LeaseIdMissing"})
_ARCHIVED = frozenset({"BlobArchived", "BlobBeingRehydrated"})
_ARCHIVE = "Archive"
RESTORE = "`az storage blob set-tier --tier Hot`"
_CODE = re.compile(r"[A-Za-z0-9]{1,64}")
_EMPTY = frozenset({"InvalidRange"})
# Statuses of a store that is overloaded or broken, which are no answer to what was asked.
_PASSING = frozenset({429, 500, 502, 503, 504})

# One repetition and short times (to connect, to answer), in seconds: a person waits.
_TIMEOUTS = (5, 15)
_MOST_PAGES = 1_000
_ONCE_MORE = LinearRetry(backoff=0.2, max_attempts=1, random_jitter_range=0.1)


class _AzureRefusal(Exception):
    """The store said no, for a reason that is an answer; ``code`` is its own word for it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class FoundContainer:
    """A container's metadata, and when they were written last (UTC, whole seconds)."""

    metadata: Mapping[str, str]
    last_modified: datetime

    @property
    def kind(self) -> str | None:
        """The type of what is in it, as dtool-azure reads it."""
        return self.metadata.get("type")


@dataclass(frozen=True)
class FoundBlob:
    """A blob's metadata, and whether it is in the archive, where nobody can read it."""

    metadata: Mapping[str, str]
    is_archived: bool = False
    is_being_restored: bool = False


class AzureConnection:
    """The requests of one account, over connections that are kept; safe to share between threads.

    ``endpoint`` is the account's URL for people, ``inside`` the one for the server.

    :raises StorageUnavailable: where dtool's settings have no usable key or endpoint.
    """

    def __init__(self, account: str, settings: Settings) -> None:
        configured = ConfiguredAccount.find(account, settings)
        self.account, self._store = account, f"The store of {account}"
        self.inside, self.endpoint = configured.inside, configured.outside
        self._key = base64.b64decode(configured.key)
        self._service = _service(configured)

    def signer(self, ends: datetime) -> BlobSigner:
        """Return what signs for people until then (UTC, whole seconds)."""
        return BlobSigner(self.endpoint, self.account, self._key, ends)

    # Containers ----------------------------------------------------------------------------

    def container(self, container: str) -> FoundContainer | None:
        """Return what the store says of a container, or None where there is none."""
        with suppress(_AzureRefusal), self._asking("looking up", _ABSENT):
            found = self._service.get_container_properties(container)
            return FoundContainer(dict(found.metadata), found.properties.last_modified)
        return None

    def create_container(self, container: str, metadata: Mapping[str, str] | None = None) -> None:
        """Create a container with its metadata, unless there is one already."""
        with suppress(_AzureRefusal), self._asking("creating", _PRESENT):
            self._service.create_container(container, dict(metadata or {}), fail_on_exist=True)

    def set_container_metadata(self, container: str, metadata: Mapping[str, str]) -> None:
        """Replace a container's metadata."""
        with self._asking("writing"):
            self._service.set_container_metadata(container, dict(metadata))

    def delete_container(self, container: str, unmodified_since: datetime | None = None) -> bool:
        """Delete a container with all that is in it, if there is one.

        :param unmodified_since: keep it, and return False, if its metadata were written since.
        """
        try:
            with self._asking("deleting", _ABSENT | _CHANGED):
                self._service.delete_container(
                    container, fail_not_exist=True, if_unmodified_since=unmodified_since
                )
        except _AzureRefusal as answer:
            return answer.code not in _CHANGED
        if self.container(container) is not None:
            raise self._not_asked("deleting", "still there")
        return True

    def listing(self, container: str, prefix: str | None = None) -> Iterator[ListedBlob]:
        """Yield blobs of a container, if there is one, at one request per 5,000."""
        marker = None
        include = Include(metadata=True, copy=True)
        with suppress(_AzureRefusal), self._asking("listing", _ABSENT):
            for _ in range(_MOST_PAGES):
                # Here alone the SDK lets somebody else read the answer; its version is pinned.
                found = self._service._list_blobs(
                    container, prefix, marker, include=include, _converter=_page
                )
                yield from found.blobs
                before, marker = marker, found.next_marker
                if marker is None:
                    return
                if marker == before:
                    break
                deadline.progress()
            raise self._not_asked("listing", "a listing without an end")

    # Blobs ---------------------------------------------------------------------------------

    def get(self, container: str, blob: str, limit: int | None = None) -> bytes | None:
        """Return a blob, or at most its first limit + 1 bytes, or None where there is none."""
        part = {} if limit is None else {"start_range": 0, "end_range": limit}
        try:
            with self._asking("reading", _ABSENT | _EMPTY):
                content: bytes = self._service.get_blob_to_bytes(container, blob, **part).content
                return content
        except _AzureRefusal as answer:
            return b"" if answer.code in _EMPTY else None
        except TypeError as error:
            # The SDK takes for granted that an answer tells how long the blob is.
            raise self._unavailable("reading", "no blob's headers") from error

    def find(self, container: str, blob: str) -> FoundBlob | None:
        """Return what the store says of a blob, or None where there is none."""
        with suppress(_AzureRefusal), self._asking("looking up", _ABSENT):
            found = self._service.get_blob_properties(container, blob)
            said = found.properties
            # Where the store says nothing of it, the SDK has no such attribute.
            is_being_restored = getattr(said, "rehydration_status", None) is not None
            return FoundBlob(dict(found.metadata), said.blob_tier == _ARCHIVE, is_being_restored)
        return None

    def holds(self, container: str, blob: str, text: str) -> bool:
        """Tell whether a blob is there and is this text."""
        return self.get(container, blob) == text.encode()

    def set_metadata(self, container: str, blob: str, metadata: Mapping[str, str]) -> None:
        """Replace a blob's metadata."""
        with self._asking("writing"):
            self._service.set_blob_metadata(container, blob, dict(metadata))

    def create(self, container: str, blob: str, text: str, metadata: Mapping[str, str]) -> bool:
        """Write one blob, as UTF-8; False, and nothing written, if there is one already."""
        with suppress(_AzureRefusal), self._asking("writing", _PRESENT):
            self._put(container, blob, text, metadata, if_none_match="*")
            return True
        return False

    def replace(
        self, container: str, blob: ListedBlob, text: str, metadata: Mapping[str, str]
    ) -> bool:
        """Write over one blob; False, and nothing written, if it no longer is as it was listed."""
        with suppress(_AzureRefusal), self._asking("writing", _CHANGED):
            self._put(container, blob.name, text, metadata, if_match=_quoted(blob))
            return True
        return False

    def commit(self, container: str, blob: str, block: str) -> bool:
        """Make a blob of the latest block of that name; False where nobody has PUT one."""
        with suppress(_AzureRefusal), self._asking("committing", _ABSENT | _NO_BLOCK):
            self._service.put_block_list(container, blob, [BlobBlock(id=block)])
            return True
        return False

    def delete(self, container: str, blob: ListedBlob) -> None:
        """Delete a blob and its snapshots, if it still is as it was listed."""
        with suppress(_AzureRefusal), self._asking("deleting", _ABSENT | _CHANGED):
            self._service.delete_blob(
                container,
                blob.name,
                delete_snapshots=DeleteSnapshot.Include,
                if_match=_quoted(blob),
            )

    def _put(
        self, container: str, blob: str, text: str, metadata: Mapping[str, str], **condition: Any
    ) -> None:
        self._service.create_blob_from_text(
            container, blob, text, metadata=dict(metadata), **condition
        )

    # Errors --------------------------------------------------------------------------------

    @contextmanager
    def _asking(self, doing: str, answers: frozenset[str] = frozenset()) -> Iterator[None]:
        """Translate the SDK's errors; those that are answers become _Answered."""
        try:
            yield
            deadline.heard()
        except AzureHttpError as error:
            code = _code_of(error)
            if code in answers:
                deadline.heard()
                raise _AzureRefusal(code) from error
            if code in _ARCHIVED:
                raise ItemArchived("What dserver must read of it", RESTORE) from error
            passes = error.status_code in _PASSING
            raise self._unavailable(doing, code, passes) from error
        except (SignedURLError, _AzureRefusal):
            raise
        except AzureException as error:
            raise self._silent(doing, error) from error
        except Exception as error:
            self._log(doing, type(error).__name__)
            raise StorageUnavailable(
                self._store, f"gave an answer that cannot be read ({doing}: {type(error).__name__})"
            ) from error

    def _silent(self, doing: str, error: AzureException) -> StorageUnavailable:
        """Say that there was no answer, or none that can be believed."""
        # The SDK wraps whatever was raised while it asked, or read the answer.
        cause = error.__context__ or error
        if isinstance(cause, UnexpectedAzureAnswer):
            return self._not_asked(doing, str(cause))
        self._log(doing, type(cause).__name__)
        return StorageAway(self._store, f"does not answer ({doing})")

    def _not_asked(self, doing: str, wrong: str) -> StorageUnavailable:
        """Say that an answer is not believed, and what is wrong with it."""
        self._log(doing, wrong)
        return StorageUnavailable(
            self._store, f"did not answer what it was asked, or did not do it ({doing}: {wrong})"
        )

    def _log(self, doing: str, cause: str) -> None:
        log_failure("Azure", doing, self.account, cause)

    def _unavailable(self, doing: str, code: str, passes: bool = False) -> StorageUnavailable:
        self._log(doing, code)
        if code == "ContainerBeingDeleted":
            return DeletionPending(self._store, "is still deleting what it held under this UUID")
        if code == "ContainerNotFound":
            return StorageUnavailable(
                self._store, "does not hold the dataset's container (any more)"
            )
        kind = StorageAway if passes else StorageUnavailable
        return kind(self._store, f"refused the server ({doing}: {code})")


class _Pool(HTTPConnectionPool):
    class ConnectionCls(DeadlineConnection, HTTPConnection):
        """A connection that waits no longer than the call may."""


class _SecurePool(HTTPSConnectionPool):
    class ConnectionCls(DeadlineConnection, HTTPSConnection):
        """The same over TLS."""


class _DeadlineAdapter(CheckingAdapter):
    """Makes its connections such that none waits longer than the call may."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


_POOLS = {"http": _Pool, "https": _SecurePool}


def _service(account: ConfiguredAccount) -> BlockBlobService:
    session = requests.Session()
    adapter = _DeadlineAdapter(pool_maxsize=2 * PARALLEL)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.hooks["response"].append(_name_in_lower_case)
    service = BlockBlobService(
        account.name,
        account.key,
        custom_domain=account.inside,
        request_session=session,
        socket_timeout=_TIMEOUTS,
    )
    service.retry = _retry
    return service


def _name_in_lower_case(response: requests.Response, **_: Any) -> None:
    """Undo what proxies make of the names of headers: the SDK knows metadata by one spelling."""
    lowered = {name.lower(): value for name, value in response.headers.items()}
    response.headers = requests.structures.CaseInsensitiveDict(lowered)


def _retry(context: RetryContext) -> float | None:
    """Return after how many seconds to repeat what failed; never what a store kept silent on."""
    if isinstance(context.exception, requests.exceptions.ReadTimeout):
        return None
    seconds: float | None = _ONCE_MORE.retry(context)
    return seconds


def _code_of(error: AzureHttpError) -> str:
    """Return the store's own word for a refusal, or the status where it has none."""
    code = str(getattr(error, "error_code", None) or error.status_code)
    # Whoever answers may send anything here, and it is shown.
    return code if _CODE.fullmatch(code) else "unknown"


def md5_of(text: str) -> str:
    """Return the MD5 (32 hex digits) that a store has of a text that it keeps."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _quoted(blob: ListedBlob) -> str:
    """Return a blob's ETag as headers have it; listings leave the quotes out."""
    return f'"{blob.etag}"'


def _page(answer: Any) -> Any:
    return page(answer.body)
