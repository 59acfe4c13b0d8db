"""Interpret a store's responses to signed URLs."""

from __future__ import annotations

import re

from urllib3.response import BaseHTTPResponse

from dserver_client.errors import StoreRefused, Unavailable

_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
# What S3 and Azure answer for an item that has to be restored from an archive first.
_ARCHIVED = frozenset({"InvalidObjectState", "BlobArchived", "BlobBeingRehydrated"})


def code(response: BaseHTTPResponse) -> str:
    """Return the code of an error, which S3 and Azure send; "" where there is none."""
    found = _CODE.search(response.data or b"")
    return found[1].decode() if found else response.headers.get("x-ms-error-code", "")


def is_of_store(response: BaseHTTPResponse) -> bool:
    """Tell a store's answer from a page of a proxy: Azure sends no ETag for a block."""
    return "ETag" in response.headers or "x-ms-request-id" in response.headers


def check_is_of_store(response: BaseHTTPResponse, what: str) -> None:
    """Raise Unavailable for an answer that is none of the store's; ``what`` was asked for."""
    if not is_of_store(response):
        raise Unavailable(
            f"Something in between, such as a proxy, answered {response.status} for {what} in the "
            "store's place."
        )


def whole_document(response: BaseHTTPResponse, what: str) -> bytes:
    """Return the body of an answer; ``what`` was asked for.

    :raises StoreRefused: if it is no success.
    :raises Unavailable: if it is none of the store's.
    """
    if response.status != 200:
        raise StoreRefused(f"The store answered {response.status} for {what}.")
    check_is_of_store(response, what)
    content: bytes = response.data
    return content


def refusal(response: BaseHTTPResponse, relpath: str) -> StoreRefused | Unavailable:
    """Return an answer that is no success as an error."""
    reason = code(response)
    if reason in _ARCHIVED:
        return StoreRefused(f"{relpath!r} is in the store's archive: it has to be restored first.")
    answered = f"it answered {f'{response.status} {reason}'.rstrip()}"
    if response.status >= 500 or response.status in (408, 429):
        return Unavailable(f"The store failed to hand out {relpath!r}: {answered}.")
    return StoreRefused(f"The store refused to hand out {relpath!r}: {answered}.")


def strong_etag(response: BaseHTTPResponse) -> str | None:
    """Return the ETag, if it stands for the very bytes: RFC 9110, section 8.8.1."""
    etag: str | None = response.headers.get("ETag")
    return etag if etag and etag.startswith('"') else None


def content_range(response: BaseHTTPResponse) -> tuple[int, int, int] | None:
    """Return the first byte, the first after the last, and the size of the whole object."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return (int(found[1]), int(found[2]) + 1, int(found[3])) if found else None
