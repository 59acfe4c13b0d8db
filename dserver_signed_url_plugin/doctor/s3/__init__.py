"""The checks of an S3 bucket: their order, and what each requires."""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import addresses, browsers, scratch, urls
from dserver_signed_url_plugin.doctor.checks import CheckPlan, Step
from dserver_signed_url_plugin.doctor.findings import Purpose
from dserver_signed_url_plugin.doctor.probe import BucketProbe
from dserver_signed_url_plugin.doctor.s3 import bucket, parts, signatures, unsigned
from dserver_signed_url_plugin.doctor.s3.fixes import fixes
from dserver_signed_url_plugin.doctor.s3.terms import TERMS

READING, UPLOADING = Purpose.READING, Purpose.UPLOADING

_LIST = "s3:ListBucket"
_READ = "s3:GetObject"
_WRITE = "s3:PutObject"
_COPY = "s3:GetObject and s3:PutObject"
_DELETE = "s3:DeleteObject"
_PARTS = "s3:PutObject and s3:ListMultipartUploadParts"
_ABORT = "s3:AbortMultipartUpload"
_LIST_UPLOADS = "s3:ListBucketMultipartUploads and s3:GetLifecycleConfiguration"

_BUCKET, _SIGNATURE, _GET = ("bucket",), ("signature",), ("get",)
_STAGED, _PINNED, _COPIED = ("overwriting",), ("pinned-put",), ("copy",)
_SENT = ("parts",)

# fmt: off
_STEPS: tuple[Step[BucketProbe], ...] = (
    Step("endpoint", "GET {endpoint} without a signature", addresses.endpoint, READING),
    Step("clock", "compare the store's clock", addresses.clock, READING, ("endpoint",)),
    Step("credentials", "look up when the credentials expire", bucket.credentials, READING),
    Step("bucket", "list the bucket, as the server", bucket.bucket, READING, ("clock",), _LIST),
    Step("region", "look up the bucket's region", bucket.region, None, _BUCKET, _LIST),
    Step("versioning", "look up versioning", bucket.versioning, None, _BUCKET),
    Step("lifecycle", "look up lifecycle rules", bucket.lifecycle, UPLOADING, _BUCKET),
    Step("public-endpoint", "GET {public_endpoint} without a signature", addresses.public_endpoint,
         READING),
    Step("signature", "GET …/absent, signed", signatures.signature, READING,
         ("bucket", "public-endpoint"), _READ),

    Step("writes", "look up how uploads are set up", signatures.writing, None, _SIGNATURE),
    Step("overwriting", "PUT …/staged, twice", signatures.staged_put, UPLOADING, _SIGNATURE,
         _WRITE),
    Step("pinned-put", "PUT …/pinned, as announced", signatures.pinned_put, UPLOADING, _STAGED,
         _WRITE, pinned_only=True),
    Step("other-bytes", "PUT other bytes, pinned", urls.other_bytes, UPLOADING, _PINNED, _WRITE,
         pinned_only=True),
    Step("other-pin", "PUT other bytes and Content-MD5", signatures.other_pin, UPLOADING, _PINNED,
         _WRITE, pinned_only=True),
    Step("listing", "list what was PUT, as the server", bucket.stored, UPLOADING, _STAGED, _LIST),
    Step("copy", "copy …/staged, as the server", bucket.copy, UPLOADING, ("listing",), _COPY),
    Step("wrong-copy", "copy …/staged, expecting other bytes", bucket.wrong_copy, None, _COPIED,
         _COPY),

    Step("parts", "PUT …/parts?partNumber=1", parts.put, None, _STAGED, _PARTS),
    Step("parts-bytes", "PUT other bytes, as part 1", parts.other_bytes, None, _SENT, _PARTS),
    Step("parts-assembled", "assemble …/assembled, then PUT part 1", parts.assembled,
         UPLOADING, _STAGED, _PARTS),
    Step("parts-aborted", "abort …/aborted, then PUT part 1", parts.aborted, None, _SENT, _ABORT),
    Step("incomplete", "look for multipart uploads that were given up", parts.incomplete, None,
         _SENT, _LIST_UPLOADS),

    Step("copy-source", "PUT with x-amz-copy-source", unsigned.copy_source, UPLOADING, _COPIED),
    Step("copy-elsewhere", "the same, from another bucket", unsigned.copy_elsewhere, UPLOADING,
         _COPIED),
    Step("acl", "PUT with x-amz-acl", unsigned.acl, UPLOADING, _COPIED),
    Step("tagging", "PUT with x-amz-tagging", unsigned.tagging, UPLOADING, _COPIED),
    Step("redirect", "PUT with x-amz-website-redirect-location", unsigned.redirect, UPLOADING,
         _COPIED),
    Step("headers", "PUT with Content-Type and the like", unsigned.headers, UPLOADING, _COPIED),
    Step("encryption", "PUT with an encryption key (SSE-C)", unsigned.encryption, UPLOADING,
         _COPIED),

    Step("get", "GET an object", signatures.get, READING, _SIGNATURE, _READ),
    Step("range", "GET its first byte", urls.byte_range, None, _GET, _READ),
    Step("head", "HEAD the object", urls.head, None, _GET, _READ),
    Step("expired", "GET with an expired URL", urls.expired, READING, _GET, _READ),
    Step("tampered", "GET with a changed signature", urls.tampered, READING, _GET, _READ),
    Step("unsigned", "GET without a signature", urls.unsigned, None, _GET, _READ),
    Step("mixed-content", "compare the origin's scheme", browsers.mixed_content, READING),
    Step("cors-get", "GET from the origin", browsers.reading, READING, _GET, _READ),
    Step("cors-put", "OPTIONS from the origin", browsers.uploading, UPLOADING, _SIGNATURE),
)
# fmt: on
_REMOVAL: Step[BucketProbe] = Step(
    "removal", "remove {scratch}", scratch.removal, UPLOADING, _BUCKET, _DELETE
)
PLAN = CheckPlan(TERMS, _STEPS, _REMOVAL, fixes)
