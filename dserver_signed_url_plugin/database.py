"""Time limits for dserver's database, and what its errors mean.

A request or command waits for each statement for a limited time only, also if the server of the
database has stopped responding.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from time import monotonic
from typing import Any, NoReturn

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from dserver_signed_url_plugin.errors import ConfigurationError, DatabaseBusy

REFUSALS = (DBAPIError, PoolTimeoutError)
# Transient errors: the database is not available, locked, or out of connections.
AWAY = (OperationalError, InterfaceError, PoolTimeoutError)

# The time limit of a statement, in seconds, in a request and in a command.
SECONDS_PER_STATEMENT = 6.0
SECONDS_PER_STATEMENT_OF_A_COMMAND = 15.0
# The time limit to connect, or to lock a SQLite file, in seconds.
SECONDS_TO_CONNECT = 4
# The time limit of further statements, in seconds, after one has timed out.
_SECONDS_AFTER_TIMEOUT = 0.2

# The index has migrations of its own.
_MIGRATE = (
    "run `flask db upgrade --directory dserver_signed_url_plugin:migrations`, or what "
    "/signed-urls/health/ready says"
)

_PSYCOPGS = frozenset({"psycopg", "psycopg2"})


class _Limit:
    """The time limit of a statement, shared by all threads of a request or command."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def shorten(self) -> None:
        """Shorten the limit, because a statement has timed out."""
        self.seconds = _SECONDS_AFTER_TIMEOUT

    @property
    def is_shortened(self) -> bool:
        return self.seconds == _SECONDS_AFTER_TIMEOUT


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


def driver_message(error: Exception) -> str:
    """Return the message of the driver, without the statement, its parameters, and any row."""
    # SQLAlchemy's message includes the first two, and PostgreSQL's following lines the last.
    return str(getattr(error, "orig", None) or "no connection").partition("\n")[0]


def advice(error: Exception) -> str:
    """Return what to do about an error of the database, as the end of a sentence."""
    if isinstance(error, PoolTimeoutError):
        return "all of its connections are in use: wait a moment"
    message, state = driver_message(error), _state(error)
    if _lacks_table(error):
        return f"a table is missing: {_MIGRATE}"
    if _lacks_column(error):
        return f"a column is missing: {_MIGRATE}"
    # lock_not_available and query_canceled.
    if state in {"55P03", "57014"} or "is locked" in message:
        return "it is busy: wait a moment"
    if isinstance(error, AWAY):
        return "if it is busy, wait a moment; otherwise check that it is running"
    return "see its message"


def is_at_fault(error: Exception) -> bool:
    """Return whether the database is away or busy, or lacks a table or column."""
    return isinstance(error, AWAY) or is_outdated(error)


def is_outdated(error: Exception) -> bool:
    """Return whether an error of the database says that a table or a column is missing."""
    return _lacks_table(error) or _lacks_column(error)


@contextmanager
def translating() -> Iterator[None]:
    """Turn errors of the database in the ``with`` block into DatabaseBusy, with advice."""
    try:
        yield
    except SQLAlchemyError as error:
        raise DatabaseBusy(advice(error)) from error


def _state(error: Exception) -> str | None:
    """Return the error code of PostgreSQL (appendix A of its manual); SQLite has messages only."""
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _lacks_table(error: Exception) -> bool:
    return _state(error) == "42P01" or "no such table" in driver_message(error)


def _lacks_column(error: Exception) -> bool:
    message = driver_message(error)
    lacks = "no such column" in message or "has no column named" in message
    return _state(error) == "42703" or lacks


def limit_request(*_: object) -> None:
    """Limit the time of each statement until the end of the request."""
    _limit.set(_Limit(SECONDS_PER_STATEMENT))


def end_request(*_: object) -> None:
    """Remove the limit from this thread."""
    _limit.set(None)


@contextmanager
def limited_command() -> Iterator[None]:
    """Limit the time of each statement in the ``with`` block, to more than in a request."""
    token = _limit.set(_Limit(SECONDS_PER_STATEMENT_OF_A_COMMAND))
    try:
        yield
    finally:
        _limit.reset(token)


