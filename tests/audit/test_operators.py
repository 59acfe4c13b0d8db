"""Who ran a command: the login of the session, or the account."""

from __future__ import annotations

import os
import pwd
import socket
from errno import ENXIO

import pytest

from dserver_signed_url_plugin.audit.operators import Operator

ACCOUNT = pwd.getpwuid(os.geteuid()).pw_name


def without_a_session() -> str:
    raise OSError(ENXIO, os.strerror(ENXIO))


@pytest.mark.parametrize(
    ("environ", "getlogin", "login"),
    [
        ({}, lambda: "alice", "alice"),
        # Whoever has a session cannot call themselves otherwise.
        (
            {"SUDO_USER": "mallory", "USER": "mallory", "LOGNAME": "mallory"},
            lambda: "alice",
            "alice",
        ),
        # Anybody can set it: it stands beside the account, not in its place.
        ({"SUDO_USER": "alice"}, without_a_session, f"{ACCOUNT} (sudo alice)"),
        ({"SUDO_USER": ""}, without_a_session, ACCOUNT),
        ({"USER": "mallory"}, without_a_session, ACCOUNT),
    ],
)
def test_an_operator_is_the_login_of_the_session_or_the_account_and_beside_it_who_used_sudo(
    environ, getlogin, login
):
    assert Operator.of_process(environ, getlogin) == Operator(login, socket.gethostname())
