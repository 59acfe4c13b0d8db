"""A verification whose process was killed goes on with what was left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from dserver_signed_url_plugin.cli.signed_url import signed_url
from dserver_signed_url_plugin.demo.app import SETTINGS_VARIABLE
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import in_capitals
from tests.support.proxy import Request

FACTORY = "dserver_signed_url_plugin.demo.app:create_app_from_environment"


def noted(state: Path) -> list[str]:
    return state.read_text().splitlines()[1:] if state.exists() else []


def test_a_killed_run_goes_on_with_what_it_had_not_noted(
    make_dserver, proxy, jwt_settings, tmp_path
):
    dserver, state = make_dserver(**proxy.public_settings()), tmp_path / "state"
    deposit = Deposit({f"{number}.txt": b"%d" % number for number in range(12)})
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    config = {**in_capitals(dserver.bucket.settings()), **proxy.public_settings(), **jwt_settings}
    config["SQLALCHEMY_DATABASE_URI"] = dserver.app.config["SQLALCHEMY_DATABASE_URI"]
    (tmp_path / "settings.json").write_text(json.dumps(config))
    environ = {"FLASK_APP": FACTORY, SETTINGS_VARIABLE: str(tmp_path / "settings.json")}
    command = [sys.executable, "-m", "flask", "signed_url", "verify", uri, "--state", str(state)]
    proxy.forget()
    is_killed = threading.Event()

    with subprocess.Popen(command, env={**os.environ, **environ}) as process:

        def kill(request: Request) -> None:
            """Let eight items pass, and kill the process when it has noted one of them."""
            while request.number > 8 and not is_killed.wait(0.01):
                if noted(state):
                    process.kill()
                    is_killed.set()

        proxy.before = kill
        assert process.wait(60) == -9
    proxy.heal()
    equal = len(noted(state))
    assert 0 < equal < 12

    arguments = ["verify", uri, "--state", str(state), "--json"]
    result = dserver.app.test_cli_runner().invoke(signed_url, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["resumed"], found["counts"]["equal"]) == (equal, 12)
    assert not state.exists()
