"""The doctor's access to an S3 bucket: its configuration, and scratch objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from dserver_signed_url_plugin.config import STAGED, Settings
from dserver_signed_url_plugin.doctor.probe import Lifecycle, Removal
from dserver_signed_url_plugin.storage.md5 import content_md5, md5_of
from dserver_signed_url_plugin.storage.parts import StoredPart
from dserver_signed_url_plugin.storage.s3.bucket_admin import BucketAdmin, BucketRefusal
from dserver_signed_url_plugin.storage.s3.layout import (
    item_metadata,
    part_parameters,
    pinned_headers,
)
from dserver_signed_url_plugin.storage.s3.lifecycle_requests import NONE_SET, read_document
from dserver_signed_url_plugin.storage.s3.lifecycle_rules import StoredRule
from dserver_signed_url_plugin.storage.s3.multipart import ListingRefused, MultipartUpload
from dserver_signed_url_plugin.storage.s3.sigv4 import Endpoint, QuerySigner
from dserver_signed_url_plugin.storage.values import Item, Refused, SignedRequest, StoredItem
from dserver_signed_url_plugin.uris import BaseURI

_SCRATCH = "dserver-signed-url-doctor/"  # dtool lists what starts with "dtool-"
_RELPATH = "doctor.txt"
_LIFETIME = 15 * 60  # seconds; not less than the clock skew that S3 accepts
_MAX_KEYS = 100
_MAX_BUCKETS = 5
_SMALL_SIZE = 64 * 1024  # bytes
_ANY_TIME = datetime(2000, 1, 1, tzinfo=timezone.utc)
# What a store keeps of the headers of a PUT.
_KEPT_HEADERS = re.compile(
    "cache-control|content-(disposition|encoding|language|type)|expires|"
    "x-amz-(meta-.+|storage-class|website-redirect-location)"
)


class S3Probe:
    """The doctor's access to one S3 bucket, with a client of its own."""

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._s3 = BucketAdmin(base_uri.location, settings)
        self.bucket = base_uri.location
        self.pins = settings.writes(self.bucket) != STAGED
        self._internal = self._s3.inside
        self.endpoint, self.public_endpoint = _address(self._internal), _address(self._s3.endpoint)
        self.scratch = f"{_SCRATCH}{uuid4()}/"

    # Signing -------------------------------------------------------------------------------

    def unsigned_url(self, key: str, *, public: bool = True) -> str:
        """Return the URL of an object without a signature."""
        endpoint = self._s3.endpoint if public else self._internal
        return self._signer(endpoint).sign("GET", key).partition("?")[0]

    def read_url(self, key: str, method: str = "GET", age: int = 0) -> str:
        """Sign GET or HEAD, as for people, as if it were ``age`` seconds ago."""
        return self._signer(self._s3.endpoint, age).sign(method, key)

    def internal_url(self, key: str) -> str:
        """Sign GET for the server's endpoint."""
        return self._signer(self._internal).sign("GET", key)

    def misdirected_url(self, key: str) -> str:
        """Sign GET for the server's endpoint, but return a URL to the public one."""
        return self.public_endpoint + self.internal_url(key).removeprefix(self.endpoint)

    def pinned_put(self, key: str, content: bytes) -> SignedRequest:
        """Sign the PUT of an item that was announced with this content."""
        headers = pinned_headers(Item("doctor", _RELPATH, len(content), md5_of(content)))
        return SignedRequest(
            self._signer(self._s3.endpoint, for_writing=True).sign("PUT", key, headers), headers
        )

    def staged_url(self, key: str) -> str:
        """Sign the PUT of a staged object, without headers."""
        return self._signer(self._s3.endpoint, for_writing=True).sign("PUT", key)

    def has_write_key(self) -> bool:
        """Return whether write URLs are signed with a key pair of their own."""
        return self._s3.has_write_key

    def _signer(
        self, endpoint: Endpoint, age: int = 0, *, for_writing: bool = False
    ) -> QuerySigner:
        credentials, _ = self._s3.credentials(writing=for_writing)
        starts = datetime.now(timezone.utc) - timedelta(seconds=age)
        return QuerySigner(endpoint, credentials, starts, _LIFETIME)

    # Configuration -------------------------------------------------------------------------

    def credentials_expiry(self) -> datetime | None:
        """Return when the server's credentials expire, if that is known."""
        return self._s3.credentials()[1]

    def regions(self) -> tuple[str, str | None]:
        """Return the region that URLs are signed for, and the one that the store reports."""
        headers = self._ask("head_bucket")["ResponseMetadata"].get("HTTPHeaders", {})
        return self._s3.endpoint.region, headers.get("x-amz-bucket-region") or None

    def versioning(self) -> str:
        """Return ``Enabled``, ``Suspended`` or an empty string."""
        return str(self._ask("get_bucket_versioning").get("Status", ""))

    def lifecycle(self) -> Lifecycle:
        """Return the enabled lifecycle rules that affect datasets."""
        try:
            with _refusals_raised():
                rules = read_document(self._s3).rules
        except Refused as refusal:
            if refusal.code != NONE_SET:
                raise
            return Lifecycle()
        prefix = self._s3.dataset_prefix
        relevant = [rule for rule in rules if rule.is_enabled and rule.reaches_datasets(prefix)]
        return Lifecycle(
            deleting=_names(rule for rule in relevant if rule.expires),
            archiving=_names(rule for rule in relevant if rule.archives),
            ends_old_versions=any(rule.ends_old_versions for rule in relevant),
            aborts_incomplete=any(rule.aborts(_ANY_TIME) for rule in relevant),
        )

    # Access with the server's key ----------------------------------------------------------

    def any_key(self) -> str | None:
        """Return the key of the smallest of the first objects that are not empty."""
        sizes = self._sizes(self.bucket)
        return min(sizes, key=sizes.__getitem__, default=None)

    def object_in_another_bucket(self) -> tuple[str, str] | None:
        """Return ``bucket/key`` and the unsigned URL of a small object in another bucket."""
        try:
            found = self._buckets().get("Buckets", [])
        except Refused:
            return None
        others = [entry["Name"] for entry in found if entry["Name"] != self.bucket]
        for bucket in others[:_MAX_BUCKETS]:
            with suppress(Refused):
                small = [key for key, size in self._sizes(bucket).items() if size <= _SMALL_SIZE]
                if small:
                    return f"{bucket}/{small[0]}", self._s3.bare_url(bucket, small[0])
        return None

    def owner(self) -> str:
        """Return the user ID that the server's key belongs to; empty if unknown."""
        return str(self._buckets().get("Owner", {}).get("ID", ""))

    def headers(self, key: str) -> Mapping[str, str]:
        """Return the headers and metadata that the store keeps for an object."""
        headers = self._ask("head_object", Key=key)["ResponseMetadata"]["HTTPHeaders"]
        return {name: value for name, value in headers.items() if _KEPT_HEADERS.fullmatch(name)}

    def tags(self, key: str) -> Mapping[str, str]:
        """Return an object's tags; empty where the store does not support tags."""
        try:
            found = self._ask("get_object_tagging", Key=key)["TagSet"]
        except Refused as refusal:
            if refusal.status not in {405, 501}:
                raise
            return {}
        return {tag["Key"]: tag["Value"] for tag in found}

    def write(self, key: str, content: str) -> None:
        """Write an object as the server does."""
        with _refusals_raised():
            self._s3.put(key, content)

    def read(self, key: str) -> bytes | None:
        """Read an object as the server does; None if it does not exist."""
        with _refusals_raised():
            return self._s3.get(key)

    def copy(self, source: str, md5: str, target: str) -> bool:
        """Copy an object as the server does; False if the source does not have this MD5."""
        with _refusals_raised():
            return self._s3.copy(source, md5, target, item_metadata(_RELPATH, md5))

    def begin_parts(self, key: str) -> str:
        """Create a multipart upload as the server does, and return its ID."""
        with _refusals_raised():
            return self._s3.multipart.create(key, item_metadata(_RELPATH, "")).upload_id

    def part_put(self, key: str, upload_id: str, content: bytes | None = None) -> SignedRequest:
        """Sign the PUT of part 1; pinned if its content is given."""
        headers = {} if content is None else content_md5(md5_of(content))
        parameters = part_parameters(1, upload_id)
        signer = self._signer(self._s3.endpoint, for_writing=True)
        return SignedRequest(signer.sign("PUT", key, headers, parameters), headers)

    def parts(self, key: str, upload_id: str) -> Mapping[int, StoredPart] | None:
        """List the parts as the server does; None if the store does not know the upload."""
        with _refusals_raised():
            return self._s3.multipart.parts(MultipartUpload(key, upload_id))

    def complete_parts(self, key: str, upload_id: str) -> bool:
        """Put the parts together as the server does; return whether that succeeded."""
        upload = MultipartUpload(key, upload_id)
        with _refusals_raised():
            return self._s3.multipart.complete(upload, self._s3.multipart.parts(upload) or {})

    def abort_parts(self, key: str, upload_id: str) -> None:
        """Delete the parts as the server does."""
        with _refusals_raised():
            self._s3.multipart.abort(MultipartUpload(key, upload_id))

    def incomplete_uploads(self) -> Sequence[datetime | None]:
        """Return when (UTC) each incomplete multipart upload in the bucket was begun."""
        with _refusals_raised():
            return [upload.initiated for upload in self._s3.multipart.below("")]

    def listing(self) -> Mapping[str, StoredItem]:
        """List the scratch objects as the server does."""
        with _refusals_raised():
            return dict(self._s3.listing(self.scratch))

    def remove(self) -> Removal:
        """Delete all scratch objects, and their old versions."""
        keys = list(self.listing())
        with _refusals_raised():
            for upload in self._s3.multipart.listed_below(self.scratch):
                self._s3.multipart.abort(upload)
            self._s3.deletions.objects(keys)
        try:
            versioned = bool(keys and self.versioning())
        except Refused:
            versioned = False
        return Removal(len(keys), self._remove_versions() if versioned else 0)

    def _remove_versions(self) -> int:
        """Delete old versions; return how many could not be deleted."""
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
        """Return the sizes, by key, of the first objects that are not empty."""
        answer = self._ask("list_objects_v2", Bucket=bucket, MaxKeys=_MAX_KEYS)
        return {
            entry["Key"]: entry["Size"] for entry in answer.get("Contents", []) if entry["Size"]
        }

    def _buckets(self) -> Mapping[str, Any]:
        with _refusals_raised():
            return self._s3.ask_the_store("list_buckets")

    def _ask(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        with _refusals_raised():
            return self._s3.ask(operation, **parameters)


def _names(rules: Iterator[StoredRule]) -> list[str]:
    return [repr(rule.name or "without a name") for rule in rules]


def _address(place: Endpoint) -> str:
    return f"{place.scheme}://{place.host}"


@contextmanager
def _refusals_raised() -> Iterator[None]:
    """Raise Refused, with the store's status and error code, when the store refuses."""
    try:
        yield
    except (BucketRefusal, ListingRefused) as error:
        status = 200  # of a batch of deletions, whether or not each one succeeded
        if isinstance(error.__cause__, ClientError):
            status = error.__cause__.response["ResponseMetadata"]["HTTPStatusCode"]
        # If there is no S3 error in the body, botocore uses the status as code.
        is_error_code = re.fullmatch("[A-Za-z.]{1,64}", error.code)
        raise Refused(status, error.code if is_error_code else None) from error
