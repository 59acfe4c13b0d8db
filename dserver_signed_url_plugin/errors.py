"""The error tree: what can go wrong, as nouns with facts.

Knows an HTTP status, a slug and a helpful sentence for each; knows no Flask. A message is shown
to the person who asked, so it never holds a vendor's words, a credential or a signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class SignedURLError(Exception):
    """Anything that this plugin refuses to do, or cannot do.

    :param message: one sentence or two for the person who asked.
    :param facts: details for programs, answered as ``errors`` in the envelope.
    """

    status = 500
    slug = "error"
    # Seconds after which it is worth calling again, where it passes by itself.
    retry_after: int | None = None

    def __init__(self, message: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.facts = dict(facts or {})


class ConfigurationError(SignedURLError):
    """A setting is missing or wrong; the message names the variable."""

    slug = "configuration"


class NotAuthenticated(SignedURLError):
    """No usable token came with the request."""

    status, slug = 401, "not-authenticated"


class PermissionDenied(SignedURLError):
    """The person may not do this here."""

    status, slug = 403, "permission-denied"


class InvalidField(SignedURLError):
    """A field says something that dtool, dserver or the store cannot keep."""

    status, slug = 400, "invalid-field"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}", {field: [reason]})


class UnfitField(InvalidField):
    """A field of a body is missing, unknown, or of another type than it should be."""

    status = 422


class LifetimeTooLong(InvalidField):
    """More seconds were asked for than the server grants."""

    status, slug = 422, "lifetime-too-long"


class UnreadableBody(SignedURLError):
    """The request's body is not JSON that can be worked with."""

    status, slug = 400, "unreadable-body"


class BodyTooLarge(SignedURLError):
    """The request's body is larger than the server reads."""

    status, slug = 413, "body-too-large"


class LengthRequired(SignedURLError):
    """The request's body came without its length."""

    status, slug = 411, "length-required"


class TooManyRequests(SignedURLError):
    """The person, or the address, sent more requests than the server's rate allows.

    :param retry_after: seconds after which it is worth calling again.
    """

    status, slug = 429, "too-many-requests"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooMuchPending(SignedURLError):
    """The uploader has as many uploads, or bytes, pending as this server allows one person."""

    status, slug = 409, "too-much-pending"


class DatasetNotFound(SignedURLError):
    """dserver does not know the dataset, or its storage no longer holds it."""

    status, slug = 404, "dataset-not-found"


class DatasetExpiring(SignedURLError):
    """The store may delete a dataset at any moment, so that no URL can be promised to work."""

    status, slug = 410, "outlived"


class ItemNotFound(SignedURLError):
    """The dataset has no item of that identifier."""

    status, slug = 404, "item-not-found"


class ItemArchived(SignedURLError):
    """The store keeps an object where nobody can read it until it has been restored.

    :param what: the object, as the start of a sentence.
    :param remedy: what restores it.
    """

    status, slug = 409, "item-archived"

    def __init__(self, what: str, remedy: str, is_being_restored: bool = False) -> None:
        super().__init__(
            f"{what} is being restored from the store's archive; call again in some hours."
            if is_being_restored
            else f"{what} is archived in the store, where no URL can read it: let whoever looks "
            f"after the store restore it ({remedy}), then call again."
        )


class AlreadyRegistered(SignedURLError):
    """dserver already has a dataset under this URI."""

    status, slug = 409, "already-registered"


class UploadConflict(SignedURLError):
    """The UUID is taken by another upload, or by other contents."""

    status, slug = 409, "upload-conflict"


class UploadBusy(SignedURLError):
    """Another request is working on this upload right now.

    :param retry_after: seconds after which it is worth calling again.
    """

    status, slug = 409, "upload-busy"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UploadFrozen(SignedURLError):
    """The upload is a frozen dataset already, and only waits to be registered."""

    status, slug = 409, "upload-frozen"


class URLsStillValid(SignedURLError):
    """Somebody may still be writing through URLs of this upload."""

    status, slug = 409, "urls-alive"


class UploadActive(SignedURLError):
    """Somebody has worked on this upload since it was chosen to be cleaned up."""

    status, slug = 409, "upload-active"


class StorageOccupied(SignedURLError):
    """Storage holds a dataset under this URI that this upload did not create."""

    status, slug = 409, "storage-occupied"


class NoPendingUpload(SignedURLError):
    """There is nothing to complete under this URI."""

    status, slug = 400, "no-pending-upload"


class UploadNotFound(SignedURLError):
    """There is no upload and no dataset under this URI."""

    status, slug = 404, "upload-not-found"


class UploadIncomplete(SignedURLError):
    """Items are missing or differ from what was announced.

    :param missing: relpaths of items that storage does not hold.
    :param mismatched: ``{relpath, expected, found}`` of items that differ.
    """

    status, slug = 400, "upload-incomplete"
    LISTED = 100

    def __init__(
        self,
        message: str,
        missing: Sequence[str] = (),
        mismatched: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        facts = {
            "missing": list(missing[: self.LISTED]),
            "mismatched": list(mismatched[: self.LISTED]),
            "missing_total": len(missing),
            "mismatched_total": len(mismatched),
        }
        super().__init__(message, facts)


class SigningUnsupported(SignedURLError):
    """The storage of this base URI cannot make signed URLs."""

    status, slug = 501, "signing-unsupported"


class DiscardUnsupported(SignedURLError):
    """The storage of this base URI cannot delete a proto-dataset."""

    status, slug = 501, "discard-unsupported"


class LifecycleUnsupported(SignedURLError):
    """The store deletes nothing by itself, or not by rules that the server can reach."""

    status, slug = 501, "lifecycle-unsupported"


class LifecycleUnsettled(SignedURLError):
    """The store's lifecycle rules are not, or do not stay, as they were written."""

    status, slug = 409, "lifecycle-unsettled"


class DatasetsAtStake(SignedURLError):
    """Registered datasets would be deleted, or forgotten, without anybody having said so.

    :param number: how many.
    """

    status, slug = 409, "datasets-at-stake"

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message, {"registered_datasets": number})


class StorageUnavailable(SignedURLError):
    """The store is away, or refused the server; the call can be repeated.

    :param retry_after: seconds after which it is worth calling again, if it passes by itself.
    """

    status, slug = 502, "storage-unavailable"

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.retry_after = retry_after


class StorageAway(StorageUnavailable):
    """The store does not answer, or not for now; what was asked may be asked again."""

    slug = "storage-away"
    retry_after = 5


class RegistrationFailed(SignedURLError):
    """The dataset is complete in storage, but dserver's index did not take it."""

    status, slug = 502, "registration-failed"
    retry_after = 5


class StillRegistered(SignedURLError):
    """Storage holds nothing of the dataset, but dserver's index did not let go of it."""

    status, slug = 502, "still-registered"


class DatabaseBusy(SignedURLError):
    """The database did not answer in time; the call can be repeated."""

    status, slug = 503, "database-busy"
    retry_after = 2
