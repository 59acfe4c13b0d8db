"""Translates and logs whatever a storage raises, so that callers see this plugin's errors only.

Log messages name the operation, the bucket or account, and the type of the exception. Messages of
libraries are left out, because they may contain a signed URL.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from dserver_signed_url_plugin import request_ids
from dserver_signed_url_plugin.errors import SignedURLError, StorageUnavailable
from dserver_signed_url_plugin.storage.values import Refused

logger = logging.getLogger(__name__)

Made = TypeVar("Made")


def log_failure(vendor: str, doing: str, store: str, cause: str) -> None:
    """Log an operation that failed in a store."""
    logger.warning("%s %s in %s: %s%s", vendor, doing, store, cause, request_ids.suffix())


def unexpected_answer(store: str, doing: str, wrong: str) -> StorageUnavailable:
    """Return the error for an answer that is not believed.

    :param wrong: what is wrong with it.
    """
    problem = f"did not answer what it was asked, or did not do it ({doing}: {wrong})"
    return StorageUnavailable(store, problem, StorageUnavailable.PAUSE)


def unreadable_answer(store: str, doing: str, error: Exception) -> StorageUnavailable:
    """Return the error for an answer at which a library has failed."""
    problem = f"gave an answer that cannot be read ({doing}: {type(error).__name__})"
    return StorageUnavailable(store, problem, StorageUnavailable.PAUSE)


@contextmanager
def translating(doing: str, store: str, foreign: Sequence[Exception] = ()) -> Iterator[None]:
    """Raise exceptions of the ``with`` block as errors of this plugin.

    :param store: the base URI, for the message and the log.
    :param foreign: exceptions that do not come from the storage, and are raised unchanged.
    """
    try:
        yield
    except (SignedURLError, Refused):
        # Refused is for the doctor.
        raise
    except Exception as error:
        if any(error is each for each in foreign):
            raise
        log_failure("Storage", doing, store, type(error).__name__)
        raise StorageUnavailable(
            f"The storage of {store}",
            f"failed ({doing}: {type(error).__name__})",
            # Of the network, or else of the storage itself.
            StorageUnavailable.PAUSE if isinstance(error, OSError) else None,
        ) from error


def translated(storage: Made, store: str) -> Made:
    """Wrap all public methods of a storage, so that they raise only errors of this plugin.

    Exceptions of functions that the caller passes as arguments are raised unchanged.

    :return: the storage.
    """
    for name in dir(type(storage)):
        if not name.startswith("_") and callable(getattr(storage, name)):
            setattr(storage, name, _translated(getattr(storage, name), store))
    return storage


def _translated(method: Callable[..., Any], store: str) -> Callable[..., Any]:
    doing = method.__name__.replace("_", " ")

    @wraps(method)
    def call(*args: Any, **named: Any) -> Any:
        foreign: list[Exception] = []
        with translating(doing, store, foreign):
            return method(*(_recording(argument, foreign) for argument in args), **named)

    return call


def _recording(argument: Any, foreign: list[Exception]) -> Any:
    """Return the argument; if it is a function, one that adds what it raises to ``foreign``."""
    if not callable(argument):
        return argument

    def call(*args: Any) -> Any:
        try:
            return argument(*args)
        except Exception as error:
            foreign.append(error)
            raise

    return call
