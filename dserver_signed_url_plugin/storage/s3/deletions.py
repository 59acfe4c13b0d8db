"""Deletes objects of one bucket, and verifies that they are gone.

Raises StorageUnavailable, whatever boto3 raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.s3.errors import ErrorTranslator
from dserver_signed_url_plugin.storage.s3.response_checks import entries
from dserver_signed_url_plugin.storage.values import FoundObject, StoredItem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_MAX_KEYS = 1000  # the most that DeleteObjects takes


class Deletions:
    """Deletes the objects of one bucket.

    :param find: looks up one object by its key.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        failures: ErrorTranslator,
        find: Callable[[str], FoundObject | None],
    ) -> None:
        self._client, self._bucket, self._failures = client, bucket, failures
        self._find = find

    def objects(self, keys: Sequence[str]) -> None:
        """Delete objects, at one request per 1,000."""
        starts = range(0, len(keys), _MAX_KEYS)
        each(lambda start: self._delete(keys[start : start + _MAX_KEYS]), starts)

    def _delete(self, keys: Sequence[str]) -> None:
        batch: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in keys]
        with self._failures.translated("deleting"):
            answer = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": batch, "Quiet": True}
            )
        if answer.get("Errors"):
            raise self._failures.unavailable("deleting", answer["Errors"][0].get("Code", "unknown"))
        deadline.progress()

    def one(self, key: str) -> None:
        """Delete an object, and verify by HEAD that it is gone."""
        self.objects([key])
        self._require_gone({key} if self._find(key) is not None else set())

    def below(self, prefix: str, objects: Mapping[str, StoredItem | None]) -> None:
        """Delete objects, and verify that they are gone by the first page of a listing.

        :param objects: by key, as they were listed.
        :raises StorageUnavailable: if one is still there as it was.
        """
        self.objects(list(objects))
        left = self._first_page(prefix)
        self._require_gone({key for key in left if left[key] == objects.get(key)})

    def _first_page(self, prefix: str) -> Mapping[str, StoredItem]:
        """Return up to 1,000 objects by key, at one request."""
        with self._failures.translated("listing"):
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
            return dict(entries([page], prefix))

    def _require_gone(self, left: Set[str]) -> None:
        if left:
            raise StorageUnavailable(
                f"The store of {self._bucket}",
                f"still holds {len(left)} or more objects that it said it had deleted",
                StorageUnavailable.PAUSE,
            )

    def keeps_versions(self, prefix: str) -> bool:
        """Return whether deleted objects stay as old versions, as far as that is known."""
        try:
            with self._failures.translated("reading the versioning"):
                status = self._client.get_bucket_versioning(Bucket=self._bucket).get("Status")
                if status != "Suspended":
                    return status == "Enabled"
                # Only what was written before it was suspended.
                found = self._client.list_object_versions(Bucket=self._bucket, Prefix=prefix)
                return any(one["VersionId"] != "null" for one in found.get("Versions", []))
        except StorageUnavailable:
            # Not every store has versions, and not every key may read this setting.
            return False
