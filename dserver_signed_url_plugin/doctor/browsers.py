"""Checks of what a browser requires before a web page may use signed URLs (CORS)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from dserver_signed_url_plugin.doctor.context import ANNOUNCED, CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, skipped
from dserver_signed_url_plugin.doctor.probe import Probe

FAILURES = frozenset({"cors-get", "cors-put"})
"""The checks that a CORS rule lets pass."""

_NO_ORIGIN = "No --origin of a web page was given."


def mixed_content(context: CheckContext[Probe]) -> CheckResult:
    """Compare the schemes of the web page and the store, as browsers do (W3C, Mixed Content)."""
    if context.origin is None:
        return skipped(_NO_ORIGIN)
    page, store = urlsplit(context.origin.lower()), urlsplit(context.probe.public_endpoint)
    if page.scheme == "https" and store.scheme == "http" and not _is_local(store.hostname or ""):
        means = "A browser lets no web page on HTTPS use a store on HTTP."
        setting = context.terms.public_endpoint
        return failed("https and http", means, f"Give the store TLS, and set {setting}.")
    return ok(f"{page.scheme} and {store.scheme}", "A browser lets the page send requests.")


def reading(context: CheckContext[Probe]) -> CheckResult:
    """GET with the Origin of a web page."""
    if context.origin is None:
        return skipped(_NO_ORIGIN)
    answer = context.read(headers={"Origin": context.origin})
    if _allows(answer.headers, context.origin):
        return ok(answer.summary, "Web pages of this origin can read.")
    means = "A browser withholds the answer from web pages of this origin."
    return failed(f"{answer.summary}, not allowed", means, context.terms.cors_rule)


def uploading(context: CheckContext[Probe]) -> CheckResult:
    """Send the preflight request (OPTIONS) for a PUT with the headers of a pinned URL."""
    if context.origin is None:
        return skipped(_NO_ORIGIN)
    sent = {"content-type"}
    if context.probe.pins:
        pinned = context.probe.pinned_put(context.key("pinned"), ANNOUNCED)
        sent.update(map(str.lower, pinned.headers))
    wanted = sorted(sent)
    headers = {
        "Origin": context.origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": ",".join(wanted),
    }
    url = context.probe.unsigned_url(context.key("pinned"))
    answer = context.client.send("OPTIONS", url, None, headers)
    means = "A browser does not even send a PUT for web pages of this origin."
    if not 200 <= answer.status < 300 or not _allows(answer.headers, context.origin):
        return failed(f"{answer.summary}, not allowed", means, context.terms.cors_rule)
    methods = _listed(answer.headers, "access-control-allow-methods")
    allowed = _listed(answer.headers, "access-control-allow-headers")
    missing = [] if {"put", "*"} & methods else ["PUT"]
    missing += [name for name in wanted if "*" not in allowed and name not in allowed]
    if missing:
        answered = f"{answer.summary}, but not for {', '.join(missing)}"
        return failed(answered, means, context.terms.cors_rule)
    return ok(answer.summary, "Web pages of this origin can upload.")


def _is_local(host: str) -> bool:
    """Return whether browsers trust a host without TLS (W3C, Secure Contexts, section 3.1)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _allows(headers: Mapping[str, str], origin: str) -> bool:
    return headers.get("access-control-allow-origin") in ("*", origin)


def _listed(headers: Mapping[str, str], name: str) -> set[str]:
    return {part.strip().lower() for part in headers.get(name, "").split(",")}
