"""Whether an answer is Azure's, and the answer to what was asked.

The SDK takes every status below 300 for a success, whatever else the answer has, and follows
redirects. Knows what the store's answers look like; makes no request.

Source: Microsoft, "Blob Storage REST API", the status codes and response headers of each operation.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import requests.adapters

_STATUSES: dict[str, Set[int]] = {"GET": {200, 206}, "HEAD": {200}, "PUT": {201}, "DELETE": {202}}
# What changes a thing that is there already is answered otherwise than what makes one.
_CHANGES = frozenset({"metadata", "properties", "acl"})
_SUCCESS = 300
_REDIRECTS = range(300, 400)
_NOT_MODIFIED = 304


class UnexpectedAzureAnswer(requests.exceptions.RequestException):
    """An answer came, but not to what was asked; the message says what is wrong with it."""


class CheckingAdapter(requests.adapters.HTTPAdapter):
    """Believes no answer but the store's to what it was asked."""

    def send(
        self, request: requests.PreparedRequest, *args: Any, **named: Any
    ) -> requests.Response:
        """Send a request.

        :raises UnexpectedAzureAnswer: if the answer is none to it.
        """
        answer = super().send(request, *args, **named)
        try:
            _check(request, answer)
        except UnexpectedAzureAnswer:
            answer.close()
            raise
        return answer


def _check(request: requests.PreparedRequest, answer: requests.Response) -> None:
    status = answer.status_code
    if status in _REDIRECTS and status != _NOT_MODIFIED:
        raise UnexpectedAzureAnswer(f"a redirect ({status})")
    if status >= _SUCCESS:
        return
    method = request.method or ""
    comp = parse_qs(urlsplit(request.url or "").query).get("comp", [""])[0]
    if status not in ({200} if method == "PUT" and comp in _CHANGES else _STATUSES[method]):
        raise UnexpectedAzureAnswer(f"status {status}")
    # A listing is known by its document.
    if comp != "list" and "x-ms-request-id" not in answer.headers:
        raise UnexpectedAzureAnswer("no x-ms-request-id")
