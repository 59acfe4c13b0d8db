"""Checks that a response comes from Azure and belongs to the request.

The SDK accepts every status below 300, also from a proxy, and follows redirects.

Source: Microsoft, "Blob Storage REST API", the status codes and response headers of each operation.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import requests.adapters

_STATUSES: dict[str, Set[int]] = {"GET": {200, 206}, "HEAD": {200}, "PUT": {201}, "DELETE": {202}}
# PUT requests that change an existing resource, with the status 200 instead of 201.
_CHANGES = frozenset({"metadata", "properties", "acl"})
_SUCCESS = 300
_REDIRECTS = range(300, 400)
_NOT_MODIFIED = 304


class UnexpectedAzureAnswer(requests.exceptions.RequestException):
    """A response is not what Azure responds to the request; the message says why."""


class CheckingAdapter(requests.adapters.HTTPAdapter):
    """Checks every response before it is returned."""

    def send(
        self, request: requests.PreparedRequest, *args: Any, **named: Any
    ) -> requests.Response:
        """Send a request.

        :raises UnexpectedAzureAnswer: if the response does not belong to it.
        """
        response = super().send(request, *args, **named)
        try:
            _check(request, response)
        except UnexpectedAzureAnswer:
            response.close()
            raise
        return response


def _check(request: requests.PreparedRequest, response: requests.Response) -> None:
    status = response.status_code
    if status in _REDIRECTS and status != _NOT_MODIFIED:
        raise UnexpectedAzureAnswer(f"a redirect ({status})")
    if status >= _SUCCESS:
        return
    comp = parse_qs(urlsplit(request.url or "").query).get("comp", [""])[0]
    if status not in _expected(request, comp):
        raise UnexpectedAzureAnswer(f"status {status}")
    # Listings are checked when they are parsed.
    if comp != "list" and "x-ms-request-id" not in response.headers:
        raise UnexpectedAzureAnswer("no x-ms-request-id")


def _expected(request: requests.PreparedRequest, comp: str) -> Set[int]:
    method = request.method or ""
    if method == "PUT" and comp in _CHANGES:
        return {200}
    # Copies, and leases that end.
    is_begun = "x-ms-copy-source" in request.headers or comp == "lease"
    return {202} if is_begun else _STATUSES[method]
