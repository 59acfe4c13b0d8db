"""Examinations of what a browser asks before it lets a web page use signed URLs (CORS).

Knows the headers that clients in browsers send.
"""

from __future__ import annotations

from collections.abc import Mapping

from dserver_signed_url_plugin.doctor.context import PINNED, CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, skipped
from dserver_signed_url_plugin.doctor.probe import Probe

_NO_ORIGIN = "No --origin of a web page was given."


def reading(case: CheckContext[Probe]) -> CheckResult:
    """GET with the Origin of a web page."""
    if case.origin is None:
        return skipped(_NO_ORIGIN)
    answer = case.read(headers={"Origin": case.origin})
    if _allows(answer.headers, case.origin):
        return ok(answer.said, "Web pages of this origin can read.")
    means = "A browser keeps the answer from web pages of this origin."
    return failed(f"{answer.said}, without leave", means, case.words.cors_rule)


def uploading(case: CheckContext[Probe]) -> CheckResult:
    """Ask for leave (OPTIONS) to PUT with the headers of a pinned URL."""
    if case.origin is None:
        return skipped(_NO_ORIGIN)
    sent = {"content-type"}
    if case.store.pins:
        sent.update(map(str.lower, case.store.pinned_put(case.key("pinned"), PINNED).headers))
    wanted = sorted(sent)
    headers = {
        "Origin": case.origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": ",".join(wanted),
    }
    answer = case.client.ask("OPTIONS", case.store.bare_url(case.key("pinned")), None, headers)
    means = "A browser does not even send a PUT of web pages of this origin."
    if not 200 <= answer.status < 300 or not _allows(answer.headers, case.origin):
        return failed(f"{answer.said}, without leave", means, case.words.cors_rule)
    methods = _listed(answer.headers, "access-control-allow-methods")
    allowed = _listed(answer.headers, "access-control-allow-headers")
    lacking = [] if {"put", "*"} & methods else ["PUT"]
    lacking += [name for name in wanted if "*" not in allowed and name not in allowed]
    if lacking:
        return failed(
            f"{answer.said}, but not for {', '.join(lacking)}", means, case.words.cors_rule
        )
    return ok(answer.said, "Web pages of this origin can upload.")


def _allows(headers: Mapping[str, str], origin: str) -> bool:
    return headers.get("access-control-allow-origin") in ("*", origin)


def _listed(headers: Mapping[str, str], name: str) -> set[str]:
    return {part.strip().lower() for part in headers.get(name, "").split(",")}
