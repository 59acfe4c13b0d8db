"""A bucket whose configuration is read and written, for the doctor and for lifecycle rules.

S3Connection has the requests for datasets; this one can send any request of boto3, and raises the
store's error code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.errors import ErrorTranslator
from dserver_signed_url_plugin.storage.s3.sigv4 import Endpoint


class BucketRefusal(StorageUnavailable):
    """The store refused a request with the error ``code``."""

    def __init__(self, doing: str, code: str) -> None:
        super().__init__("The store", f"refused the server ({doing}: {code})")
        self.code = code


class _UnloggedErrors(ErrorTranslator):
    """Does not log refusals, because the caller reports them."""

    def unavailable(self, doing: str, code: str, *, passes: bool = False) -> StorageUnavailable:
        return BucketRefusal(doing, code)


class BucketAdmin(S3Connection):
    """A connection that can send any request, and raises BucketRefusal."""

    @property
    def inside(self) -> Endpoint:
        return self._clients.inside

    def ask(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self.ask_the_store(operation, **{"Bucket": self.bucket, **parameters})

    def ask_the_store(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Send a request that is not about this bucket."""
        with self._failures.translated(operation):
            answer: Mapping[str, Any] = getattr(self._client, operation)(**parameters)
        return answer

    def bare_url(self, bucket: str, key: str) -> str:
        """Return the unsigned URL of an object in any bucket, at the server's address."""
        parameters = {"Bucket": bucket, "Key": key}
        with self._failures.translated("signing"):
            url = self._client.generate_presigned_url("get_object", Params=parameters)
        return url.partition("?")[0]

    def hook(self, event: str, handler: Callable[..., None]) -> None:
        """Register a handler for one of boto3's events; idempotent.

        Source: boto3, "Extensibility guide".
        """
        self._client.meta.events.register(event, handler, unique_id=event)

    @contextmanager
    def hooked(self, event: str, handler: Callable[..., None]) -> Iterator[None]:
        """Register a handler for one of boto3's events while the block runs.

        Source: boto3, "Extensibility guide".
        """
        self._client.meta.events.register(event, handler)
        try:
            yield
        finally:
            self._client.meta.events.unregister(event, handler)

    def _make_failures(self) -> ErrorTranslator:
        return _UnloggedErrors(self.bucket)
