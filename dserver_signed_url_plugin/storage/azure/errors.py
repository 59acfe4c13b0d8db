"""Errors of the Azure SDK, translated to errors of this plugin.

Whatever the SDK raises is translated, because an answer may cause any exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from azure.common import AzureException, AzureHttpError

from dserver_signed_url_plugin.errors import (
    DeletionPending,
    ItemArchived,
    SignedURLError,
    StorageAway,
    StorageUnavailable,
)
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.azure.response_checks import UnexpectedAzureAnswer
from dserver_signed_url_plugin.storage.error_translation import (
    log_failure,
    unexpected_answer,
    unreadable_answer,
)

RESTORE = "`az storage blob set-tier --tier Hot`"

_ARCHIVED = frozenset({"BlobArchived", "BlobBeingRehydrated"})
_CODE = re.compile(r"[A-Za-z0-9]{1,64}")
# Statuses of a store that is overloaded or broken, which do not answer the request.
_PASSING = frozenset({429, 500, 502, 503, 504})


class AzureRefusal(Exception):
    """The store refused for a reason that the caller expects; ``code`` is its error code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class AzureErrorTranslator:
    """Translates what fails in requests of one account."""

    def __init__(self, account: str) -> None:
        self.account, self._store = account, f"The store of {account}"

    @contextmanager
    def translated(self, doing: str, answers: frozenset[str] = frozenset()) -> Iterator[None]:
        """Translate the SDK's errors.

        :param answers: error codes that are raised as AzureRefusal.
        """
        try:
            yield
            deadline.answered()
        except AzureHttpError as error:
            code = _code_of(error)
            if code in answers:
                deadline.answered()
                raise AzureRefusal(code) from error
            if code in _ARCHIVED:
                raise ItemArchived("What dserver must read of it", RESTORE) from error
            passes = error.status_code in _PASSING
            raise self.unavailable(doing, code, passes=passes) from error
        except (SignedURLError, AzureRefusal):
            raise
        except AzureException as error:
            raise self._silent(doing, error) from error
        except Exception as error:
            self._log(doing, type(error).__name__)
            raise unreadable_answer(self._store, doing, error) from error

    def _silent(self, doing: str, error: AzureException) -> StorageUnavailable:
        """Return the error for no answer, or one that is not the store's."""
        # The SDK wraps whatever was raised while it sent the request or read the answer.
        cause = error.__context__ or error
        if isinstance(cause, UnexpectedAzureAnswer):
            return self.unexpected(doing, str(cause))
        self._log(doing, type(cause).__name__)
        return StorageAway(self._store, f"does not answer ({doing})")

    def unexpected(self, doing: str, wrong: str) -> StorageUnavailable:
        """Return the error for an answer that is not believed.

        :param wrong: what is wrong with it.
        """
        self._log(doing, wrong)
        return unexpected_answer(self._store, doing, wrong)

    def _log(self, doing: str, cause: str) -> None:
        log_failure("Azure", doing, self.account, cause)

    def unavailable(self, doing: str, code: str, *, passes: bool = False) -> StorageUnavailable:
        """Return the error for a refusal.

        :param passes: whether the same request may succeed a moment later.
        """
        self._log(doing, code)
        if code == "ContainerBeingDeleted":
            return DeletionPending(self._store, "is still deleting what it held under this UUID")
        if code == "ContainerNotFound":
            return StorageUnavailable(
                self._store, "does not hold the dataset's container (any more)"
            )
        kind = StorageAway if passes else StorageUnavailable
        return kind(self._store, f"refused the server ({doing}: {code})")


def _code_of(error: AzureHttpError) -> str:
    """Return the store's error code, or the status if there is none."""
    code = str(getattr(error, "error_code", None) or error.status_code)
    # The code is shown, and an answer may contain anything.
    return code if _CODE.fullmatch(code) else "unknown"
