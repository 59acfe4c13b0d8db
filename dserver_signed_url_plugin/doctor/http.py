"""One HTTP request, as a browser would send it, and the answer as it is.

Spells the URL as browsers do, whatever it looked like when it was signed. Follows no redirect and
repeats nothing. Knows the errors of stores by their shape, and no more of them. Goes through the
proxies of the environment, as curl and the SDKs do.
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

_PATIENCE = 10  # seconds
_MOST_READ = 64 * 1024
_CODE = re.compile(r"[A-Za-z.]{1,64}")
_CODE_IN_ERROR = re.compile(rf"<Error\b.*?<Code>({_CODE.pattern})</Code>".encode(), re.DOTALL)
_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40}")


class Unreachable(Exception):
    """Nothing answered in HTTP; the message says how."""


@dataclass(frozen=True)
class StoreResponse:
    """What came back; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked_at: datetime

    @property
    def code(self) -> str | None:
        """The store's own word for what is wrong; only a store has one."""
        found = _CODE_IN_ERROR.search(self.body)
        if found:
            return found[1].decode()
        # An error has no body where HEAD was asked, but on Azure a header.
        in_header = _CODE.fullmatch(self.headers.get("x-ms-error-code", ""))
        return in_header[0] if in_header else None

    @property
    def said(self) -> str:
        """The answer in a few words."""
        if self.status < 300:
            return str(self.status)
        content_type = _TYPE.match(self.headers.get("content-type", ""))
        return f"{self.status} {self.code or (content_type[0] if content_type else '')}".strip()

    @property
    def is_refusal(self) -> bool:
        """Tell whether the store says no, and not merely that it is unwell."""
        return self.status in {400, 401, 403, 405, 409, 412, 501}

    def granted(self) -> StoreResponse:
        """Return itself; raise Refused unless the store did what was asked."""
        if not 200 <= self.status < 300:
            raise Refused(self.status, self.code)
        return self

    def seconds_ahead(self) -> float | None:
        """Return how far the clock that dated the answer is ahead of ours, if it was dated."""
        try:
            said = parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None
        if said.tzinfo is None:
            said = said.replace(tzinfo=timezone.utc)
        return (said - self.asked_at).total_seconds()


class _KeepRedirects(HTTPErrorProcessor):
    """Leave redirects and errors to whoever asked."""

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        return response

    https_response = http_response


class Client:
    """Sends single requests, and lets go of the connection each time."""

    def __init__(self) -> None:
        self._opener = build_opener(_KeepRedirects)

    def ask(
        self,
        method: str,
        url: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> StoreResponse:
        """Send one request.

        :param body: or its parts, with a Content-Length: each leaves before the next is asked for.
        :raises Unreachable: saying why, without the URL.
        """
        sent = {"User-Agent": "dserver-signed-url-doctor", **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/octet-stream")
        # The URL is one that the server itself made for its configured store.
        request = Request(_as_browsers_do(url), data=body, headers=sent, method=method)  # noqa: S310
        asked_at = datetime.now(timezone.utc)
        try:
            with self._opener.open(request, timeout=_PATIENCE) as answer:
                named = {name.lower(): value for name, value in answer.headers.items()}
                return StoreResponse(answer.status, named, answer.read(_MOST_READ), asked_at)
        except URLError as error:
            raise Unreachable(_reason(error.reason)) from error
        except (OSError, HTTPException) as error:
            raise Unreachable(_reason(error)) from error


def _as_browsers_do(url: str) -> str:
    """Return a URL as the URL Standard spells it; as it is where that knows no such URL."""
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
        return f"no answer within {_PATIENCE} seconds"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS as expected"
    if isinstance(error, HTTPException):
        return "it does not speak HTTP"
    return type(error).__name__
