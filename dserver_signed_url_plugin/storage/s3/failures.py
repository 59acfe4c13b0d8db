"""What boto raises becomes an error of ours: StorageUnavailable with a sentence, or Missing.

Knows the codes of S3 and the errors of botocore; makes no request.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import botocore.exceptions

from dserver_signed_url_plugin.errors import ItemArchived, StorageAway, StorageUnavailable

logger = logging.getLogger(__name__)

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED = frozenset({"412", "PreconditionFailed", "ConditionalRequestConflict"})
_ARCHIVED = "InvalidObjectState"
RESTORE = "`aws s3api restore-object`"
_NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
)


class Missing(Exception):
    """The store answered, and there is no such object (any more)."""


class Failures:
    """Translates what fails in requests of one bucket."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket

    @contextmanager
    def translated(self, doing: str, may_miss: bool = False) -> Iterator[None]:
        try:
            yield
        except botocore.exceptions.ClientError as error:
            code = code_of(error)
            if may_miss and code in _ABSENT | _CHANGED:
                raise Missing from error
            if code == _ARCHIVED:
                raise ItemArchived("What dserver must read of it", RESTORE) from error
            raise self.unavailable(doing, code, passes=_passes(error)) from error
        except _NO_CREDENTIALS as error:
            raise StorageUnavailable(
                f"The server has no credentials for {self.bucket}; its administrator must set them."
            ) from error
        except RuntimeError as error:
            # botocore's word for temporary credentials that have ended and cannot be renewed.
            if isinstance(error, RecursionError):
                raise
            raise StorageUnavailable(
                f"The server's credentials for {self.bucket} have ended; its administrator must "
                "renew them."
            ) from error
        except (botocore.exceptions.BotoCoreError, OSError) as error:
            logger.warning("S3 %s in bucket %s: %s", doing, self.bucket, type(error).__name__)
            raise StorageAway(
                f"The store of {self.bucket} does not answer ({doing}); call again later."
            ) from error

    def unavailable(self, doing: str, code: str, passes: bool = False) -> StorageUnavailable:
        """Say that the store refused.

        :param passes: whether it may do the same a moment later.
        """
        logger.warning("S3 %s in bucket %s: %s", doing, self.bucket, code)
        if code == "NoSuchBucket":
            return StorageUnavailable(f"The store has no bucket {self.bucket}.")
        kind = StorageAway if passes else StorageUnavailable
        return kind(
            f"The store of {self.bucket} refused the server ({doing}: {code}); "
            "call again later, or ask the server's administrator."
        )


def _passes(error: botocore.exceptions.ClientError) -> bool:
    """Tell whether the store is overloaded or broken, which is no answer to what was asked."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status == HTTPStatus.TOO_MANY_REQUESTS or (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED
    )


def code_of(error: botocore.exceptions.ClientError) -> str:
    """Return the store's own word for a refusal."""
    return error.response.get("Error", {}).get("Code", "unknown")
