"""Examinations without a signed URL: a store's addresses and its clock.

Knows how far clocks may be apart.
"""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import http
from dserver_signed_url_plugin.doctor.context import CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, warning
from dserver_signed_url_plugin.doctor.probe import Probe

_SKEW_NOTICED = 60  # seconds
_SKEW_REFUSED = 15 * 60  # by S3 and by Azure
_STOPS_TIME = "Switch on time synchronisation (NTP) on the server, or on the store."


def inside(case: CheckContext[Probe]) -> CheckResult:
    """Ask without a signature, to see whether a store is there."""
    return _address(case, True)


def outside(case: CheckContext[Probe]) -> CheckResult:
    """Ask as somebody would who has no URL."""
    return _address(case, False)


def _address(case: CheckContext[Probe], internal: bool) -> CheckResult:
    setting = case.words.endpoint if internal else case.words.public_endpoint
    try:
        answer = case.client.ask("GET", case.store.bare_url(case.key("absent"), internal))
    except http.Unreachable as unreachable:
        return failed(
            str(unreachable),
            "The store cannot be reached at this address.",
            f"Correct {setting}, or start the store; look at firewalls, names and certificates.",
        )
    if answer.status >= 500:
        return failed(answer.said, "The store, or a proxy before it, is not well.", "Try again.")
    if 300 <= answer.status < 400 and answer.code is None:
        means = "The address leads to another, and a signature holds for one address alone."
        return failed(answer.said, means, f"Set {setting} to where it leads.")
    if answer.code is None:
        means, advice = case.words.not_a_store
        return failed(answer.said, means, f"Correct {setting}: {advice}")
    return ok(answer.said, "A store answers, and asks for a signature.")


def clock(case: CheckContext[Probe]) -> CheckResult:
    """Compare the store's clock with ours."""
    ahead = case.client.ask(
        "GET", case.store.bare_url(case.key("absent"), inside=True)
    ).seconds_ahead()
    if ahead is None:
        return ok("its answers have no date", "What follows shows whether the clocks agree.")
    said = f"the store's clock is {spoken(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}"
    if abs(ahead) > _SKEW_REFUSED:
        means = "Too far apart: stores refuse whatever is signed now."
        return failed(said, means, _STOPS_TIME)
    if abs(ahead) > _SKEW_NOTICED:
        means = "URLs die earlier than promised, or are not valid yet when they arrive."
        return warning(said, means, _STOPS_TIME)
    return ok("the clocks agree", "URLs live as long as is promised.")


def spoken(seconds: float) -> str:
    """Return a time as people say it."""
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{round(seconds / 60)} min"
