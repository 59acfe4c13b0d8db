"""Checks of item URLs, which on Azure create a block blob but cannot change one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dserver_signed_url_plugin.doctor import urls
from dserver_signed_url_plugin.doctor.context import ANNOUNCED, OTHER, CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, warning
from dserver_signed_url_plugin.doctor.probe import AccountProbe
from dserver_signed_url_plugin.storage.values import SignedRequest


def second_put(context: CheckContext[AccountProbe]) -> CheckResult:
    """PUT other bytes to an item that exists, without the header that also forbids it."""
    request = context.probe.pinned_put(context.key("pinned"), OTHER)
    return urls.refused_or_failed(
        context.put(_without("If-None-Match", request), OTHER),
        "An item cannot be changed through its URL once it is written.",
        "A URL can write more than once: whoever has one can change a dataset after completion.",
        "Use a store that distinguishes the permissions to create and to write.",
    )


def overtaken_put(context: CheckContext[AccountProbe]) -> CheckResult:
    """PUT the announced item while a PUT of other bytes is in progress."""
    key = context.key("overtaken")
    request = _without("If-None-Match", context.probe.pinned_put(key, OTHER))

    def interrupted_body() -> Iterator[bytes]:
        yield OTHER[:1]
        context.put(context.probe.pinned_put(key, ANNOUNCED), ANNOUNCED).raise_for_status()
        yield OTHER[1:]

    headers = {**request.headers, "Content-Length": str(len(OTHER))}
    answer = context.client.send("PUT", request.url, interrupted_body(), headers)
    if context.probe.read(key) == ANNOUNCED:
        return ok(
            f"{answer.summary}: refused", "A PUT that was overtaken by another changes nothing."
        )
    return warning(
        f"{answer.summary}: accepted",
        "The store checks whether an item exists before it receives the body: whoever has a URL "
        "and omits the returned headers can replace the item by a PUT begun before completion.",
        "Let only people upload whom you trust with their own datasets. Azurite is such a store.",
    )


def no_blob_type(context: CheckContext[AccountProbe]) -> CheckResult:
    """PUT an item without the header that every blob requires."""
    request = context.probe.pinned_put(context.key("no-blob-type"), OTHER)
    return urls.refused_or_failed(
        context.put(_without("x-ms-blob-type", request), OTHER),
        "Clients that omit the returned headers get an error.",
        "Something adds the missing header; Azure itself does not.",
        "Nothing, but clients should send the returned headers all the same.",
    )


def parts(context: CheckContext[AccountProbe]) -> CheckResult:
    """PUT a part with a wrong MD5 and with the right one, and make an item of it."""
    request = context.probe.part_put(context.key("part"), ANNOUNCED)
    answer = context.put(request, OTHER)
    if answer.status < 300:
        return failed(
            f"{answer.summary}: accepted",
            "The store ignores the Content-MD5 of parts: nobody notices damaged parts of large "
            "items.",
            "Use a store that checks Content-MD5, and no proxy that removes the header.",
        )
    answer = context.put(request, ANNOUNCED).raise_for_status()
    if context.probe.assembled(context.key("part"), context.key("assembled")) == ANNOUNCED:
        return ok(f"{answer.summary}, and assembled", "Large items can be sent in parts.")
    return failed(
        "nothing was assembled",
        "Uploads with large items, which are sent in parts, cannot be completed.",
        "Set DTOOL_AZURE_BLOB_ENDPOINT_<account> to an address that the account knows as its own: "
        "the store copies from there.",
    )


def _without(header: str, request: SignedRequest) -> SignedRequest:
    """Return the request without one header, which the URL does not sign."""
    kept = {name: value for name, value in request.headers.items() if name != header}
    return replace(request, headers=kept)
