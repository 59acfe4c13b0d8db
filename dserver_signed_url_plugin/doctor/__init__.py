"""Checks whether a base URI is fit for reading and uploading, and explains what it finds.

The doctor signs URLs, follows them over HTTP, and interprets what comes back. It accesses the store
through a probe, and writes scratch objects only.
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

_PLANS: Mapping[str, CheckPlan[Any]] = {"s3": s3.PLAN, "azure": azure.PLAN}
# Imported only when needed, because not every vendor's SDK is installed.
_PROBES = {
    "s3": "dserver_signed_url_plugin.doctor.s3.probe:S3Probe",
    "azure": "dserver_signed_url_plugin.doctor.azure.probe:AzureProbe",
}


class Doctor:
    """Checks base URIs with the settings and storages of one app."""

    def __init__(self, settings: Settings, storages: Storages) -> None:
        self._settings, self._storages = settings, storages

    def check(self, base_uri: BaseURI, origin: str | None = None) -> Report | None:
        """Check a base URI; return None if there are no checks for its storage.

        The scratch objects are removed before this returns or raises, KeyboardInterrupt included.

        :param origin: the origin of a web page to test CORS for.
        :raises SigningUnsupported: if nothing can sign for this base URI.
        :raises StorageUnavailable: if its settings or credentials are incomplete.
        """
        probe: Probe | None = self._storages.probe(base_uri, _PROBES)
        if probe is None:
            return None
        plan = _PLANS[base_uri.scheme]
        context = CheckContext(base_uri.location, probe, plan.terms, self._settings, origin)
        findings: list[Finding] = []
        try:
            for step in plan.steps:
                if probe.pins or not step.pinned_only:
                    findings.append(_finding(step, context))
        finally:
            findings.append(_removal(plan.removal, context))
        failures = {each.name for each in findings if each.result.status is Status.FAILED}
        return Report(
            str(base_uri),
            probe.endpoint,
            probe.public_endpoint,
            probe.scratch,
            tuple(findings),
            tuple(plan.fixes(context, failures)),
        )


def _removal(step: Step[Any], context: CheckContext[Probe]) -> Finding:
    """Remove the scratch objects; once more if that is interrupted."""
    try:
        return _finding(step, context)
    except KeyboardInterrupt:
        _finding(step, context)
        raise


def _finding(step: Step[Any], context: CheckContext[Probe]) -> Finding:
    probe = context.probe
    tried = step.tried.format(
        endpoint=probe.endpoint, public_endpoint=probe.public_endpoint, scratch=probe.scratch
    )
    unmet = [name for name in step.after if name not in context.passed]
    result = skipped(f"Requires: {', '.join(unmet)}.") if unmet else _result(step, context)
    if result.status in {Status.OK, Status.WARNING}:
        context.passed.add(step.name)
    elif result.status is Status.FAILED and step.required_for is None:
        result = replace(result, status=Status.WARNING)
    return Finding(step.name, tried, step.required_for, result, unmet)


def _result(step: Step[Any], context: CheckContext[Probe]) -> CheckResult:
    """Perform a check, and explain errors that it did not expect."""
    try:
        result = step.check(context)
    except Refused as refusal:
        result = context.terms.explain(refusal, step.name, step.permission)
    except Unreachable as unreachable:
        result = failed(str(unreachable), "The store did not answer this time.", "Try again.")
    except StorageUnavailable as error:
        result = failed("no answer", error.message, "Try again.")
    advice = result.advice.replace(f"<{context.terms.location}>", context.name)
    return replace(result, advice=advice)
