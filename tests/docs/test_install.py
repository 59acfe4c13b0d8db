"""What the pages for operators show works as pasted: settings, commands, units and cron lines."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documentation import PAGES, code_blocks, flask_lines, run
from tests.support.write_keys import write_key

INSTALL = "docs/install.rst"
ETC, PROGRAMS = "/etc/dserver", "/opt/dserver/bin"
DEMO = "dserver_signed_url_plugin.demo.app:create_app_from_environment"


@pytest.fixture
def etc(tmp_path, jwt_settings, bucket) -> Path:
    """The directory of the page's two files, with the test's bucket, database and dserver."""
    [dtool] = code_blocks("json", INSTALL)
    values = {**bucket.settings(), **write_key(bucket)}
    named = json.loads(dtool.replace("my-bucket", bucket.name))
    assert named.keys() <= values.keys()
    (tmp_path / "dtool.json").write_text(json.dumps(values))

    database = f"sqlite:///{tmp_path / 'dserver.sqlite'}"
    settings = {**jwt_settings, "SQLALCHEMY_DATABASE_URI": database}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    env, *_ = code_blocks("ini", INSTALL, "Keep the settings in one file")
    env = env.replace(ETC, str(tmp_path)).replace(PROGRAMS, str(Path(sys.executable).parent))
    env = env.replace("FLASK_APP=dservercore\n", f"FLASK_APP={DEMO}\n")
    env += f"DSERVER_DEMO_SETTINGS={tmp_path / 'settings.json'}\n"
    (tmp_path / "dserver.env").write_text(env)
    return tmp_path


def test_the_commands_install_examine_and_clean_up(etc, bucket, tmp_path):
    text = "".join(code_blocks("bash", INSTALL)).replace("my-bucket", bucket.name)
    lines = text.replace(ETC, str(etc)).split("\n")
    # What `pip install` brings is tested with the wheel.
    lines = [line for line in lines if not line.startswith("pip ")]
    # Whoever runs `flask db migrate` has run this once.
    lines.insert(lines.index("flask db upgrade") - 1, "flask db init")
    lines += flask_lines("docs/cleanup.rst") + flask_lines("docs/audit.rst")
    output = run(lines, tmp_path, **{f"SIGNED_URL_WRITES_{bucket.name}": "staged"})
    assert "Fit for uploading: yes" in output
    assert "No pending uploads found." in output

    # cron has a short PATH and no settings.
    [crontab] = code_blocks("text", INSTALL)
    schedule, user, command = re.fullmatch(r"((?:[\d*]+ +){5})(\w+) +(.*)\n", crontab).groups()
    assert (schedule.split(), user) == (["0", "2", "*", "*", "*"], "dserver")
    done = subprocess.run(
        ["/bin/sh", "-c", command.replace(ETC, str(etc))],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to clean up" in done.stdout


def test_the_units_are_valid(tmp_path):
    service, timer = code_blocks("ini", INSTALL, "Clean up every night")
    service = service.replace(PROGRAMS, str(Path(sys.executable).parent))
    for name, text in {"dserver-cleanup.service": service, "dserver-cleanup.timer": timer}.items():
        configparser.ConfigParser(interpolation=None).read_string(text)
        (tmp_path / name).write_text(text.replace("User=dserver\n", ""))
    if shutil.which("systemd-analyze"):
        names = ["./dserver-cleanup.service", "./dserver-cleanup.timer"]
        verify = ["systemd-analyze", "verify", *names]
        done = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_unit_and_cron_run_the_same_command():
    service, _ = code_blocks("ini", INSTALL, "Clean up every night")
    [crontab] = code_blocks("text", INSTALL)
    [started] = re.findall(rf"ExecStart={PROGRAMS}/(.*)\n", service)
    assert crontab.endswith(f"{started}\n")


def test_every_cron_line_reads_the_settings_and_every_exported_name_is_one():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    cron = re.findall(r"(?m)^    [\d*]+ [\d*]+ [\d*]+ [\d*]+ [\d*]+ +(.*)$", text)
    # The scripts of Compose read .env by themselves.
    at_the_shell = [line for line in cron if "/docker/" not in line]
    assert at_the_shell
    assert [line for line in at_the_shell if f". {ETC}/dserver.env; " not in line] == []
    exported = re.findall(r"(?m)^    (?:export )?((?:DTOOL|SIGNED_URL)_[^=\n]*)=", text)
    assert exported
    assert [name for name in exported if not re.fullmatch(r"\w+", name)] == []


def test_an_upgrade_repeats_commands_of_the_installation():
    assert set(flask_lines("docs/upgrade.rst")) < set(flask_lines(INSTALL))


def test_the_curl_line_shows_the_version(address, tmp_path):
    [line] = [line for line in code_blocks("bash", "docs/upgrade.rst") if line.startswith("curl")]
    assert "dserver_signed_url_plugin" in run([line], tmp_path, DSERVER=address)
