"""Failed requests to Azure, translated to errors of this plugin.

Whatever is raised is translated, because an answer may cause any exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from urllib3.exceptions import HTTPError

from dserver_signed_url_plugin.errors import (
    DeletionPending,
    ItemArchived,
    SignedURLError,
    StorageAway,
    StorageUnavailable,
)
from dserver_signed_url_plugin.signed_http import causes
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.azure.service import AzureRefusal, UnexpectedAzureAnswer
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


class AzureErrorTranslator:
    """Translates what fails in requests of one account."""

    def __init__(self, account: str) -> None:
        self.account, self._store = account, f"The store of {account}"

    @contextmanager
    def translated(self, doing: str, answers: frozenset[str] = frozenset()) -> Iterator[None]:
        """Translate what a request raises.

        :param answers: error codes with which AzureRefusal is raised unchanged.
        """
        try:
            yield
            deadline.answered()
        except AzureRefusal as error:
            if error.code in answers:
                deadline.answered()
                raise
            if error.code in _ARCHIVED:
                raise ItemArchived("What dserver must read of it", RESTORE) from error
            passes = error.status in _PASSING
            raise self.unavailable(doing, _shown(error.code), passes=passes) from error
        except SignedURLError:
            raise
        except UnexpectedAzureAnswer as error:
            raise self.unexpected(doing, str(error)) from error
        except HTTPError as error:
            self._log(doing, type(causes(error)[-1]).__name__)
            raise StorageAway(self._store, f"does not answer ({doing})") from error
        except Exception as error:
            self._log(doing, type(error).__name__)
            raise unreadable_answer(self._store, doing, error) from error

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


def _shown(code: str) -> str:
    """Return an error code as it may be shown: an answer may contain anything."""
    return code if _CODE.fullmatch(code) else "unknown"
