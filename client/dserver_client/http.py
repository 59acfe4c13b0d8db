"""HTTP for dserver and the store: connections that are kept, timeouts, and what is tried again.

What passes by itself is tried again: no answer, a connection that breaks, and the statuses 408,
429, 500, 502, 503 and 504, also 409 with ``Retry-After``. Redirects are not followed, so that
nothing that is meant for one host is sent to another.
"""

from __future__ import annotations

import io
import logging
import random
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from itertools import count
from typing import IO, Any

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse

from dserver_client.answer_bodies import MAX_BYTES, MAX_ERROR_BYTES, loaded
from dserver_client.connections import BLOCK, Connections, origin
from dserver_client.errors import Unavailable
from dserver_client.links import without_token
from dserver_client.settings import Settings

_log = logging.getLogger(__name__)

Response = BaseHTTPResponse
# A body is sent again from the start if the request is: a function opens it each time.
Body = bytes | Callable[[], IO[bytes]]

# What reading a streamed response may raise, beside what the reader does.
READ_ERRORS: tuple[type[Exception], ...] = (HTTPError, OSError)

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_RETRIES = 8  # after 0.2, 0.4 … 12.8 and 16 seconds, less a random part of up to a half
_MAX_DELAY = 16.0  # seconds
_MAX_RETRY_AFTER = 60.0  # seconds; who is asked to wait longer is told so
_CONNECT_TIMEOUT = 15.0  # seconds
_READ_TIMEOUT = 60.0  # seconds without a byte
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: ([0-9]{3})")  # http.client's words


