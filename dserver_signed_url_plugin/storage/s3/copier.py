"""Copies many objects of one bucket, by signed requests of our own over kept connections.

To build such a request and to parse the answer takes botocore most of the time of a copy. Here only
success is understood: after any other answer, or none, the caller repeats the request by botocore,
which does no harm.

Source: AWS, "CopyObject".
"""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial
from http import HTTPStatus
from urllib.parse import quote

import botocore.session
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from urllib3.util import create_urllib3_context

from dserver_signed_url_plugin.storage.http_sockets import DeadlineConnection
from dserver_signed_url_plugin.storage.parallel import Pace
from dserver_signed_url_plugin.storage.s3.request_signer import RequestSigner
from dserver_signed_url_plugin.storage.s3.response_checks import root_of
from dserver_signed_url_plugin.storage.s3.sigv4 import Credentials, Endpoint

CONNECT_TIMEOUT = 5  # seconds
_MAX_ANSWER_BYTES = 64 * 1024
_AGENT = {"content-length": "0", "user-agent": "dserver-signed-url-plugin"}

Connect = Callable[[], http.client.HTTPConnection]


class _SecureConnection(DeadlineConnection, http.client.HTTPSConnection):
    """An HTTPS connection, with a deadline."""


def connector(endpoint: Endpoint, session: botocore.session.Session) -> Connect | None:
    """Return what opens connections to an endpoint as a botocore session would.

    :return: None if botocore would use a proxy: their protocols are left to it.
    """
    if endpoint.scheme in get_environ_proxies(f"{endpoint.scheme}://{endpoint.host}"):
        return None
    if endpoint.scheme == "http":
        return partial(DeadlineConnection, endpoint.host, timeout=CONNECT_TIMEOUT)
    # The certificates that botocore.session and botocore.endpoint choose.
    bundle = session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    context = create_urllib3_context()
    context.load_verify_locations(bundle or get_cert_path(verify=True))
    return partial(_SecureConnection, endpoint.host, timeout=CONNECT_TIMEOUT, context=context)


class Copier:
    """Copies objects of one bucket in several threads, each with a connection of its own.

    :param credentials: returns them as of now.
    :param pace: slowed down if the store is overloaded.
    """

    def __init__(
        self,
        bucket: str,
        endpoint: Endpoint,
        connect: Connect,
        credentials: Callable[[], Credentials],
        pace: Pace,
    ) -> None:
        self._bucket, self._endpoint, self._connect = bucket, endpoint, connect
        self._credentials, self._pace = credentials, pace
        self._connections: list[http.client.HTTPConnection] = []
        self._of_thread = threading.local()
        self._signer: tuple[int, RequestSigner] | None = None

    def copy(self, source: str, etag: str, target: str, metadata: Mapping[str, str]) -> bool:
        """Copy an object if it has this ETag; False unless the store confirms it."""
        signed = {
            "x-amz-copy-source": quote(f"{self._bucket}/{source}", safe="/~"),
            "x-amz-copy-source-if-match": etag,
            "x-amz-metadata-directive": "REPLACE",
            **{f"x-amz-meta-{name}": value for name, value in metadata.items()},
        }
        path, headers = self._current_signer().sign("PUT", target, signed)
        connection = self._connection()
        try:
            connection.request("PUT", path, headers=headers | _AGENT)
            response = connection.getresponse()
            body = response.read(_MAX_ANSWER_BYTES)
        except (OSError, http.client.HTTPException):
            connection.close()
            self._pace.slow_down()
            return False
        if not response.isclosed():
            connection.close()
        status = response.status
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._pace.slow_down()
        return status == HTTPStatus.OK and root_of(body) == b"CopyObjectResult"

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        """Return this thread's connection, which opens itself when it is used."""
        kept: http.client.HTTPConnection | None = getattr(self._of_thread, "connection", None)
        if kept is None:
            kept = self._of_thread.connection = self._connect()
            self._connections.append(kept)
        return kept

    def _current_signer(self) -> RequestSigner:
        """Return a signer for this second."""
        second, signer = int(time.time()), self._signer
        if signer is None or signer[0] != second:
            now = datetime.fromtimestamp(second, timezone.utc)
            signer = second, RequestSigner(self._endpoint, self._credentials(), now)
            self._signer = signer
        return signer[1]
