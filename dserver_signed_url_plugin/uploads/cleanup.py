"""Cleaning up: one upload after the other, each with an outcome, none able to stop the rest.

Knows what an operator is told; what may be removed is known in removal.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.audit.decisions import Audit, Decision
from dserver_signed_url_plugin.errors import (
    AlreadyRegistered,
    SignedURLError,
    UploadActive,
    UploadBusy,
    UploadFrozen,
    URLsStillValid,
)
from dserver_signed_url_plugin.permissions import permit_operator
from dserver_signed_url_plugin.storage.values import Freed
from dserver_signed_url_plugin.uploads import quotas, repository
from dserver_signed_url_plugin.uploads.cancel import Cancellations
from dserver_signed_url_plugin.uploads.complete import Completions
from dserver_signed_url_plugin.uploads.models import PendingUpload as Upload
from dserver_signed_url_plugin.uploads.quotas import Usage
from dserver_signed_url_plugin.uris import DatasetURI

logger = logging.getLogger(__name__)

__all__ = [
    "FAILED",
    "KEPT",
    "REMOVED",
    "REPAIRED",
    "Cleanup",
    "CleanupOptions",
    "CleanupResult",
    "Upload",
    "Usage",
]

REMOVED, KEPT, REPAIRED, FAILED = "removed", "kept", "repaired", "failed"


@dataclass(frozen=True)
class CleanupOptions:
    """What an operator asks for; ``older_than`` are hours, None for whatever its age."""

    older_than: float | None = None
    delete_storage: bool = False
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class CleanupResult:
    """What became of one upload, or would become of it."""

    upload: Upload
    result: str
    reason: str = ""
    freed: Freed = field(default_factory=Freed)

    @property
    def is_kept(self) -> bool:
        """Tell whether the upload is left as it was."""
        return self.result == KEPT


class Cleanup:
    """Removes what was given up, and finishes what only waits to be registered."""

    def __init__(self, removals: Cancellations, completions: Completions, audit: Audit) -> None:
        self._removals, self._completions, self._audit = removals, completions, audit

    def older_than(self, hours: float | None) -> list[Upload]:
        """Return the pending uploads on which nobody has worked for so long, oldest first."""
        return repository.listed(_ago(hours))

    def by_person(self) -> Sequence[Usage]:
        """Return who has how much pending."""
        return quotas.by_person()

    def find(self, uuid: str) -> Upload | None:
        """Return the pending upload of this UUID."""
        return next((upload for upload in repository.listed() if upload.uuid == uuid), None)

    def treat(self, upload: Upload, wish: CleanupOptions) -> CleanupResult:
        """Remove an upload, or say why not; raises nothing but what the database refuses."""
        try:
            freed = self._removed(upload, wish)
        except (URLsStillValid, UploadActive, UploadBusy) as reason:
            return CleanupResult(upload, KEPT, reason.message)
        except (AlreadyRegistered, UploadFrozen) as reason:
            return self._repaired(upload, wish, reason)
        except repository.UploadGone:
            return CleanupResult(upload, KEPT, "it was completed or removed meanwhile")
        except database.REFUSALS:
            raise
        except Exception as error:  # noqa: BLE001 (each failure is its own, whatever it is)
            return _failed(upload, error)
        return CleanupResult(upload, REMOVED, freed=freed)

    def forget_removed(self, wish: CleanupOptions) -> Iterator[CleanupResult]:
        """Strike out removed uploads whose URLs have ended; yield what failed."""
        for removed in [] if wish.dry_run else repository.removed():
            try:
                self._removals.forget(removed)
            except (repository.UploadGone, UploadBusy):
                continue
            except database.REFUSALS:
                raise
            except Exception as error:  # noqa: BLE001 (each failure is its own, whatever it is)
                yield _failed(removed, error)

    def _removed(self, upload: Upload, wish: CleanupOptions) -> Freed:
        if not wish.dry_run:
            freed = self._removals.remove(
                upload, wish.delete_storage, wish.force, _ago(wish.older_than)
            )
            self._record("cleanup", upload, freed.size_in_bytes)
            return freed
        self._removals.removable(upload, wish.force)
        return self._removals.freed_by(upload) if wish.delete_storage else Freed()

    def _repaired(
        self, upload: Upload, wish: CleanupOptions, reason: SignedURLError
    ) -> CleanupResult:
        if wish.dry_run:
            return CleanupResult(upload, REPAIRED, reason.message)
        uri = DatasetURI.parse(upload.uri)
        try:
            self._completions.complete(permit_operator(uri.base), uri.uuid)
        except UploadBusy as busy:
            return CleanupResult(upload, KEPT, busy.message)
        except database.REFUSALS:
            raise
        except Exception as error:  # noqa: BLE001 (each failure is its own, whatever it is)
            return _failed(upload, error, reason.message)
        self._record("upload-complete", upload, upload.size_in_bytes)
        return CleanupResult(upload, REPAIRED, "it is registered now")

    def _record(self, action: str, upload: Upload, size_in_bytes: int | None) -> None:
        """Keep what the operator did; an operator has no name here."""
        self._audit.record(
            Decision(
                action=action,
                username="",
                uri=upload.uri,
                items=upload.number_of_items,
                size_in_bytes=size_in_bytes,
            )
        )


def _failed(upload: Upload, error: Exception, before: str = "") -> CleanupResult:
    """Say why an upload could not be dealt with; what nobody foresaw must not stop the others."""
    if isinstance(error, SignedURLError):
        words = error.message
    else:
        words = f"something unexpected happened ({type(error).__name__}); it is tried again."
        # Its words may hold a URL or a password, so they are not logged.
        logger.error("Upload %s: %s", upload.uuid, type(error).__name__)
    return CleanupResult(upload, FAILED, f"{before} {words}".strip())


def _ago(hours: float | None) -> datetime | None:
    return None if hours is None else datetime.now(timezone.utc) - timedelta(hours=hours)
