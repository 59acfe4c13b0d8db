"""Commands and code on the other pages of docs/ work as shown."""

from __future__ import annotations

import ast
import re

from dserver_signed_url_plugin.storage.broker.entry_points import missing_methods
from tests.support.clients import Deposit, DtoolDserver
from tests.support.documentation import PAGES, code_blocks, flask_lines, run
from tests.support.write_keys import write_key


def test_the_curl_line_asks_who_got_what(dserver, address, tmp_path):
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, Deposit()).status_code == 200
    [line] = [block for block in code_blocks("bash", "docs/audit.rst") if block.startswith("curl")]
    line = line.replace("dtool-demo", dserver.bucket.name)
    output = run([line], tmp_path, DSERVER=address, TOKEN=dserver.tokens["alice"])
    assert '"upload-complete"' in output


def test_the_first_flask_line_asks_the_doctor_about_a_bucket(tmp_path, flask, bucket):
    line, _ = flask_lines("docs/doctor.rst")
    # This store obeys headers that are not signed, as Ceph and MinIO do.
    writes = {**write_key(bucket), f"SIGNED_URL_WRITES_{bucket.name}": "staged"}
    output = run([line.replace("my-bucket", bucket.name)], tmp_path, **flask, **writes)
    assert "Fit for uploading: yes" in output


def test_the_second_flask_line_asks_the_doctor_about_an_account(
    tmp_path, flask_on, account, azure_store
):
    azure_store.allow_browsers(account.name)
    _, line = flask_lines("docs/doctor.rst")
    output = run([line.replace("myaccount", account.name)], tmp_path, **flask_on(account))
    assert "Fit for uploading: yes" in output


def test_every_curl_command_stops_and_says_why_when_it_fails():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    commands = re.findall(r"(?m)^ {4}.*\bcurl -(\w+(?: --fail-with-body)?)", text)
    assert commands
    assert all(command.startswith(("sSf", "sS --fail-with-body")) for command in commands)


def test_the_broker_that_is_shown_has_the_methods_that_sign():
    [code] = code_blocks("python", "docs/brokers.rst")
    [broker] = ast.parse(code).body
    assert isinstance(broker, ast.ClassDef)
    methods = {node.name for node in broker.body if isinstance(node, ast.FunctionDef)}
    shown = type("MyStorageBroker", (), dict.fromkeys(methods))
    assert missing_methods(shown) == []
    assert "generate_signed_item_write_url" in methods
