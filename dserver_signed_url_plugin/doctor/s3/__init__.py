"""What is examined of an S3 bucket, in which order, and what each step needs."""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import addresses, browsers, scratch, urls
from dserver_signed_url_plugin.doctor.checks import CheckPlan, Step
from dserver_signed_url_plugin.doctor.findings import Purpose
from dserver_signed_url_plugin.doctor.probe import BucketProbe
from dserver_signed_url_plugin.doctor.s3 import bucket, signatures, unsigned
from dserver_signed_url_plugin.doctor.s3.fixes import cures
from dserver_signed_url_plugin.doctor.s3.terms import WORDS

READING, UPLOADING = Purpose.READING, Purpose.UPLOADING

_LISTS = "s3:ListBucket"
_READS = "s3:GetObject"
_WRITES = "s3:PutObject"
_COPIES = "s3:GetObject and s3:PutObject"
_REMOVES = "s3:DeleteObject"

_HERE, _SIGNED, _READ = ("bucket",), ("signature",), ("get",)
_STAGED, _PINNED, _COPIED = ("overwriting",), ("pinned-put",), ("copy",)

# fmt: off
_STEPS: tuple[Step[BucketProbe], ...] = (
    Step("endpoint", "GET {inside} without a signature", addresses.inside, READING),
    Step("clock", "compare the store's clock", addresses.clock, READING, ("endpoint",)),
    Step("credentials", "look when the credentials end", bucket.credentials, READING),
    Step("bucket", "list, as the server", bucket.bucket, READING, ("clock",), _LISTS),
    Step("region", "ask for the bucket's region", bucket.region, None, _HERE, _LISTS),
    Step("versioning", "ask for versioning", bucket.versioning, None, _HERE),
    Step("lifecycle", "ask for lifecycle rules", bucket.lifecycle, UPLOADING, _HERE),
    Step("public-endpoint", "GET {outside} without a signature", addresses.outside, READING),
    Step("signature", "GET …/absent, signed", signatures.signature, READING,
         ("bucket", "public-endpoint"), _READS),

    Step("writes", "look how uploads are set up", signatures.writing, None, _SIGNED),
    Step("overwriting", "PUT …/staged, twice", signatures.staged_put, UPLOADING, _SIGNED, _WRITES),
    Step("pinned-put", "PUT …/pinned, as announced", signatures.pinned_put, UPLOADING, _STAGED,
         _WRITES, pins=True),
    Step("other-bytes", "PUT other bytes, pinned", urls.other_bytes, UPLOADING, _PINNED, _WRITES,
         pins=True),
    Step("other-pin", "PUT other bytes and Content-MD5", signatures.other_pin, UPLOADING, _PINNED,
         _WRITES, pins=True),
    Step("listing", "list what was PUT, as the server", bucket.stored, UPLOADING, _STAGED, _LISTS),
    Step("copy", "copy …/staged, as the server", bucket.copy, UPLOADING, ("listing",), _COPIES),
    Step("wrong-copy", "copy …/staged if it were another", bucket.wrong_copy, None, _COPIED,
         _COPIES),

    Step("copy-source", "PUT with x-amz-copy-source", unsigned.copying, UPLOADING, _COPIED),
    Step("copy-elsewhere", "the same, of another bucket", unsigned.copying_from_elsewhere,
         UPLOADING, _COPIED),
    Step("acl", "PUT with x-amz-acl", unsigned.access, UPLOADING, _COPIED),
    Step("tagging", "PUT with x-amz-tagging", unsigned.tagging, UPLOADING, _COPIED),
    Step("redirect", "PUT with x-amz-website-redirect-location", unsigned.redirect, UPLOADING,
         _COPIED),
    Step("headers", "PUT with Content-Type and the like", unsigned.headers, UPLOADING, _COPIED),
    Step("encryption", "PUT with a key to encrypt it (SSE-C)", unsigned.encryption, UPLOADING,
         _COPIED),

    Step("get", "GET an object", signatures.get, READING, _SIGNED, _READS),
    Step("range", "GET its first byte", urls.byte_range, None, _READ, _READS),
    Step("head", "HEAD the object", urls.head, None, _READ, _READS),
    Step("expired", "GET with a URL that has died", urls.expired, READING, _READ, _READS),
    Step("tampered", "GET with a changed signature", urls.tampered, READING, _READ, _READS),
    Step("unsigned", "GET without a signature", urls.unsigned, None, _READ, _READS),
    Step("cors-get", "GET from the origin", browsers.reading, READING, _READ, _READS),
    Step("cors-put", "OPTIONS from the origin", browsers.uploading, UPLOADING, _SIGNED),
)
# fmt: on
_REMOVAL: Step[BucketProbe] = Step(
    "removal", "remove {scratch}", scratch.removal, UPLOADING, _HERE, _REMOVES
)
CHECKUP = CheckPlan(WORDS, _STEPS, _REMOVAL, cures)