def add_defaults(config: MutableMapping[str, Any]) -> None:
    """Limit the time to wait for a connection of the pool, unless the operator has set one."""
    options = config.get("SQLALCHEMY_ENGINE_OPTIONS") or {}
    is_pooled = not {"pool", "poolclass", "pool_timeout"} & options.keys()
    if is_pooled and str(config.get("SQLALCHEMY_DATABASE_URI")).startswith("postgresql"):
        options = {**options, "pool_timeout": SECONDS_TO_CONNECT}
        config["SQLALCHEMY_ENGINE_OPTIONS"] = options


def limit_engine(engine: Engine) -> None:
    """Apply the limits to new connections of an engine; options of the operator take precedence.

    :raises ConfigurationError: if its URL has an invalid ``prepare_threshold``.
    """
    threshold = engine.url.query.get("prepare_threshold")
    if engine.driver == "psycopg" and threshold is not None:
        # Text, unless it is there several times.
        _prepare_threshold(str(threshold))
    if not event.contains(engine, "do_connect", _connect):
        event.listen(engine, "do_connect", _connect)


def _connect(dialect: Any, _: Any, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    if dialect.name == "sqlite":
        return dialect.connect(*arguments, **{"timeout": SECONDS_TO_CONNECT, **options})
    if dialect.name != "postgresql" or dialect.driver not in _PSYCOPGS:
        return None
    more: dict[str, Any] = {"connect_timeout": SECONDS_TO_CONNECT, **options}
    limit = _limit.get()
    if limit is not None:
        # Less than the client's limit, so that the server cancels the statement first. The last
        # value of an option counts, which is that of the operator.
        limits = f"-c lock_timeout={limit.seconds * 600:.0f}"
        limits += f" -c statement_timeout={limit.seconds * 900:.0f}"
        more["options"] = f"{limits} {more.get('options', '')}".rstrip()
    if dialect.driver != "psycopg":
        return dialect.connect(*arguments, **more)
    if isinstance(more.get("prepare_threshold"), str):
        more["prepare_threshold"] = _prepare_threshold(more["prepare_threshold"])
    return _limited_connection().connect(*arguments, **more)


def _prepare_threshold(text: str) -> int | None:
    """Return psycopg's parameter from the text that it is in a URL: a number, or ``none``."""
    try:
        return None if text == "none" else int(text)
    except ValueError:
        raise ConfigurationError(
            "SQLALCHEMY_DATABASE_URI", "must have a number or `none` as its prepare_threshold."
        ) from None


@cache
def _limited_connection() -> Any:
    """Return a subclass of psycopg's connection that applies the limit."""
    import psycopg  # noqa: PLC0415 (an optional dependency)

    class LimitedConnection(psycopg.Connection[Any]):
        """A connection that is closed if the server does not respond in time."""

        @classmethod
        def connect(cls, *arguments: Any, **options: Any) -> Any:
            limit = _limit.get()
            if limit is not None and limit.is_shortened:
                raise psycopg.OperationalError("the database did not answer")
            try:
                return super().connect(*arguments, **options)
            except psycopg.errors.ConnectionTimeout:
                if limit is not None:
                    limit.shorten()
                raise

        def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
            limit = _limit.get()
            if limit is not None:
                gen = _until(gen, limit, self._give_up)
            return super().wait(gen, *arguments, **options)

        def _give_up(self) -> NoReturn:
            self.pgconn.finish()
            raise psycopg.OperationalError("the database did not answer in time")

    return LimitedConnection


def _until(gen: Any, limit: _Limit, give_up: Callable[[], NoReturn]) -> Generator[Any, Any, Any]:
    """Delegate to a generator of psycopg, and give up after the limit.

    psycopg resumes it several times a second, with 0 if there is nothing to read or write.

    Source: psycopg, ``psycopg.waiting``.
    """
    started = monotonic()
    try:
        state = next(gen)
        while True:
            ready = yield state
            if not ready and monotonic() - started > limit.seconds:
                limit.shorten()
                give_up()
            state = gen.send(ready)
    except StopIteration as end:
        return end.value
