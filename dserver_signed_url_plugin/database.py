"""dserver's database when it does not answer: how long it is waited for, and what it refuses.

Knows the errors of SQLAlchemy and its drivers, and their ways to wait; writes no statement, and
answers nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from time import monotonic
from typing import Any, NoReturn

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

REFUSALS = (DBAPIError, PoolTimeoutError)
# Those that pass by themselves: it is away, locked, or out of connections.
AWAY = (OperationalError, InterfaceError, PoolTimeoutError)

# Seconds for which a request waits for one statement; a command has more time.
SECONDS_PER_STATEMENT = 6.0
SECONDS_PER_STATEMENT_OF_A_COMMAND = 15.0
# Seconds for which a request waits for a connection, and for the lock of a SQLite file.
SECONDS_TO_CONNECT = 4
# Seconds for each further statement, once one was not answered.
_ONCE_IT_HANGS = 0.2

_UPGRADE = "flask db upgrade --directory dserver_signed_url_plugin:migrations"
_CHECK = "flask db check --directory dserver_signed_url_plugin:migrations"

_PSYCOPGS = frozenset({"psycopg", "psycopg2"})


class _Limit:
    """For how long whoever is under it waits for one statement; the same in all its threads."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def hangs(self) -> None:
        """Wait no longer for anything, because the database has not answered."""
        self.seconds = _ONCE_IT_HANGS

    @property
    def has_hung(self) -> bool:
        return self.seconds == _ONCE_IT_HANGS


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


def words(refusal: Exception) -> str:
    """Return what the driver said, without the statement, its values, and any row."""
    # SQLAlchemy's own words would add the first two, and PostgreSQL's later lines the last.
    return str(getattr(refusal, "orig", None) or "no connection").partition("\n")[0]


def advice(refusal: Exception) -> str:
    """Return what helps, as the end of a sentence: a missing column is no database that is away."""
    if isinstance(refusal, PoolTimeoutError):
        return "all of its connections are in use: wait a moment"
    said, state = words(refusal), getattr(getattr(refusal, "orig", None), "sqlstate", None)
    # Classes of PostgreSQL's appendix A; SQLite has words only.
    if state == "42P01" or "no such table" in said:
        return f"a table is missing: run `{_UPGRADE}`"
    if state == "42703" or "no such column" in said or "has no column named" in said:
        return (
            f"a column is missing: run `{_UPGRADE}`; if it has been run, `{_CHECK}` tells which "
            "table somebody else has made"
        )
    # lock_not_available and query_canceled; SQLite's word is locked.
    if state in {"55P03", "57014"} or "is locked" in said:
        return "it is busy: wait a moment"
    if isinstance(refusal, AWAY):
        return "if it is busy, wait a moment; if it is away, see whether it runs"
    return "see what it says"


def limit_request(*_: object) -> None:
    """Wait for each statement only for a while, from here to the end of the request."""
    _limit.set(_Limit(SECONDS_PER_STATEMENT))


def end_request(*_: object) -> None:
    """Let whatever this thread does next wait as long as it likes."""
    _limit.set(None)


@contextmanager
def limited_command() -> Iterator[None]:
    """Wait for each statement of the block only for a while, though longer than in a request."""
    token = _limit.set(_Limit(SECONDS_PER_STATEMENT_OF_A_COMMAND))
    try:
        yield
    finally:
        _limit.reset(token)


def add_defaults(config: MutableMapping[str, Any]) -> None:
    """Let nobody wait for long for one of the engine's connections, unless the operator says so."""
    options = config.get("SQLALCHEMY_ENGINE_OPTIONS") or {}
    is_pooled = not {"pool", "poolclass", "pool_timeout"} & options.keys()
    if is_pooled and str(config.get("SQLALCHEMY_DATABASE_URI")).startswith("postgresql"):
        options = {**options, "pool_timeout": SECONDS_TO_CONNECT}
        config["SQLALCHEMY_ENGINE_OPTIONS"] = options


def bound(engine: Engine) -> None:
    """Let new connections of an engine keep to the limit; what the operator has set is left."""
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
        # The server gives up first, so that no statement outlives whoever waits for it. Of two
        # values the later counts.
        limits = f"-c lock_timeout={limit.seconds * 600:.0f}"
        limits += f" -c statement_timeout={limit.seconds * 900:.0f}"
        more["options"] = f"{limits} {more.get('options', '')}".rstrip()
    is_newer = dialect.driver == "psycopg"
    return (_impatient() if is_newer else dialect).connect(*arguments, **more)


@cache
def _impatient() -> Any:
    """Return psycopg's class of connections, waiting no longer than the limit says."""
    import psycopg  # noqa: PLC0415 (only who has PostgreSQL needs it)

    class Impatient(psycopg.Connection[Any]):
        """A connection that is closed when a server, which may be frozen, says nothing."""

        @classmethod
        def connect(cls, *arguments: Any, **options: Any) -> Any:
            limit = _limit.get()
            if limit is not None and limit.has_hung:
                raise psycopg.OperationalError("the database did not answer")
            try:
                return super().connect(*arguments, **options)
            except psycopg.errors.ConnectionTimeout:
                if limit is not None:
                    limit.hangs()
                raise

        def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
            limit = _limit.get()
            if limit is not None:
                gen = _until(gen, limit, self._give_up)
            return super().wait(gen, *arguments, **options)

        def _give_up(self) -> NoReturn:
            self.pgconn.finish()
            raise psycopg.OperationalError("the database did not answer in time")

    return Impatient


def _until(gen: Any, limit: _Limit, give_up: Callable[[], NoReturn]) -> Generator[Any, Any, Any]:
    """Go through what psycopg waits for; it is told several times a second that there is nothing.

    Source: psycopg, ``psycopg.waiting``.
    """
    started = monotonic()
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and monotonic() - started > limit.seconds:
                limit.hangs()
                give_up()
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value