class HTTP:
    """Sends requests over connections that are kept. Threads may share one.

    :param settings: proxies and certificates are theirs and the environment's.
    :param connections: how many are kept for each host.
    """

    def __init__(self, settings: Settings | None = None, *, connections: int = 128) -> None:
        self._connections = Connections(settings or Settings(), connections)
        self._closed = threading.Event()
        self._reached: set[str] = set()  # hosts
        self._reported: set[str] = set()  # hosts whose outage has been logged
        logging.getLogger("urllib3.connectionpool").addFilter(_hide_secrets)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        size_in_bytes: int | None = None,
        stream: bool = False,
        read_timeout: float = _READ_TIMEOUT,
        retries: int = _RETRIES,
        max_error_bytes: int = MAX_ERROR_BYTES,
        pause: Callable[[float], None] | None = None,
    ) -> Response:
        """Send a request until there is an answer that does not pass by itself; return the answer.

        :param body: bytes, or a function that opens a file at its start for each attempt.
        :param size_in_bytes: the size of a body that is no bytes.
        :param max_error_bytes: bytes that are read of the body of an answer of 300 and above.
        :param stream: leave the body of an answer below 400 to be read by the caller, who then
            calls ``release_conn()``, or ``close()`` if it was not read to its end.
        :param read_timeout: seconds without a byte after which there is no answer.
        :param retries: how often to try again; 0 for a request that must not be sent twice.
        :param pause: is called to wait for some seconds before each further attempt; by default
            ``close()`` ends the waiting.
        :return: the last answer, whatever its status.
        :raises Unavailable: if there was none, or one of more than 256 MiB.
        """
        wait = pause or self._pause
        sent = _with_length(headers, body, size_in_bytes)
        timeout = urllib3.Timeout(connect=_CONNECT_TIMEOUT, read=read_timeout)
        for attempt in count():
            delay = None
            try:
                response = self._send(method, url, sent, body, timeout)
                if not stream or response.status >= 400:
                    is_small = response.status >= 300 or method == "PUT"
                    response = self.loaded(url, response, max_error_bytes if is_small else None)
            except HTTPError as error:
                if attempt >= self._retries_after(error, url, retries):
                    raise self.no_answer(url, error) from None
                reason = str(self.no_answer(url, error))
            else:
                delay = retry_after(response)
                if attempt >= retries or not _passes(response, delay):
                    return response
                reason = f"{origin(url)} answers {response.status}."
            if attempt:
                self._report_outage(url, reason)
            wait(_backoff(attempt) if delay is None else delay)
        raise AssertionError  # not reached

    def _report_outage(self, url: str, reason: str) -> None:
        """Log, once for each host, that it does not answer at the second attempt either."""
        if origin(url) not in self._reported:
            self._reported.add(origin(url))
            _log.warning("%s Trying again for up to a minute ...", reason)

    def loaded(self, url: str, response: Response, most: int | None = None) -> Response:
        """Return an answer with its body, which is decoded.

        :param most: bytes of the body; the rest is left out, and the connection is closed.
        :raises Unavailable: without ``most``, if there are more than 256 MiB.
        """
        if most is not None:
            return loaded(response, most)
        whole = loaded(response, MAX_BYTES + 1)
        if len(whole.data) > MAX_BYTES:
            raise Unavailable(f"{origin(url)} answers with more than {MAX_BYTES >> 20} MiB.")
        return whole

    def no_answer(self, url: str, error: BaseException) -> Unavailable:
        """Return the error for a request, or for the reading of its answer, that failed.

        Its message has the host and the reason, and never the path or the query of the URL.
        """
        inner = _causes(error)
        asked = origin(url)
        if any(isinstance(each, ProxyError) for each in inner):
            asked = f"{self._connections.proxy_name(url)} or, behind it, {asked}"
        return Unavailable(f"{asked} cannot be reached: {_reason(inner)}.")

    def close(self) -> None:
        """Close the connections, and end what waits for another attempt."""
        self._closed.set()
        self._connections.close()

    def _retries_after(self, error: HTTPError, url: str, retries: int) -> int:
        """Return how often to try again where there is no answer.

        Not where a certificate is not trusted or the URL is none, and once where nothing of this
        host was ever seen: its address is probably wrong.
        """
        if isinstance(error, (SSLError, LocationValueError)):
            return 0
        is_new = origin(url) not in self._reached
        if is_new and isinstance(error, (NewConnectionError, ConnectTimeoutError)):
            return min(retries, 1)
        return retries

    def _send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: Body | None,
        timeout: urllib3.Timeout,
    ) -> Response:
        opened: Any = body
        if callable(body):
            opened = body()
        elif body is not None and len(body) > BLOCK:
            # A block at a time: the timeout is for each.
            opened = io.BytesIO(body)
        try:
            response = self._connections.urlopen(
                method, url, headers=headers, body=opened, timeout=timeout
            )
        finally:
            if opened is not body:
                opened.close()
        self._reached.add(origin(url))
        return response

    def _pause(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise Unavailable("The connections have been closed.")


def retry_after(response: Response) -> float | None:
    """Return how many seconds an answer asks to wait (RFC 9110, section 10.2.3), or None."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    then = then if then.tzinfo else then.replace(tzinfo=timezone.utc)
    return max((then - datetime.now(timezone.utc)).total_seconds(), 0.0)


def _with_length(
    headers: Mapping[str, str] | None, body: Body | None, size_in_bytes: int | None
) -> dict[str, str]:
    """Return the headers with Content-Length, also of an empty body: stores refuse chunks."""
    sent = dict(headers or {})
    if body is not None:
        sent["Content-Length"] = str(len(body) if isinstance(body, bytes) else size_in_bytes)
    return sent


def _passes(response: Response, retry_after: float | None) -> bool:
    """Return whether an answer passes by itself, in a time that one may wait for."""
    if retry_after is not None and retry_after > _MAX_RETRY_AFTER:
        return False
    if response.status == 400:
        # S3: the body did not come in time.
        return b"<Code>RequestTimeout</Code>" in response.data
    return response.status in _PASSING or (response.status == 409 and retry_after is not None)


def _backoff(attempt: int) -> float:
    return float(min(0.2 * 2**attempt, _MAX_DELAY) * random.uniform(0.5, 1))  # noqa: S311


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and those inside it, from urllib3's down to the system's."""
    for each in (getattr(error, "reason", None), error.__cause__, *error.args):
        if isinstance(each, BaseException):
            return [error, *_causes(each)]
    return [error]


def _reason(causes: list[BaseException]) -> str:
    """Return what the innermost error says, without the URL that urllib3 puts around it."""
    if any(isinstance(each, NameResolutionError) for each in causes):
        return "there is no such host"
    last = causes[-1]
    if isinstance(last, ssl.SSLCertVerificationError):
        reason = f"its certificate is not trusted ({last.verify_message})"
        return f"{reason}. REQUESTS_CA_BUNDLE can name a file of certificates to trust"
    if isinstance(last, LocationValueError):
        return "that is no address"
    if refusal := _TUNNEL_REFUSED.match(str(last)):
        return f"the proxy answers {refusal[1]}"
    if isinstance(last, (TimeoutError, urllib3.exceptions.TimeoutError)):
        return "no answer in time"
    return (isinstance(last, OSError) and last.strerror) or type(last).__name__


def _hide_secrets(record: logging.LogRecord) -> bool:
    """Take signatures, which are in queries, and tokens of links out of what urllib3 logs."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            without_token(each.partition("?")[0]) if isinstance(each, str) else each
            for each in record.args
        )
    return True
