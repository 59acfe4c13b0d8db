"""The script of docs/audit.rst sends every decision to a SIEM, whatever it answers."""

from __future__ import annotations

import json
import shlex

import pytest
from werkzeug import Request, Response

from tests.support.audit_records import write
from tests.support.documentation import code_blocks
from tests.support.http_server import serving
from tests.support.in_process_flask import flask_shell


class SIEM:
    """A WSGI app that keeps the lines that it accepts."""

    def __init__(self) -> None:
        self.status, self.cursors = 200, []

    def __call__(self, environ, start_response):
        request = Request(environ)
        if self.status == 200:
            lines = request.get_data().splitlines()
            self.cursors += [int(json.loads(line)["cursor"].partition("-")[0]) for line in lines]
        return Response(status=self.status)(environ, start_response)


@pytest.fixture
def siem():
    return SIEM()


@pytest.fixture
def send(dserver, siem, tmp_path):
    """Run the script, with batches of at most four decisions."""
    programs, state = tmp_path / "bin", tmp_path / "siem"
    programs.mkdir()
    state.mkdir()
    [script] = code_blocks("sh", "docs/audit.rst")
    assert script.count("10000") == 1
    path = tmp_path / "audit-to-siem"
    script = script.replace("/var/lib/dserver/siem", shlex.quote(str(state)))
    path.write_text(script.replace("10000", "4"))
    with flask_shell(dserver.app, programs) as shell, serving(siem) as address:

        def run(expected: str = "") -> None:
            shell(f"SIEM_URL={address} sh {shlex.quote(str(path))} {expected}")

        yield run


def test_the_script_sends_each_decision_once_unless_it_is_refused(dserver, siem, send):
    send()
    assert siem.cursors == []
    write(dserver, 3, days_ago=1)
    siem.status = 503
    send("|| test $? = 22  # curl's code for a refusal")
    siem.status = 200
    for number in (3, 5):
        send()
        send()
        assert siem.cursors == list(range(1, number + 1))
        write(dserver, 2, days_ago=1)


@pytest.mark.parametrize("number", [8, 9])
def test_the_script_catches_up_however_many_decisions_wait(dserver, siem, send, number):
    write(dserver, number, days_ago=1)
    send()
    assert siem.cursors == list(range(1, number + 1))
