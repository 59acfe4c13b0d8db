"""What is examined of an S3 bucket, in which order, and what each step needs."""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import addresses, browsers, scratch, urls
from dserver_signed_url_plugin.doctor.checkup import Checkup, Step
from dserver_signed_url_plugin.doctor.findings import Use
from dserver_signed_url_plugin.doctor.s3 import bucket, signatures
from dserver_signed_url_plugin.doctor.s3.words import WORDS
from dserver_signed_url_plugin.storage.examination import BucketExamination

READING, UPLOADING = Use.READING, Use.UPLOADING

_LISTS = "s3:ListBucket"
_READS = "s3:GetObject"
_WRITES = "s3:PutObject"
_COPIES = "s3:GetObject and s3:PutObject"
_REMOVES = "s3:DeleteObject"

_HERE, _SIGNED, _WRITTEN, _READ = ("bucket",), ("signature",), ("pinned-put",), ("get",)
_STAGED, _LISTED = ("overwriting",), ("listing",)

# fmt: off
_STEPS: tuple[Step[BucketExamination], ...] = (
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

    Step("pinned-put", "PUT …/pinned, as announced", urls.pinned_put, UPLOADING, _SIGNED, _WRITES),
    Step("other-bytes", "PUT other bytes, pinned", urls.other_bytes, UPLOADING, _WRITTEN, _WRITES),
    Step("other-pin", "PUT other bytes and Content-MD5", signatures.other_pin, UPLOADING, _WRITTEN,
         _WRITES),
    Step("overwriting", "PUT …/staged, twice", urls.overwriting, UPLOADING, _WRITTEN, _WRITES),
    Step("copy-source", "PUT with x-amz-copy-source, unsigned", signatures.smuggled_copy, None,
         _STAGED, _COPIES),
    Step("listing", "list what was PUT, as the server", bucket.stored, UPLOADING, _STAGED, _LISTS),
    Step("copy", "copy …/pinned, as the server", bucket.copy, UPLOADING, _LISTED, _COPIES),
    Step("wrong-copy", "copy …/pinned if it were another", bucket.wrong_copy, None, ("copy",),
         _COPIES),

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
_REMOVAL: Step[BucketExamination] = Step(
    "removal", "remove {scratch}", scratch.removal, UPLOADING, _HERE, _REMOVES
)
CHECKUP = Checkup(WORDS, _STEPS, _REMOVAL)
