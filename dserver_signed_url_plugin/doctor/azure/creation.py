"""Examinations of the URLs of items: on Azure they create one block blob, and change none.

Knows what it means if the store, or a proxy before it, sees that differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dserver_signed_url_plugin.doctor import urls
from dserver_signed_url_plugin.doctor.context import OTHER, PINNED, CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, ok, warning
from dserver_signed_url_plugin.doctor.probe import AccountProbe
from dserver_signed_url_plugin.storage.values import SignedRequest


def second_put(case: CheckContext[AccountProbe]) -> CheckResult:
    """PUT something else where the announced item is, without the header that forbids it too."""
    request = case.store.pinned_put(case.key("pinned"), OTHER)
    return urls.refused_or_failed(
        case.put(_without("If-None-Match", request), OTHER),
        "What a URL has written nobody can change.",
        "A URL writes more than once: whoever holds one can change a dataset after completion.",
        "Use a store that knows the permission to create from the one to write.",
    )


def overtaken_put(case: CheckContext[AccountProbe]) -> CheckResult:
    """Begin a PUT of something else, PUT the announced item meanwhile, and end the first."""
    key = case.key("overtaken")
    request = _without("If-None-Match", case.store.pinned_put(key, OTHER))

    def slowly() -> Iterator[bytes]:
        yield OTHER[:1]
        case.put(case.store.pinned_put(key, PINNED), PINNED).granted()
        yield OTHER[1:]

    headers = {**request.headers, "Content-Length": str(len(OTHER))}
    answer = case.client.ask("PUT", request.url, slowly(), headers)
    if case.store.read(key) == PINNED:
        return ok(f"{answer.said}: refused", "A PUT that was overtaken changes nothing.")
    return warning(
        f"{answer.said}: taken",
        "The store looks whether an item is there before the body has come: whoever holds a URL "
        "and leaves out the returned headers can replace it by a PUT begun before completion.",
        "Let nobody upload who is not trusted with their own datasets. Azurite is such a store.",
    )


def no_blob_type(case: CheckContext[AccountProbe]) -> CheckResult:
    """PUT an item without the header that every blob needs."""
    request = case.store.pinned_put(case.key("no-blob-type"), OTHER)
    return urls.refused_or_failed(
        case.put(_without("x-ms-blob-type", request), OTHER),
        "A client that forgets the returned headers is told so.",
        "Something makes up for a header that is missing; Azure itself does not.",
        "Tell people to send the returned headers in any case.",
    )


def _without(header: str, request: SignedRequest) -> SignedRequest:
    """Leave a header out: the URL makes nobody send it."""
    kept = {name: value for name, value in request.headers.items() if name != header}
    return replace(request, headers=kept)
