"""What is examined of an Azure account, and in which order; an account key may do all of it."""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import addresses, browsers, scratch, urls
from dserver_signed_url_plugin.doctor.azure import account, creation
from dserver_signed_url_plugin.doctor.azure.terms import WORDS
from dserver_signed_url_plugin.doctor.checks import CheckPlan, Step
from dserver_signed_url_plugin.doctor.findings import Purpose
from dserver_signed_url_plugin.doctor.probe import AccountProbe

READING, UPLOADING = Purpose.READING, Purpose.UPLOADING

_HERE, _SIGNED, _WRITTEN, _READ = ("containers",), ("signature",), ("pinned-put",), ("get",)

# fmt: off
_STEPS: tuple[Step[AccountProbe], ...] = (
    Step("endpoint", "GET {inside} without a signature", addresses.inside, READING),
    Step("clock", "compare the store's clock", addresses.clock, READING, ("endpoint",)),
    Step("containers", "list containers, as the server", account.containers, READING, ("clock",)),
    Step("soft-delete", "ask for soft delete of blobs", account.soft_delete, None, _HERE),
    Step("lifecycle", "ask for lifecycle rules", account.lifecycle, None, _HERE),
    Step("scratch", "create a container, as the server", account.scratch_container, READING, _HERE),
    Step("public-endpoint", "GET {outside} without a signature", addresses.outside, READING),
    Step("signature", "GET …/absent, signed", urls.signature, READING,
         ("scratch", "public-endpoint")),

    Step("pinned-put", "PUT …/pinned, as announced", urls.pinned_put, UPLOADING, _SIGNED),
    Step("other-bytes", "PUT other bytes than announced", urls.other_bytes, UPLOADING, _WRITTEN),
    Step("second-put", "PUT …/pinned again", creation.second_put, UPLOADING, _WRITTEN),
    Step("overtaken-put", "PUT …/overtaken while it is PUT", creation.overtaken_put, None,
         _WRITTEN),
    Step("no-blob-type", "PUT without x-ms-blob-type", creation.no_blob_type, None, _WRITTEN),
    Step("overwriting", "PUT …/staged, twice, no header", urls.overwriting, UPLOADING, _SIGNED),
    Step("document", "read …/staged, as the server", account.document, UPLOADING, ("overwriting",)),
    Step("listing", "list what was PUT, as the server", account.stored, UPLOADING, _WRITTEN),

    Step("get", "GET a blob", urls.get, READING, _SIGNED),
    Step("range", "GET its first byte", urls.byte_range, None, _READ),
    Step("head", "HEAD the blob", urls.head, None, _READ),
    Step("expired", "GET with a URL that has died", urls.expired, READING, _READ),
    Step("tampered", "GET with a changed signature", urls.tampered, READING, _READ),
    Step("unsigned", "GET without a signature", urls.unsigned, None, _READ),
    Step("cors-get", "GET from the origin", browsers.reading, READING, _READ),
    Step("cors-put", "OPTIONS from the origin", browsers.uploading, UPLOADING, _SIGNED),
)
# fmt: on
_REMOVAL: Step[AccountProbe] = Step(
    "removal", "remove {scratch}", scratch.removal, UPLOADING, _HERE
)
CHECKUP = CheckPlan(WORDS, _STEPS, _REMOVAL)
