"""A bucket that can also be asked by boto's own names, and whose own word for a refusal is heard.

What S3Connection offers is what datasets need; this is for what is asked about the bucket itself.
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
    """The store refused, for the reason that ``code`` gives."""

    def __init__(self, doing: str, code: str) -> None:
        super().__init__("The store", f"refused the server ({doing}: {code})")
        self.code = code


class _UnloggedErrors(ErrorTranslator):
    """Nothing for the log: whoever asks about the bucket is told what it refuses."""

    def unavailable(self, doing: str, code: str, *, passes: bool = False) -> StorageUnavailable:
        return BucketRefusal(doing, code)


class BucketAdmin(S3Connection):
    """A connection that raises Unwilling, and knows the server's address."""

    @property
    def inside(self) -> Endpoint:
        return self._clients.inside

    def ask(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self.ask_the_store(operation, **{"Bucket": self.bucket, **parameters})

    def ask_the_store(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Ask what is not about this bucket."""
        with self._failures.translated(operation):
            answer: Mapping[str, Any] = getattr(self._client, operation)(**parameters)
        return answer

    def bare_url(self, bucket: str, key: str) -> str:
        """Return where the server finds an object of any bucket, without a signature."""
        parameters = {"Bucket": bucket, "Key": key}
        with self._failures.translated("signing"):
            url = self._client.generate_presigned_url("get_object", Params=parameters)
        return url.partition("?")[0]

    def hook(self, event: str, handler: Callable[..., None]) -> None:
        """Let a handler see one of boto3's events from now on; once, however often it is said.

        Source: boto3, "Extensibility guide".
        """
        self._client.meta.events.register(event, handler, unique_id=event)

    @contextmanager
    def hooked(self, event: str, handler: Callable[..., None]) -> Iterator[None]:
        """Let a handler see one of boto3's events as long as the block lasts.

        Source: boto3, "Extensibility guide".
        """
        self._client.meta.events.register(event, handler)
        try:
            yield
        finally:
            self._client.meta.events.unregister(event, handler)

    def _make_failures(self) -> ErrorTranslator:
        return _UnloggedErrors(self.bucket)
