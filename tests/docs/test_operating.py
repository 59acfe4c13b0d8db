"""Commands, rules and policies on the pages for operators work as shown."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup

from tests.docs.test_troubleshooting import squeezed
from tests.support.bucket_lifecycle import ABORTING, put
from tests.support.cors import allow_on_account, allow_on_bucket
from tests.support.doctor_reports import (
    FIT,
    ORIGIN,
    Guarded,
    ask,
    examined,
    forget_this_machine,
    settings_of,
)
from tests.support.documentation import PAGES, ROOT, code_blocks, flask_lines, text_of
from tests.support.dserver import in_capitals
from tests.support.in_process_flask import flask_shell
from tests.support.stub_store import Faults, StubStore
from tests.support.write_keys import key_of_new_user


@pytest.fixture
def alone(monkeypatch, tmp_path):
    forget_this_machine(monkeypatch, tmp_path)


# Commands ---------------------------------------------------------------------------------


def typed(app: Flask, line: str) -> str:
    """Run a line that calls `flask`, in this process; return its output."""
    command = FlaskGroup(create_app=lambda: app, add_default_commands=False)
    result = CliRunner().invoke(command, shlex.split(line, comments=True)[1:])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_pages_for_s3_ask_the_doctor(make_dserver, bucket):
    pages = ("browsers", "ceph", "security", "troubleshooting")
    lines = {line for page in pages for line in flask_lines(f"docs/{page}.rst")}
    app = make_dserver(**in_capitals(Guarded.of(bucket).more)).app
    assert len(lines) == 2
    for line in lines:
        output = typed(app, line.replace("s3://lab", bucket.base_uri))
        assert "Fit for uploading: yes" in output


def test_the_page_for_azure_adds_an_account_and_asks_the_doctor(make_dserver, account):
    app = make_dserver(**in_capitals(account.settings())).app
    added, asked = (
        line.replace("myaccount", account.name) for line in flask_lines("docs/azure.rst")
    )
    typed(app, added)
    assert "Fit for uploading: yes" in typed(app, asked)


def test_the_lifecycle_commands_set_show_sweep_and_remove_a_rule(dserver):
    lines = flask_lines("docs/lifecycle.rst")
    output = [
        typed(dserver.app, re.sub("s3://(tempstore|lab)", dserver.base_uri, line)) for line in lines
    ]
    assert "dserver-signed-url-expire" in output[0]
    assert "no dataset is registered there" in output[-1]


def test_the_cron_line_reads_its_settings_from_the_file(dserver, tmp_path, tmp_path_factory):
    [line] = code_blocks("text", "docs/cleanup.rst")
    _, user, command = re.fullmatch(r"((?:\S+ ){5}) *(\S+)  (.+)\n*", line).groups()
    assert user == "dserver"
    settings, programs = tmp_path / "dserver.env", tmp_path_factory.mktemp("bin")
    # cron itself does not find `flask`.
    settings.write_text(f"PATH={programs}:/usr/bin:/bin\n")
    command = command.replace("/etc/dserver/dserver.env", str(settings))
    command = command.replace("s3://tempstore", dserver.base_uri)
    with flask_shell(dserver.app, programs) as shell:
        # cron gives a command little more than this.
        output = shell(f"env -i PATH=/usr/bin:/bin sh -c {shlex.quote(command)}")
    assert "0 shares without dataset or owner ended, 0 deleted." in output
    assert "no dataset is registered there" in output


def test_no_unit_of_systemd_has_a_command_that_runs_only_if_another_succeeds():
    blocks = [block for page in PAGES for block in code_blocks("ini", page)]
    commands = [block.count("ExecStart=") for block in blocks]
    assert max(commands) == 1
    assert sum(commands) >= 3


def test_the_page_about_tracing_starts_gunicorn_with_the_instrumentation(tmp_path):
    gunicorn = tmp_path / "gunicorn"
    gunicorn.write_text('#!/bin/sh\necho "$PYTHONPATH $*"\n')
    gunicorn.chmod(0o755)
    install, in_image, _ = code_blocks("bash", "docs/tracing.rst")
    lines = [install.splitlines()[-1], in_image.replace("/opt/dserver", str(ROOT))]
    programs = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    metrics = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "FLASK_APP": "dservercore:create_app()"}
    for line in lines:
        started = subprocess.run(
            ["bash", "-c", line],
            env={"PATH": programs, **metrics},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert "auto_instrumentation" in started
        assert "gunicorn.conf.py" in started
        assert started.endswith("dservercore:create_app()\n")


# CORS -------------------------------------------------------------------------------------


def test_the_cors_rule_of_a_bucket_lets_web_pages_read_and_upload(alone, bucket, s3):
    guarded = Guarded.of(bucket)
    allow_on_bucket(s3, bucket.name)
    output = squeezed(ask(guarded.base_uri, settings_of(guarded), "--origin", ORIGIN).stdout)
    shown = text_of("docs/browsers.rst").partition("\n::\n\n")[2].partition("\n\n")[0]
    assert squeezed(shown) in output


def test_the_cors_rule_of_a_bucket_lets_web_pages_send_pinned_items(alone, bucket, s3):
    allow_on_bucket(s3, bucket.name)
    report = examined(bucket, "--origin", ORIGIN)
    assert {report[name]["status"] for name in ("cors-get", "cors-put")} == {"ok"}


def test_the_cors_rule_of_an_account_lets_web_pages_read_and_upload(alone, account, blobs):
    allow_on_account(blobs)
    report = examined(account, "--origin", ORIGIN)
    assert (report.code, report.failed) == (FIT, set())


# Keys -------------------------------------------------------------------------------------


def test_a_key_with_the_policy_of_the_security_page_is_enough(alone, bucket, s3):
    [policy] = code_blocks("json", "docs/security.rst")
    policy = policy.replace("arn:aws:s3:::lab", f"arn:aws:s3:::{bucket.name}")
    identifier, secret = key_of_new_user(bucket, f"server-{bucket.name}", policy)
    server = replace(Guarded.of(bucket), access_key=identifier, secret_key=secret)
    put(s3, bucket, ABORTING)
    report = examined(server)
    assert (report.code, report.failed, report.warned) == (FIT, set(), set())
    assert report["lifecycle"]["status"] == report["versioning"]["status"] == "ok"


def test_the_doctor_prints_the_commands_of_the_page_for_ceph_and_minio(alone, bucket):
    fixes = "\n".join(examined(bucket).cures.values())
    owner = re.search(r"--uid=(\S+)", fixes)[1]
    fixes = fixes.replace(owner, "lab").replace(bucket.endpoint, "https://s3.example.org")
    fixes = fixes.replace(bucket.name, "lab")
    _, *commands, minio = code_blocks("text", "docs/ceph.rst")
    lines = [line for block in (*commands, minio) for line in block.split("\n") if line]
    assert [line for line in lines if line not in fixes] == []


def test_the_page_of_the_doctor_shows_real_findings(alone):
    [block] = code_blocks("text", "docs/doctor.rst")
    with StubStore(Faults(believes_any_pin=True)) as stub:
        output = squeezed(ask(stub.base_uri, settings_of(stub)).stdout)
    assert squeezed(block) in output
