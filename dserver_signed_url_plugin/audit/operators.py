"""Who runs a command at dserver's shell: the login and host of the decisions that it records."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Operator:
    """A person or an account, and the name of the machine or container."""

    login: str
    host: str

    @classmethod
    def of_process(
        cls, environ: Mapping[str, str], getlogin: Callable[[], str] = os.getlogin
    ) -> Operator:
        """Return the operator of this process.

        The login is that of the session, also after `su` and `sudo`. Without a session, as in a
        container or a cron job, it is the account or its number, followed by SUDO_USER, which
        anybody can set.
        """
        try:
            login = getlogin()
        except OSError:
            user = environ.get("SUDO_USER")
            login = f"{_account()} (sudo {user})" if user else _account()
        return cls(login, socket.gethostname())


_current: ContextVar[Operator | None] = ContextVar("operator", default=None)


@contextmanager
def acting(operator: Operator) -> Iterator[None]:
    """Attribute the decisions that this thread records in the ``with`` block to an operator."""
    token = _current.set(operator)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Operator | None:
    """Return the operator who is acting; None in a request."""
    return _current.get()


def _account() -> str:
    # Not getpass.getuser(), which prefers variables that anybody can set.
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        # In a container, a user may have no name.
        return str(os.geteuid())
