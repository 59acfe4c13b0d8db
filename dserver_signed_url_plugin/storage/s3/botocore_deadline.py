"""botocore under the deadline of the call it works for: no wait and no repetition goes past it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import botocore.awsrequest
import botocore.session

from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.http_sockets import DeadlineConnection


# The stubs say otherwise than urllib3 which arguments a request takes.
class _Connection(DeadlineConnection, botocore.awsrequest.AWSHTTPConnection):  # type: ignore[misc]
    """A connection of botocore's that waits no longer than the call may."""


class _SecureConnection(DeadlineConnection, botocore.awsrequest.AWSHTTPSConnection):  # type: ignore[misc]
    """The same over TLS."""


# botocore makes its connections by these names, wherever it asks: also a service for credentials.
botocore.awsrequest.AWSHTTPConnectionPool.ConnectionCls = _Connection
botocore.awsrequest.AWSHTTPSConnectionPool.ConnectionCls = _SecureConnection


def bound(session: botocore.session.Session) -> None:
    """Let clients of a session neither pause nor repeat when the call's time is over.

    Source of the event, which follows each attempt: botocore, ``botocore.endpoint``.
    """
    session.register("needs-retry", _after_an_attempt)


def _after_an_attempt(operation: Any = None, response: Any = None, **_: Any) -> None:
    if response is None:
        deadline.left()
        return
    status = response[0].status_code
    # Of an object only the headers are here.
    is_stream = operation.has_streaming_output and status < HTTPStatus.MULTIPLE_CHOICES
    if not is_stream and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        deadline.heard()
