"""What fails in a storage, in the log and on its way out: an error of ours, whatever it was.

Knows no vendor. A line names what was done, the bucket or account and the kind of the cause; never
a URL, nor a library's own words, which may hold one.
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


def log_failure(vendor: str, doing: str, place: str, cause: str) -> None:
    """Write the one line about something that failed in a store."""
    logger.warning("%s %s in %s: %s%s", vendor, doing, place, cause, request_ids.suffix())


@contextmanager
def translating(doing: str, place: str, foreign: Sequence[Exception] = ()) -> Iterator[None]:
    """Let only errors of ours out of the block.

    :param place: the base URI, for the sentence and the log.
    :param foreign: what is no failure of the storage, and goes out as it is.
    """
    try:
        yield
    except (SignedURLError, Refused):
        # The latter is what the doctor came for.
        raise
    except Exception as error:
        if any(error is each for each in foreign):
            raise
        log_failure("Storage", doing, place, type(error).__name__)
        raise StorageUnavailable(
            f"The storage of {place}", f"failed ({doing}: {type(error).__name__})"
        ) from error


def translated(storage: Made, place: str) -> Made:
    """Let no method of a storage raise any but errors of ours, or what its caller's functions do.

    :return: the storage.
    """
    for name in dir(type(storage)):
        if not name.startswith("_") and callable(getattr(storage, name)):
            setattr(storage, name, _translated(getattr(storage, name), place))
    return storage


def _translated(method: Callable[..., Any], place: str) -> Callable[..., Any]:
    doing = method.__name__.replace("_", " ")

    @wraps(method)
    def call(*args: Any, **named: Any) -> Any:
        foreign: list[Exception] = []
        with translating(doing, place, foreign):
            return method(*(_noted(argument, foreign) for argument in args), **named)

    return call


def _noted(argument: Any, foreign: list[Exception]) -> Any:
    """Return an argument; of a function one that keeps what it raises, which is not the store's."""
    if not callable(argument):
        return argument

    def call() -> Any:
        try:
            return argument()
        except Exception as error:
            foreign.append(error)
            raise

    return call
