"""Makes botocore observe the deadline of the call: no wait and no retry exceeds it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import botocore.awsrequest
import botocore.session

from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.http_sockets import DeadlineConnection


# Type stubs of botocore and urllib3 disagree about the arguments of request().
class _Connection(DeadlineConnection, botocore.awsrequest.AWSHTTPConnection):  # type: ignore[misc]
    """botocore's HTTP connection, with a deadline."""


class _SecureConnection(DeadlineConnection, botocore.awsrequest.AWSHTTPSConnection):  # type: ignore[misc]
    """botocore's HTTPS connection, with a deadline."""


# botocore creates all connections from these attributes, also those to services for credentials.
botocore.awsrequest.AWSHTTPConnectionPool.ConnectionCls = _Connection
botocore.awsrequest.AWSHTTPSConnectionPool.ConnectionCls = _SecureConnection


def bound(session: botocore.session.Session) -> None:
    """Stop retries of a session's clients after the deadline.

    The event is emitted after each attempt. Source: botocore, ``botocore.endpoint``.
    """
    session.register("needs-retry", _after_an_attempt)


def _after_an_attempt(operation: Any = None, response: Any = None, **_: Any) -> None:
    if response is None:
        deadline.left()
        return
    status = response[0].status_code
    # The body of an object has not been read yet.
    is_stream = operation.has_streaming_output and status < HTTPStatus.MULTIPLE_CHOICES
    if not is_stream and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        deadline.answered()
