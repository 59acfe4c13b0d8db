"""Checks without a signed URL: the store's endpoints and its clock."""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import http
from dserver_signed_url_plugin.doctor.context import CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, warning
from dserver_signed_url_plugin.doctor.probe import Probe

_SKEW_NOTICEABLE = 60  # seconds
_SKEW_REFUSED = 15 * 60  # by S3 and by Azure
_SYNCHRONISE = "Switch on time synchronisation (NTP) on the server, or on the store."


def endpoint(context: CheckContext[Probe]) -> CheckResult:
    """Send an unsigned request to the server's endpoint."""
    return _address(context, context.terms.endpoint, public=False)


def public_endpoint(context: CheckContext[Probe]) -> CheckResult:
    """Send an unsigned request to the public endpoint."""
    return _address(context, context.terms.public_endpoint, public=True)


def _address(context: CheckContext[Probe], setting: str, *, public: bool) -> CheckResult:
    url = context.probe.unsigned_url(context.key("absent"), public=public)
    try:
        answer = context.client.send("GET", url)
    except http.Unreachable as unreachable:
        return failed(
            str(unreachable),
            "The store cannot be reached at this address.",
            f"Correct {setting}, or start the store; check firewalls, DNS and certificates.",
        )
    if answer.status >= 500:
        return failed(
            answer.summary, "The store, or a proxy in front of it, is not available.", "Try again."
        )
    if 300 <= answer.status < 400 and answer.code is None:
        means = "The address redirects to another one, but a signature is valid for one host only."
        return failed(answer.summary, means, f"Set {setting} to the address that it redirects to.")
    if answer.code is None:
        means, advice = context.terms.not_a_store
        return failed(answer.summary, means, f"Correct {setting}. {advice}")
    return ok(answer.summary, "A store answers, and requires a signature.")


def clock(context: CheckContext[Probe]) -> CheckResult:
    """Compare the store's clock with the server's."""
    url = context.probe.unsigned_url(context.key("absent"), public=False)
    ahead = context.client.send("GET", url).clock_offset()
    if ahead is None:
        return ok("its responses have no date", "The next checks show whether the clocks agree.")
    answered = f"the store's clock is {duration(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}"
    if abs(ahead) > _SKEW_REFUSED:
        means = "The difference is too large: stores refuse everything that is signed now."
        return failed(answered, means, _SYNCHRONISE)
    if abs(ahead) > _SKEW_NOTICEABLE:
        means = "URLs expire earlier than promised, or are not valid yet when they arrive."
        return warning(answered, means, _SYNCHRONISE)
    return ok("the clocks agree", "URLs work for as long as promised.")


def duration(seconds: float) -> str:
    """Return a duration for people, such as ``90 s`` or ``20 min``."""
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{round(seconds / 60)} min"
