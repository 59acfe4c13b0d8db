"""Finding out why something does not work."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner
from dserver_client.cli import main

from tests.support.http_server import serving


@pytest.fixture
def findings(document):
    """Ask the doctor; return messages by check and status."""

    def act(code: int = 0, **options):
        answer = document("doctor", code=code, **options)
        assert answer["healthy"] == (code == 0)
        return {(each["check"], each["status"]): each for each in answer["findings"]}

    return act


def test_where_all_is_well_everything_is_checked(run, findings, uri, lab):
    found = findings()
    assert {check for check, _ in found} == {
        "dtool",
        "server",
        "clock",
        "token",
        "permissions",
        f"store of {lab.base_uri}",
    }
    assert lab.base_uri in found["permissions", "ok"]["message"]
    assert "is read with a signed URL" in found[f"store of {lab.base_uri}", "ok"]["message"]
    shown = run("doctor").stdout
    assert f"ok       store of {lab.base_uri}: " in shown


@pytest.mark.parametrize(
    ("token", "message"),
    [("", "There is no token"), ("eyJ.nonsense.x", "token")],
)
def test_a_token_that_is_missing_or_refused_is_a_problem(findings, token, message):
    found = findings(code=1, person=None, env={"DSERVER_TOKEN": token})
    assert message in found["token", "problem"]["message"]
    assert "dserver login" in found["token", "problem"]["advice"]


def test_a_person_without_permissions_is_sent_to_an_administrator(findings):
    found = findings(code=1, person="dave")
    assert "administrator" in found["permissions", "problem"]["advice"]


def test_an_address_where_nobody_answers_is_a_problem(findings):
    found = findings(code=1, env={"DSERVER_URL": "http://127.0.0.1:9"})
    assert "cannot be reached" in found["server", "problem"]["message"]


def test_something_else_than_dserver_is_a_problem(findings):
    def page(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"<html>Welcome</html>"]

    with serving(page) as url:
        found = findings(code=1, env={"DSERVER_URL": url})
    assert "something else than dserver" in found["server", "problem"]["message"]


def test_a_clock_that_differs_is_a_warning(findings):
    class LateHandler(BaseHTTPRequestHandler):
        def date_time_string(self, timestamp=None):
            return super().date_time_string(time.time() + 3_600)

        def do_GET(self):
            self.send_response(401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"msg": "Missing Authorization Header"}')

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), LateHandler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        found = findings(code=1, env={"DSERVER_URL": f"http://127.0.0.1:{server.server_port}"})
        server.shutdown()
    assert "s behind that of dserver" in found["clock", "warning"]["message"]
    assert "NTP" in found["clock", "warning"]["advice"]


def test_a_server_without_the_plugin_cannot_sign(findings, lab):
    def without(environ, start_response):
        if environ["PATH_INFO"] == "/doc/openapi.json":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [b'{"openapi": "3.0.3", "paths": {"/me": {"get": {}}}}']
        return lab.app(environ, start_response)

    with serving(without) as url:
        found = findings(code=1, env={"DSERVER_URL": url})
    assert "dserver-signed-url-plugin" in found["signed URLs", "problem"]["advice"]


def test_certificates_that_are_not_checked_are_a_warning(findings, uri):
    found = findings(env={"DSERVER_VERIFY_SSL": "false"})
    assert "any certificate" in found["encryption", "warning"]["message"]


def test_without_a_login_the_doctor_says_what_is_missing():
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 1
    assert "dtool uses this client for dserver://" in done.stdout
    assert "problem  server: No dserver is known.\n" in done.stdout
