"""Cleaning up abandoned uploads, one by one; the failure of one does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.audit.decisions import Decision
from dserver_signed_url_plugin.audit.service import Audit
from dserver_signed_url_plugin.errors import (
    AlreadyRegistered,
    SignedURLError,
    UploadActive,
    UploadBusy,
    UploadFrozen,
    URLsStillValid,
)
from dserver_signed_url_plugin.permissions import permit_operator
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Freed
from dserver_signed_url_plugin.uploads import quotas, repository
from dserver_signed_url_plugin.uploads.cancel import Cancellations
from dserver_signed_url_plugin.uploads.complete import Completions
from dserver_signed_url_plugin.uploads.models import PendingUpload as Upload
from dserver_signed_url_plugin.uploads.orphans import OrphanedParts, abort_orphans
from dserver_signed_url_plugin.uploads.quotas import Usage

logger = logging.getLogger(__name__)

__all__ = [
    "Cleanup",
    "CleanupOptions",
    "CleanupOutcome",
    "CleanupResult",
    "OrphanedParts",
    "Upload",
    "Usage",
]


class CleanupOutcome(Enum):
    """What became of an upload; a repaired one was frozen, and is registered now."""

    REMOVED = "removed"
    KEPT = "kept"
    REPAIRED = "repaired"
    FAILED = "failed"


@dataclass(frozen=True)
class CleanupOptions:
    """What the operator chose; ``older_than`` is in hours, None for any age."""

    older_than: float | None = None
    delete_storage: bool = False
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class CleanupResult:
    """What became of one upload, or would become of it."""

    upload: Upload
    outcome: CleanupOutcome
    reason: str = ""
    freed: Freed = field(default_factory=Freed)

    @property
    def is_kept(self) -> bool:
        """Return whether the upload is left as it was."""
        return self.outcome is CleanupOutcome.KEPT


class Cleanup:
    """Removes abandoned uploads, and registers frozen ones."""

    def __init__(
        self,
        storages: Storages,
        cancellations: Cancellations,
        completions: Completions,
        audit: Audit,
    ) -> None:
        self._storages, self._audit = storages, audit
        self._cancellations, self._completions = cancellations, completions

    def older_than(self, hours: float | None) -> list[Upload]:
        """Return the pending uploads without activity for that long, oldest first."""
        return repository.listed(_ago(hours))

    def by_person(self) -> Sequence[Usage]:
        """Return what each user has pending."""
        return quotas.by_person()

    def find(self, uuid: str) -> Upload | None:
        """Return the pending upload of this UUID."""
        return next((upload for upload in repository.listed() if upload.uuid == uuid), None)

    def treat(self, upload: Upload, options: CleanupOptions) -> CleanupResult:
        """Remove or repair an upload; raises only errors of the database."""
        try:
            freed = self._removed(upload, options)
        except (URLsStillValid, UploadActive, UploadBusy) as reason:
            return CleanupResult(upload, CleanupOutcome.KEPT, reason.message)
        except (AlreadyRegistered, UploadFrozen) as reason:
            return self._repaired(upload, options, reason)
        except repository.UploadGone:
            return CleanupResult(
                upload, CleanupOutcome.KEPT, "it was completed or removed meanwhile"
            )
        except database.REFUSALS:
            raise
        except Exception as error:  # noqa: BLE001 (each failure is its own, whatever it is)
            return _failed(upload, error)
        return CleanupResult(upload, CleanupOutcome.REMOVED, freed=freed)

    def forget_removed(self, options: CleanupOptions) -> Iterator[CleanupResult]:
        """Delete the rows of removed uploads whose URLs have ended; yield failures."""
        for removed in [] if options.dry_run else repository.removed():
            try:
                self._cancellations.forget(removed)
            except (repository.UploadGone, UploadBusy):
                continue
            except database.REFUSALS:
                raise
            except Exception as error:  # noqa: BLE001 (each failure is its own, whatever it is)
                yield _failed(removed, error)

    def abort_orphans(self, options: CleanupOptions) -> Iterator[OrphanedParts]:
        """Abort parts in storage that belong to no pending upload, if storage is to be deleted."""
        before = _ago(options.older_than)
        if options.delete_storage and before is not None:
            yield from abort_orphans(self._storages, before, dry_run=options.dry_run)

    def _removed(self, upload: Upload, options: CleanupOptions) -> Freed:
        if not options.dry_run:
            freed = self._cancellations.remove(
                upload,
                delete_storage=options.delete_storage,
                force=options.force,
                idle_since=_ago(options.older_than),
            )
            self._record("cleanup", upload, freed.size_in_bytes)
            return freed
        self._cancellations.check_removable(upload, force=options.force)
        return self._cancellations.freed_by(upload) if options.delete_storage else Freed()

    def _repaired(
        self, upload: Upload, options: CleanupOptions, reason: SignedURLError
    ) -> CleanupResult:
        if options.dry_run:
            return CleanupResult(upload, CleanupOutcome.REPAIRED, reason.message)
        try:
            done = self._completions.complete(permit_operator(upload.uri.base), upload.uuid)
        except UploadBusy as busy:
            return CleanupResult(upload, CleanupOutcome.KEPT, busy.message)
        except database.REFUSALS:
            raise
        except Exception as error:  # noqa: BLE001 (each failure is its own, whatever it is)
            return _failed(upload, error, reason.message)
        size, verified = done.extent.size_in_bytes, done.extent.verified
        self._record("upload-complete", upload, size, verified)
        return CleanupResult(upload, CleanupOutcome.REPAIRED, "it is registered now")

    def _record(
        self, action: str, upload: Upload, size_in_bytes: int | None, verified: str | None = None
    ) -> None:
        """Record what the operator did, who has no username."""
        self._audit.record(
            Decision(
                action=action,
                username="",
                uri=upload.uri_text,
                items=upload.number_of_items,
                size_in_bytes=size_in_bytes,
                verified=verified,
            )
        )


def _failed(upload: Upload, error: Exception, before: str = "") -> CleanupResult:
    """Return the result for an error, also for an unexpected one."""
    if isinstance(error, SignedURLError):
        words = error.message
    else:
        words = f"something unexpected happened ({type(error).__name__}); it is tried again."
        # Its message may hold a URL or a password, so it is not logged.
        logger.error("Upload %s: %s", upload.uuid, type(error).__name__)
    return CleanupResult(upload, CleanupOutcome.FAILED, f"{before} {words}".strip())


def _ago(hours: float | None) -> datetime | None:
    return None if hours is None else datetime.now(timezone.utc) - timedelta(hours=hours)
