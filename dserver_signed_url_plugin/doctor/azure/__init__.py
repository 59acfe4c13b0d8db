"""The checks of an Azure account and their order."""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import addresses, browsers, scratch, urls
from dserver_signed_url_plugin.doctor.azure import account, creation
from dserver_signed_url_plugin.doctor.azure.fixes import fixes
from dserver_signed_url_plugin.doctor.azure.terms import TERMS
from dserver_signed_url_plugin.doctor.checks import CheckPlan, Step
from dserver_signed_url_plugin.doctor.findings import Purpose
from dserver_signed_url_plugin.doctor.probe import AccountProbe

READING, UPLOADING = Purpose.READING, Purpose.UPLOADING

_CONTAINERS, _SIGNATURE = ("containers",), ("signature",)
_PINNED, _GET = ("pinned-put",), ("get",)

# fmt: off
_STEPS: tuple[Step[AccountProbe], ...] = (
    Step("endpoint", "GET {endpoint} without a signature", addresses.endpoint, READING),
    Step("clock", "compare the store's clock", addresses.clock, READING, ("endpoint",)),
    Step("containers", "list containers, as the server", account.containers, READING, ("clock",)),
    Step("credentials", "get what signs URLs", account.credentials, READING, ("clock",)),
    Step("soft-delete", "look up soft delete of blobs", account.soft_delete, None, _CONTAINERS),
    Step("lifecycle", "look up lifecycle rules", account.lifecycle, None, _CONTAINERS),
    Step("scratch", "create a container, as the server", account.scratch_container, READING,
         _CONTAINERS),
    Step("public-endpoint", "GET {public_endpoint} without a signature", addresses.public_endpoint,
         READING),
    Step("signature", "GET …/absent, signed", urls.signature, READING,
         ("scratch", "credentials", "public-endpoint")),

    Step("pinned-put", "PUT …/pinned, as announced", urls.pinned_put, UPLOADING, _SIGNATURE),
    Step("other-bytes", "PUT other bytes than announced", urls.other_bytes, UPLOADING, _PINNED),
    Step("second-put", "PUT …/pinned again", creation.second_put, UPLOADING, _PINNED),
    Step("overtaken-put", "PUT …/overtaken during another PUT", creation.overtaken_put, None,
         _PINNED),
    Step("no-blob-type", "PUT without x-ms-blob-type", creation.no_blob_type, None, _PINNED),
    Step("overwriting", "PUT …/staged, twice, no headers", urls.overwriting, UPLOADING, _SIGNATURE),
    Step("parts", "PUT a part, wrong and right, and assemble it", creation.parts, None,
         _SIGNATURE),
    Step("document", "read …/staged, as the server", account.document, UPLOADING, ("overwriting",)),
    Step("listing", "list what was PUT, as the server", account.stored, UPLOADING, _PINNED),

    Step("get", "GET a blob", urls.get, READING, _SIGNATURE),
    Step("range", "GET its first byte", urls.byte_range, None, _GET),
    Step("head", "HEAD the blob", urls.head, None, _GET),
    Step("expired", "GET with an expired URL", urls.expired, READING, _GET),
    Step("tampered", "GET with a changed signature", urls.tampered, READING, _GET),
    Step("unsigned", "GET without a signature", urls.unsigned, None, _GET),
    Step("mixed-content", "compare the origin's scheme", browsers.mixed_content, READING),
    Step("cors-get", "GET from the origin", browsers.reading, READING, _GET),
    Step("cors-put", "OPTIONS from the origin", browsers.uploading, UPLOADING, _SIGNATURE),
)
# fmt: on
_REMOVAL: Step[AccountProbe] = Step(
    "removal", "remove {scratch}", scratch.removal, UPLOADING, _CONTAINERS
)
PLAN = CheckPlan(TERMS, _STEPS, _REMOVAL, fixes)
