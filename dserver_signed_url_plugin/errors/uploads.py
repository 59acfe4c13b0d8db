"""Uploads that cannot be begun, completed or cancelled as requested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, ClassVar

from dserver_signed_url_plugin.errors.base import SignedURLError


@dataclass(eq=False)
class AlreadyRegistered(SignedURLError):
    """dserver already has a dataset under this URI."""

    status, slug = 409, "already-registered"
    sentence = (
        "{self.uri} is registered already as a dataset: it cannot be cancelled, and a new upload "
        "needs a new UUID."
    )

    uri: object


@dataclass(eq=False)
class UploadConflict(SignedURLError):
    """The uploader has announced other contents under this UUID."""

    status, slug = 409, "upload-conflict"
    sentence = (
        "Upload {self.uuid} is already pending with another name, creator, other items, tags, "
        "annotations or overlays; announce these again to resume it, cancel it, or use a new UUID."
    )

    uuid: str


@dataclass(eq=False)
class UploadElsewhere(SignedURLError):
    """The UUID is pending at another base URI."""

    status, slug = 409, "upload-elsewhere"
    sentence = (
        "Upload {self.uuid} is already pending at another base URI; go on there, or announce a "
        "new UUID here."
    )

    uuid: str


@dataclass(eq=False)
class UploadOfAnother(SignedURLError):
    """The UUID is pending as someone else's upload."""

    status, slug = 409, "upload-of-another"
    sentence = "Upload {self.uuid} is already pending by someone else; use a new UUID."

    uuid: str


@dataclass(eq=False)
class UploadBusy(SignedURLError):
    """Another request is working on this upload."""

    status, slug = 409, "upload-busy"
    sentence = (
        "Another request is working on upload {self.uuid}; call again in {self.retry_after} s."
    )

    uuid: str
    retry_after: int = 1


@dataclass(eq=False)
class UploadFrozen(SignedURLError):
    """The upload is a frozen dataset already, and only waits to be registered."""

    status, slug = 409, "upload-frozen"
    sentence = "Upload {self.uuid} is frozen and only waits to be registered: complete it."

    uuid: str


@dataclass(eq=False)
class UploadNotOpened(SignedURLError):
    """Storage does not hold the proto-dataset of a pending upload."""

    status, slug = 409, "upload-not-opened"
    sentence = (
        "Storage does not hold the proto-dataset of upload {self.uuid}: announce the same upload "
        "again."
    )

    uuid: str


@dataclass(eq=False)
class URLsStillValid(SignedURLError):
    """URLs of an upload that was or is to be removed can still write."""

    status, slug = 409, "urls-alive"
    sentence = (
        "URLs of upload {self.uuid} can write until {self.ends:%Y-%m-%d %H:%M:%S} UTC: wait, or "
        "use a new UUID."
    )
    retry_after: int = field(init=False)

    uuid: str
    ends: datetime

    def __post_init__(self) -> None:
        left = self.ends - datetime.now(timezone.utc)
        self.retry_after = max(1, round(left.total_seconds()) + 1)


@dataclass(eq=False)
class UploadActive(SignedURLError):
    """Somebody has worked on this upload since it was chosen to be cleaned up."""

    status, slug = 409, "upload-active"
    sentence = "Upload {self.uuid} was worked on at {self.active_at:%H:%M:%S} UTC."

    uuid: str
    active_at: datetime


@dataclass(eq=False)
class StorageOccupied(SignedURLError):
    """Storage holds a dataset under this URI that this upload did not create."""

    status, slug = 409, "storage-occupied"
    sentence = "Storage already holds another {self.kind} {self.uuid}; use a new UUID."

    uuid: str
    kind: str


@dataclass(eq=False)
class TooMuchPending(SignedURLError):
    """The uploader has as many uploads, or bytes, pending as the server allows."""

    status, slug = 409, "too-much-pending"
    sentence = (
        "You have {self.used}; this server allows one user {self.limit} ({self.setting}). Complete "
        "what is uploaded, or cancel what you do not need (DELETE /signed-urls/upload/<uri>); or "
        "ask the server's administrator."
    )

    used: str
    limit: int
    setting: str


class SizesRequired(SignedURLError):
    """The server limits the bytes that a user has pending, and an item came without its size."""

    status, slug = 409, "sizes-required"
    sentence = (
        "This server limits the bytes that one user has pending (SIGNED_URL_MAX_PENDING_BYTES): "
        "announce size_in_bytes of every item."
    )


@dataclass(eq=False)
class NoPendingUpload(SignedURLError):
    """There is nothing to complete under this URI."""

    status, slug = 400, "no-pending-upload"
    sentence = "There is no pending upload for {self.uri}; announce it first."

    uri: object


@dataclass(eq=False)
class UploadNotFound(SignedURLError):
    """There is no upload and no dataset under this URI."""

    status, slug = 404, "upload-not-found"
    sentence = "There is no upload and no dataset {self.uri}."

    uri: object


@dataclass(eq=False)
class UploadIncomplete(SignedURLError):
    """Items are missing, or differ from what was announced.

    :param missing: relpaths of items that storage does not hold.
    :param mismatched: ``{relpath, expected, found}`` of items that differ.
    """

    status, slug = 400, "upload-incomplete"
    LISTED: ClassVar[int] = 100
    sentence = (
        "{self.problem}: announce the same upload again, PUT what is missing or wrong to the URLs "
        "and with the headers that this returns, then complete it again."
    )

    problem: str
    missing: Sequence[str] = ()
    mismatched: Sequence[Mapping[str, Any]] = ()

    @property
    def details(self) -> Mapping[str, Any]:
        return {
            "missing": list(self.missing[: self.LISTED]),
            "mismatched": list(self.mismatched[: self.LISTED]),
            "missing_total": len(self.missing),
            "mismatched_total": len(self.mismatched),
        }


class UnannouncedItems(UploadIncomplete):
    """Storage holds items under this UUID that were not announced."""

    slug = "unannounced-items"
    sentence = "{self.problem}, from another upload; upload again under a new UUID."
