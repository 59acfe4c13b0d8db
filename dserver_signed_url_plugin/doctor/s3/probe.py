"""S3 as the doctor sees it: region, versioning, lifecycle, and scratch objects of its own.

Never says what an answer means for anybody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from dserver_signed_url_plugin.config import STAGED, Settings
from dserver_signed_url_plugin.doctor.probe import Lifecycle, Removal
from dserver_signed_url_plugin.storage.s3.bucket_admin import BucketAdmin, BucketRefusal
from dserver_signed_url_plugin.storage.s3.layout import item_metadata, pinned_headers
from dserver_signed_url_plugin.storage.s3.lifecycle import NONE_SET, read_document
from dserver_signed_url_plugin.storage.s3.lifecycle_rules import StoredRule
from dserver_signed_url_plugin.storage.s3.sigv4 import Endpoint, QuerySigner
from dserver_signed_url_plugin.storage.values import Item, Refused, SignedRequest, StoredItem
from dserver_signed_url_plugin.uris import BaseURI

_SCRATCH = "dserver-signed-url-doctor/"  # dtool lists what starts with "dtool-"
_RELPATH = "doctor.txt"
_LIFE = 15 * 60  # seconds; no less than clocks may be apart
_KEYS_LOOKED_AT = 100
_BUCKETS_LOOKED_AT = 5
_SMALL = 64 * 1024  # bytes
# What a PUT may say of an object beside its bytes.
_DESCRIPTIONS = re.compile(
    "cache-control|content-(disposition|encoding|language|type)|expires|"
    "x-amz-(meta-.+|storage-class|website-redirect-location)"
)


class S3Probe:
    """One bucket under examination, over a connection of its own."""

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._s3 = BucketAdmin(base_uri.location, settings)
        self.bucket = base_uri.location
        self.pins = settings.writes(self.bucket) != STAGED
        self._inside = self._s3.inside
        self.inside, self.outside = _address(self._inside), _address(self._s3.place)
        self.scratch = f"{_SCRATCH}{uuid4()}/"

    # Signing -------------------------------------------------------------------------------

    def bare_url(self, key: str, inside: bool = False) -> str:
        """Return the URL of a key without a signature."""
        place = self._inside if inside else self._s3.place
        return self._signer(place).sign("GET", key).partition("?")[0]

    def read_url(self, key: str, method: str = "GET", ago: int = 0) -> str:
        """Sign GET or HEAD, as is done for people; ``ago`` seconds ago."""
        return self._signer(self._s3.place, ago).sign(method, key)

    def inside_url(self, key: str) -> str:
        """Sign GET for the server's address."""
        return self._signer(self._inside).sign("GET", key)

    def misdirected_url(self, key: str) -> str:
        """Sign GET for the server's address, but return a URL to people's."""
        return self.outside + self.inside_url(key).removeprefix(self.inside)

    def pinned_put(self, key: str, content: bytes) -> SignedRequest:
        """Sign the PUT of an item of this content, which was announced."""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        headers = pinned_headers(Item("doctor", _RELPATH, len(content), md5))
        return SignedRequest(
            self._signer(self._s3.place, writing=True).sign("PUT", key, headers), headers
        )

    def staged_url(self, key: str) -> str:
        """Sign the PUT of what completion will look at, with no header."""
        return self._signer(self._s3.place, writing=True).sign("PUT", key)

    def has_write_key(self) -> bool:
        """Tell whether URLs to write are signed with a key pair of their own."""
        return self._s3.has_write_key

    def _signer(self, place: Endpoint, ago: int = 0, writing: bool = False) -> QuerySigner:
        credentials, _ = self._s3.credentials(writing)
        starts = datetime.now(timezone.utc) - timedelta(seconds=ago)
        return QuerySigner(place, credentials, starts, _LIFE)

    # What is set ---------------------------------------------------------------------------

    def credentials_end(self) -> datetime | None:
        """Return when the credentials end, if that is known."""
        return self._s3.credentials()[1]

    def regions(self) -> tuple[str, str | None]:
        """Return the region that is signed for, and the one that the store names, if any."""
        headers = self._ask("head_bucket")["ResponseMetadata"].get("HTTPHeaders", {})
        return self._s3.place.region, headers.get("x-amz-bucket-region") or None

    def versioning(self) -> str:
        """Return ``Enabled``, ``Suspended`` or nothing."""
        return str(self._ask("get_bucket_versioning").get("Status", ""))

    def lifecycle(self) -> Lifecycle:
        """Return the rules that are switched on and reach the keys of datasets."""
        try:
            with _in_the_stores_words():
                rules = read_document(self._s3).rules
        except Refused as refusal:
            if refusal.code != NONE_SET:
                raise
            return Lifecycle()
        prefix = self._s3.dataset_prefix
        reaching = [rule for rule in rules if rule.is_enabled and rule.reaches_datasets(prefix)]
        return Lifecycle(
            deleting=_names(rule for rule in reaching if rule.expires),
            archiving=_names(rule for rule in reaching if rule.archives),
            ends_old_versions=any(rule.ends_old_versions for rule in reaching),
        )

    # The server's own ways -----------------------------------------------------------------

    def some_key(self) -> str | None:
        """Return the key of the smallest object among the first that are not empty."""
        sizes = self._sizes(self.bucket)
        return min(sizes, key=sizes.__getitem__, default=None)

    def object_elsewhere(self) -> tuple[str, str] | None:
        """Return ``bucket/key`` and the bare URL of a small object in another bucket, if any."""
        try:
            found = self._owned().get("Buckets", [])
        except Refused:
            return None
        others = [entry["Name"] for entry in found if entry["Name"] != self.bucket]
        for bucket in others[:_BUCKETS_LOOKED_AT]:
            with suppress(Refused):
                small = [key for key, size in self._sizes(bucket).items() if size <= _SMALL]
                if small:
                    return f"{bucket}/{small[0]}", self._s3.bare_url(bucket, small[0])
        return None

    def user(self) -> str:
        """Return the store's name for whom the server's key belongs to."""
        return str(self._owned().get("Owner", {}).get("ID", ""))

    def headers(self, key: str) -> Mapping[str, str]:
        """Return how the store describes an object: what was PUT beside its bytes."""
        described = self._ask("head_object", Key=key)["ResponseMetadata"]["HTTPHeaders"]
        return {name: value for name, value in described.items() if _DESCRIPTIONS.fullmatch(name)}

    def tags(self, key: str) -> Mapping[str, str]:
        """Return an object's tags; none where the store knows no tags."""
        try:
            found = self._ask("get_object_tagging", Key=key)["TagSet"]
        except Refused as refusal:
            if refusal.status not in {405, 501}:
                raise
            return {}
        return {tag["Key"]: tag["Value"] for tag in found}

    def write(self, key: str, content: str) -> None:
        """Write as the server does."""
        with _in_the_stores_words():
            self._s3.put(key, content)

    def read(self, key: str) -> bytes | None:
        """Read as the server does."""
        with _in_the_stores_words():
            return self._s3.get(key)

    def copy(self, source: str, md5: str, target: str) -> bool:
        """Copy as the server does; False if the source is not what md5 says."""
        with _in_the_stores_words():
            return self._s3.copy(source, md5, target, item_metadata(_RELPATH, md5))

    def listing(self) -> Mapping[str, StoredItem]:
        """List the scratch place as the server does."""
        with _in_the_stores_words():
            return dict(self._s3.listing(self.scratch))

    def remove(self) -> Removal:
        """Delete all that is in the scratch place, with its old versions where there are any."""
        keys = list(self.listing())
        with _in_the_stores_words():
            self._s3.delete(keys)
        try:
            versioned = bool(keys and self.versioning())
        except Refused:
            versioned = False
        return Removal(len(keys), self._remove_versions() if versioned else 0)

    def _remove_versions(self) -> int:
        """Delete old versions, and return how many may not be deleted."""
        try:
            answer = self._ask("list_object_versions", Prefix=self.scratch)
        except Refused as refusal:
            if refusal.code != "AccessDenied":
                raise
            return 1
        found = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
        if not found:
            return 0
        objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
        try:
            refused = self._ask("delete_objects", Delete={"Objects": objects, "Quiet": True})
        except Refused as refusal:
            if refusal.code != "AccessDenied":
                raise
            return len(objects)
        return len(refused.get("Errors", []))

    def _sizes(self, bucket: str) -> Mapping[str, int]:
        """Return the sizes of the first objects that are not empty, by key."""
        answer = self._ask("list_objects_v2", Bucket=bucket, MaxKeys=_KEYS_LOOKED_AT)
        return {
            entry["Key"]: entry["Size"] for entry in answer.get("Contents", []) if entry["Size"]
        }

    def _owned(self) -> Mapping[str, Any]:
        with _in_the_stores_words():
            return self._s3.ask_the_store("list_buckets")

    def _ask(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        with _in_the_stores_words():
            return self._s3.ask(operation, **parameters)


def _names(rules: Iterator[StoredRule]) -> list[str]:
    return [repr(rule.name or "without a name") for rule in rules]


def _address(place: Endpoint) -> str:
    return f"{place.scheme}://{place.host}"


@contextmanager
def _in_the_stores_words() -> Iterator[None]:
    """Let the store's own word through, by which the doctor tells one trouble from another."""
    try:
        yield
    except BucketRefusal as error:
        status = 200  # the answer to many deletions at once, whatever became of each
        if isinstance(error.__cause__, ClientError):
            status = error.__cause__.response["ResponseMetadata"]["HTTPStatusCode"]
        # Without a body of S3's, botocore calls the status a code.
        is_a_word = re.fullmatch("[A-Za-z.]{1,64}", error.code)
        raise Refused(status, error.code if is_a_word else None) from error
