"""Is a base URI fit for reading and for uploading? Sign, follow the URLs, and say what it means.

Knows which kind of store is examined how, and that a step waits for others. Sees a store through
its Examination and over HTTP, never through a vendor's SDK; writes in a scratch place alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.doctor import azure, s3
from dserver_signed_url_plugin.doctor.checks import CheckPlan, Step
from dserver_signed_url_plugin.doctor.context import CheckContext
from dserver_signed_url_plugin.doctor.findings import (
    CheckResult,
    Finding,
    Purpose,
    Report,
    Status,
    failed,
    skipped,
)
from dserver_signed_url_plugin.doctor.http import Unreachable
from dserver_signed_url_plugin.doctor.probe import Probe
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Refused
from dserver_signed_url_plugin.uris import BaseURI

__all__ = ["Doctor", "Purpose", "Report", "Status"]

# For each scheme whose storage lets itself be examined.
_CHECKUPS: Mapping[str, CheckPlan[Any]] = {"s3": s3.CHECKUP, "azure": azure.CHECKUP}


# Imported when they are needed: not everybody has every vendor's SDK.
_PROBES = {
    "s3": "dserver_signed_url_plugin.doctor.s3.probe:S3Probe",
    "azure": "dserver_signed_url_plugin.doctor.azure.probe:AzureProbe",
}


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
        store: Probe | None = self._storages.probe(base_uri, _PROBES)
        if store is None:
            return None
        checkup = _CHECKUPS[base_uri.scheme]
        case = CheckContext(base_uri.location, store, checkup.words, self._settings, origin)
        findings: list[Finding] = []
        try:
            for step in checkup.steps:
                if store.pins or not step.pins:
                    findings.append(_finding(step, case))
        finally:
            findings.append(_finding(checkup.removal, case))
        failed = {found.name for found in findings if found.outcome.status is Status.FAILED}
        cures = tuple(checkup.cures(case, failed))
        return Report(
            str(base_uri), store.inside, store.outside, store.scratch, tuple(findings), cures
        )


def _finding(step: Step[Any], case: CheckContext[Probe]) -> Finding:
    tried = step.tried.format(
        inside=case.store.inside, outside=case.store.outside, scratch=case.store.scratch
    )
    unmet = [name for name in step.after if name not in case.proved]
    outcome = skipped(f"It needs: {', '.join(unmet)}.") if unmet else _outcome(step, case)
    if outcome.status in {Status.OK, Status.WARNING}:
        case.proved.add(step.name)
    return Finding(step.name, tried, step.spoils, outcome, unmet)


def _outcome(step: Step[Any], case: CheckContext[Probe]) -> CheckResult:
    """Examine, and turn what nobody foresaw into what it means."""
    try:
        outcome = step.examine(case)
    except Refused as refusal:
        outcome = case.words.explained(refusal, step.name, step.needs)
    except Unreachable as unreachable:
        outcome = failed(str(unreachable), "The store did not answer this time.", "Try again.")
    except StorageUnavailable as away:
        outcome = failed("no answer", away.message, "Try again.")
    if outcome.status is Status.FAILED and step.spoils is None:
        outcome = replace(outcome, status=Status.WARNING)
    advice = outcome.advice.replace(f"<{case.words.place}>", case.name)
    return replace(outcome, advice=advice)
