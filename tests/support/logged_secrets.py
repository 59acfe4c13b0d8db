"""What no line of the log may hold, whatever fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.dserver import Account, Bucket

# Not azure.storage: that is the SDK with which tests read as dtool does.
_LOGGERS = ("azure.core", "azure.identity", "dserver_signed_url_plugin")


def secrets_of(place: Bucket | Account) -> tuple[str, ...]:
    """Return what only dserver and the store know."""
    if isinstance(place, Bucket):
        return place.access_key, place.secret_key
    return (place.key,)


@contextmanager
def kept_out_of_the_log(
    place: Bucket | Account, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Fail if a test has logged a key or a signature, if only for who debugs."""
    for name in _LOGGERS:
        caplog.set_level(logging.DEBUG, name)
    yield
    lines = [line for line in caplog.get_records("call") if line.name.startswith(_LOGGERS)]
    logged = "\n".join(line.getMessage() for line in lines)
    for secret in (*secrets_of(place), "X-Amz-Signature", "sig=", "String_to_sign"):
        assert secret not in logged
