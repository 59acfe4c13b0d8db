"""Errors as dtool's commands show them: a sentence on standard error, and an exit code.

dtool's commands catch next to nothing, but click, which runs them, prints the message of a
``ClickException`` and exits with its code. Anything else would be a traceback.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import IO, Any, TypeVar

import click
import dtoolcore

from dserver_client.errors import ClientError, LocalFileError

Broker = TypeVar("Broker")


class BrokerError(click.ClickException, ClientError):
    """What a storage broker raises; it has the exit code and the slug of its cause."""

    exit_code: int  # type: ignore[misc]  # click has one for each class

    def __init__(self, message: str, cause: ClientError | None = None) -> None:
        super().__init__(message)
        self.exit_code = 1 if cause is None else cause.exit_code
        if cause is not None:
            self.slug = cause.slug


class NotADataset(BrokerError, dtoolcore.DtoolCoreTypeError):
    """No dataset under a URI, in a class that callers of ``DataSet.from_uri`` expect."""


class CopiedAlready(BrokerError):
    """A copy that is complete, of which the rest was to be copied; commands succeed with it."""

    slug = "copied-already"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.exit_code = 0

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message, which is no error for a person, on standard output."""
        click.echo(self.message, file=file)


class NoSuchEntry(BrokerError, dtoolcore.DtoolCoreKeyError):
    """No item, tag, annotation or overlay of this name."""

    slug = "not-found"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.exit_code = 5

    # KeyError would show the message in quotes.
    __str__ = click.ClickException.__str__


def is_resuming() -> bool:
    """Return whether this is ``dtool cp --resume``; dtoolcore does not say so to brokers."""
    command = click.get_current_context(silent=True)
    return command is not None and bool(command.params.get("resume"))


def shown_by_dtool(broker: type[Broker]) -> type[Broker]:
    """Let all methods of a storage broker raise BrokerErrors in place of other errors."""
    for name, member in list(vars(broker).items()):
        if isinstance(member, classmethod):
            setattr(broker, name, classmethod(_translating(member.__func__)))
        elif inspect.isfunction(member):
            setattr(broker, name, _translating(member))
    return broker


def _translating(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def translated(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except BrokerError:
            raise
        except ClientError as error:
            raise BrokerError(str(error), error) from error
        except OSError as error:
            local = LocalFileError.of(error, error.filename or "A local file")
            raise BrokerError(str(local), local) from error

    return translated
