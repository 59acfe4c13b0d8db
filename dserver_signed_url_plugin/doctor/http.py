"""An HTTP client that sends single requests as a browser would.

It normalises URLs as browsers do, follows no redirects, retries nothing, and uses the proxies of
the environment, as curl and the SDKs do.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from urllib.error import URLError
from urllib.request import HTTPErrorProcessor, Request, build_opener

import ada_url

from dserver_signed_url_plugin.storage.values import Refused

_TIMEOUT = 10  # seconds
_MAX_READ = 64 * 1024
_CODE = re.compile(r"[A-Za-z.]{1,64}")
_CODE_IN_ERROR = re.compile(rf"<Error\b.*?<Code>({_CODE.pattern})</Code>".encode(), re.DOTALL)
_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40}")


class Unreachable(Exception):
    """There was no HTTP response; the message says why."""


@dataclass(frozen=True)
class StoreResponse:
    """A response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_at: datetime

    @property
    def code(self) -> str | None:
        """The store's error code; None in responses that are not from a store."""
        found = _CODE_IN_ERROR.search(self.body)
        if found:
            return found[1].decode()
        # The error of a HEAD request has no body, but on Azure it has a header.
        in_header = _CODE.fullmatch(self.headers.get("x-ms-error-code", ""))
        return in_header[0] if in_header else None

    @property
    def summary(self) -> str:
        """The status, with the error code or content type of an error."""
        if self.status < 300:
            return str(self.status)
        content_type = _TYPE.match(self.headers.get("content-type", ""))
        return f"{self.status} {self.code or (content_type[0] if content_type else '')}".strip()

    @property
    def is_refusal(self) -> bool:
        """Whether the store refuses the request, rather than failing to process it."""
        return self.status in {400, 401, 403, 405, 409, 412, 501}

    def raise_for_status(self) -> StoreResponse:
        """Return the response itself.

        :raises Refused: unless the status is 2xx.
        """
        if not 200 <= self.status < 300:
            raise Refused(self.status, self.code)
        return self

    def clock_offset(self) -> float | None:
        """Return by how many seconds the store's clock is ahead; None without a Date header."""
        try:
            date = parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        return (date - self.sent_at).total_seconds()


class _KeepRedirects(HTTPErrorProcessor):
    """Return redirects and errors instead of following or raising them."""

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        return response

    https_response = http_response


class Client:
    """Sends single requests, each over a connection of its own."""

    def __init__(self) -> None:
        self._opener = build_opener(_KeepRedirects)

    def send(
        self,
        method: str,
        url: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> StoreResponse:
        """Send one request.

        :param body: bytes, or an iterable of parts that are sent one by one; then ``headers`` needs
            a Content-Length.
        :raises Unreachable: with the reason, but without the URL.
        """
        sent = {"User-Agent": "dserver-signed-url-doctor", **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/octet-stream")
        # The server itself made the URL, for the store in its settings.
        request = Request(_normalized(url), data=body, headers=sent, method=method)  # noqa: S310
        sent_at = datetime.now(timezone.utc)
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as answer:
                lowered = {name.lower(): value for name, value in answer.headers.items()}
                return StoreResponse(answer.status, lowered, answer.read(_MAX_READ), sent_at)
        except URLError as error:
            raise Unreachable(_reason(error.reason)) from error
        except (OSError, HTTPException) as error:
            raise Unreachable(_reason(error)) from error


def _normalized(url: str) -> str:
    """Return a URL as the URL Standard serialises it; unchanged if it is not valid there."""
    try:
        return ada_url.URL(url).href
    except ValueError:
        return url


def _reason(error: object) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens at this address"
    if isinstance(error, socket.gaierror):
        return "there is no host of this name"
    if isinstance(error, TimeoutError):
        return f"no answer within {_TIMEOUT} seconds"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS as expected"
    if isinstance(error, HTTPException):
        return "it does not speak HTTP"
    return type(error).__name__
