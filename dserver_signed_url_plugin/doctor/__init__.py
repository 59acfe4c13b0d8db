"""Is a base URI fit for reading and for uploading? Sign, follow the URLs, and say what it means.

Knows the order of examinations, what each needs and what its failure spoils. Sees a store through
its Examination and over HTTP, never through a vendor's SDK; writes in a scratch place alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.doctor import browsers, bucket, urls
from dserver_signed_url_plugin.doctor.case import Case
from dserver_signed_url_plugin.doctor.findings import (
    Finding,
    Outcome,
    Report,
    Status,
    Use,
    failed,
    skipped,
)
from dserver_signed_url_plugin.doctor.http import Unreachable
from dserver_signed_url_plugin.doctor.refusals import explained
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage import Storages
from dserver_signed_url_plugin.storage.examination import Refused
from dserver_signed_url_plugin.uris import BaseURI

__all__ = ["Doctor", "Report", "Status", "Use"]

READING, UPLOADING = Use.READING, Use.UPLOADING


@dataclass(frozen=True)
class _Step:
    """One examination: what its failure spoils, what must succeed before, what the key needs."""

    name: str
    tried: str
    examine: Callable[[Case], Outcome]
    spoils: Use | None
    after: tuple[str, ...] = ()
    needs: str = "s3:ListBucket"


_READS = "s3:GetObject"
_WRITES = "s3:PutObject"
_COPIES = "s3:GetObject and s3:PutObject"
_REMOVES = "s3:DeleteObject"

_HERE, _SIGNED, _WRITTEN, _READ = ("bucket",), ("signature",), ("pinned-put",), ("get",)
_STAGED, _LISTED = ("overwriting",), ("listing",)

# fmt: off
_STEPS = (
    _Step("endpoint", "GET {inside} without a signature", bucket.inside_address, READING),
    _Step("clock", "compare the store's clock", bucket.clock, READING, ("endpoint",)),
    _Step("credentials", "look when the credentials end", bucket.credentials, READING),
    _Step("bucket", "list, as the server", bucket.bucket, READING, ("clock",)),
    _Step("region", "ask for the bucket's region", bucket.region, None, _HERE),
    _Step("versioning", "ask for versioning", bucket.versioning, None, _HERE),
    _Step("lifecycle", "ask for lifecycle rules", bucket.lifecycle, UPLOADING, _HERE),
    _Step("public-endpoint", "GET {outside} without a signature", bucket.outside_address, READING),
    _Step("signature", "GET …/absent, signed", urls.signature, READING,
          ("bucket", "public-endpoint"), _READS),

    _Step("pinned-put", "PUT …/pinned, as announced", urls.pinned_put, UPLOADING, _SIGNED, _WRITES),
    _Step("other-bytes", "PUT other bytes, pinned", urls.other_bytes, UPLOADING, _WRITTEN, _WRITES),
    _Step("other-pin", "PUT other bytes and Content-MD5", urls.other_pin, UPLOADING, _WRITTEN,
          _WRITES),
    _Step("overwriting", "PUT …/staged, twice", urls.overwriting, UPLOADING, _WRITTEN, _WRITES),
    _Step("copy-source", "PUT with x-amz-copy-source, unsigned", urls.smuggled_copy, None, _STAGED,
          _COPIES),
    _Step("listing", "list what was PUT, as the server", bucket.stored, UPLOADING, _STAGED),
    _Step("copy", "copy …/pinned, as the server", bucket.copy, UPLOADING, _LISTED, _COPIES),
    _Step("wrong-copy", "copy …/pinned if it were another", bucket.wrong_copy, None, ("copy",),
          _COPIES),

    _Step("get", "GET an object", urls.get, READING, _SIGNED, _READS),
    _Step("range", "GET its first byte", urls.byte_range, None, _READ, _READS),
    _Step("head", "HEAD the object", urls.head, None, _READ, _READS),
    _Step("expired", "GET with a URL that has died", urls.expired, READING, _READ, _READS),
    _Step("tampered", "GET with a changed signature", urls.tampered, READING, _READ, _READS),
    _Step("unsigned", "GET without a signature", urls.unsigned, None, _READ, _READS),
    _Step("cors-get", "GET from the origin", browsers.reading, READING, _READ, _READS),
    _Step("cors-put", "OPTIONS from the origin", browsers.uploading, UPLOADING, _SIGNED),
)
# fmt: on
_REMOVAL = _Step("removal", "remove {scratch}", bucket.removal, UPLOADING, _HERE, _REMOVES)


class Doctor:
    """Examines base URIs with the settings and storages of one app."""

    def __init__(self, settings: Settings, storages: Storages) -> None:
        self._settings, self._storages = settings, storages

    def examine(self, base_uri: BaseURI, origin: str | None = None) -> Report | None:
        """Examine a base URI; None where its storage does not let itself be examined.

        Whatever happens on the way, the scratch place is emptied before this returns or raises.

        :raises SigningUnsupported: if nothing here can sign for it.
        :raises StorageUnavailable: if it has no usable settings or credentials.
        """
        store = self._storages.examination(base_uri)
        if store is None:
            return None
        case = Case(store, self._settings, origin)
        findings: dict[str, Finding] = {}
        try:
            for step in _STEPS:
                findings[step.name] = _finding(step, case, findings)
        finally:
            findings[_REMOVAL.name] = _finding(_REMOVAL, case, findings)
        return Report(
            str(base_uri), store.inside, store.outside, store.scratch, tuple(findings.values())
        )


def _finding(step: _Step, case: Case, findings: dict[str, Finding]) -> Finding:
    tried = step.tried.format(
        inside=case.store.inside, outside=case.store.outside, scratch=case.store.scratch
    )
    unmet = [name for name in step.after if not _succeeded(findings.get(name))]
    outcome = skipped(f"It needs: {', '.join(unmet)}.") if unmet else _outcome(step, case)
    return Finding(step.name, tried, step.spoils, outcome, unmet)


def _succeeded(finding: Finding | None) -> bool:
    return finding is not None and finding.outcome.status in {Status.OK, Status.WARNING}


def _outcome(step: _Step, case: Case) -> Outcome:
    """Examine, and turn what nobody foresaw into what it means."""
    try:
        outcome = step.examine(case)
    except Refused as refusal:
        outcome = explained(refusal, step.needs)
    except Unreachable as unreachable:
        outcome = failed(str(unreachable), "The store did not answer this time.", "Try again.")
    except StorageUnavailable as away:
        outcome = failed("no answer", away.message, "Try again.")
    if outcome.status is Status.FAILED and step.spoils is None:
        return replace(outcome, status=Status.WARNING)
    return outcome
