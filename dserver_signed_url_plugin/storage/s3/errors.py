"""Errors of boto3, translated to errors of this plugin.

Whatever boto3 raises is translated, because an answer may cause any exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import botocore.exceptions
import urllib3.exceptions

from dserver_signed_url_plugin.environment import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from dserver_signed_url_plugin.errors import (
    ItemArchived,
    SignedURLError,
    StorageAway,
    StorageMisconfigured,
    StorageUnavailable,
)
from dserver_signed_url_plugin.storage.error_translation import (
    log_failure,
    unexpected_answer,
    unreadable_answer,
)
from dserver_signed_url_plugin.storage.s3.response_checks import (
    UnexpectedS3Answer,
    has_store_header,
)

_ABSENT = frozenset({"NoSuchKey", "NotFound"})
_CHANGED = frozenset({"412", "PreconditionFailed", "ConditionalRequestConflict"})
_ARCHIVED, _NO_RANGE = "InvalidObjectState", "InvalidRange"
RESTORE = "`aws s3api restore-object`"
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
)
_NO_ANSWER = (botocore.exceptions.BotoCoreError, OSError, urllib3.exceptions.HTTPError)


class ObjectMissing(Exception):
    """The store has no such object, or it no longer meets a condition."""


class NoFirstByte(ObjectMissing):
    """The beginning of an object was requested, and it has no bytes."""


class ErrorTranslator:
    """Translates what fails in requests of one bucket."""

    def __init__(self, bucket: str) -> None:
        self.bucket, self._store = bucket, f"The store of {bucket}"

    @contextmanager
    def translated(self, doing: str, *, may_miss: bool = False) -> Iterator[None]:
        try:
            yield
        except (SignedURLError, ObjectMissing):
            raise
        except botocore.exceptions.ClientError as error:
            code = code_of(error)
            # A traceback that passes through here holds itself, and with it all variables of the
            # callers, until garbage is collected.
            if may_miss and (code in _ABSENT | _CHANGED or _is_head(error)):
                raise ObjectMissing from error.with_traceback(None)
            if may_miss and code == _NO_RANGE:
                raise NoFirstByte from error.with_traceback(None)
            if code == _ARCHIVED:
                raise ItemArchived("What dserver must read of it", RESTORE) from error
            raise self.unavailable(doing, code, passes=_passes(error)) from error
        except UnexpectedS3Answer as error:
            raise self.unexpected(doing, str(error)) from error
        except Exception as error:
            raise self._failed(doing, error) from error

    def _failed(self, doing: str, error: Exception) -> StorageUnavailable:
        self._log(doing, type(error).__name__)
        if isinstance(error, _NO_CREDENTIALS):
            names = f"{ACCESS_KEY_ID}{self.bucket} and {SECRET_ACCESS_KEY}{self.bucket}"
            return StorageMisconfigured(
                "The server", f"has no credentials for {self.bucket}: set {names}"
            )
        if _is_end_of_credentials(error):
            return StorageMisconfigured(f"The server's credentials for {self.bucket}", "have ended")
        if isinstance(error, _NO_ANSWER):
            return StorageAway(self._store, f"does not answer ({doing})")
        return unreadable_answer(self._store, doing, error)

    def unexpected(self, doing: str, wrong: str) -> StorageUnavailable:
        """Return the error for an answer that is not believed.

        :param wrong: what is wrong with it.
        """
        self._log(doing, wrong)
        return unexpected_answer(self._store, doing, wrong)

    def unavailable(self, doing: str, code: str, *, passes: bool = False) -> StorageUnavailable:
        """Return the error for a refusal.

        :param passes: whether the same request may succeed a moment later.
        """
        self._log(doing, code)
        if code == "NoSuchBucket":
            return StorageMisconfigured("The store", f"has no bucket {self.bucket}")
        kind = StorageAway if passes else StorageUnavailable
        return kind(self._store, f"refused the server ({doing}: {code})")

    def _log(self, doing: str, cause: str) -> None:
        log_failure("S3", doing, self.bucket, cause)


def _passes(error: botocore.exceptions.ClientError) -> bool:
    """Return whether the store is overloaded or broken, which does not answer the request."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status == HTTPStatus.TOO_MANY_REQUESTS or (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED
    )


def code_of(error: botocore.exceptions.ClientError) -> str:
    """Return the store's error code."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    # The code is shown, and an answer may contain anything.
    return code if _CODE.fullmatch(code) else "unknown"


def is_bare(error: botocore.exceptions.ClientError) -> bool:
    """Return whether HEAD was answered 404 without a header that only S3 sends."""
    headers = error.response["ResponseMetadata"]["HTTPHeaders"]
    return code_of(error) == "404" and not has_store_header(headers)


def _is_end_of_credentials(error: Exception) -> bool:
    # botocore has no exception class for temporary credentials that it could not refresh.
    return type(error) is RuntimeError and "refreshed credentials are still expired" in str(error)


def _is_head(error: botocore.exceptions.ClientError) -> bool:
    """Return whether HEAD was answered 404, without a body that could give a code."""
    return error.operation_name == "HeadObject" and code_of(error) == "404"
