"""What the README, and docs/, tell people to type is typed here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import requests
from werkzeug.serving import make_server

from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Account, Bucket, in_capitals
from tests.support.write_keys import write_key

pytestmark = pytest.mark.database("sqlite", reason="what people type depends on no database")

# The demo's index keeps datasets in a table of its own, for which there is no migration.
ALL_TABLES = """python -c '
from dserver_signed_url_plugin.demo.app import create_app_from_environment
from dservercore import sql_db
with create_app_from_environment().app_context():
    sql_db.create_all()
'"""
SHARING, OVER_HTTP = "Share a result for a while", "Share over HTTP"
ROOT = Path(__file__).parents[2]
READ = "".join(
    path.read_text(encoding="utf-8")
    for path in [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]
)


def blocks(language: str, section: str) -> list[str]:
    """Return the code of one language below one heading."""
    body = re.split(r"\n[^\n]+\n-{4,}\n", READ)
    titles = re.findall(r"\n([^\n]+)\n-{4,}\n", READ)
    text = body[1:][titles.index(section)]
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", text)
    return [textwrap.dedent(block) for block in found]


@pytest.fixture
def address(dserver) -> Iterator[str]:
    """The dserver of the test, behind a real port."""
    server = make_server("127.0.0.1", 0, dserver.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def for_bucket(code: str, dserver) -> str:
    """Put the bucket of the test in the place of the demo's."""
    return code.replace("dtool-demo", dserver.bucket.name)


def typed(lines: list[str], directory: Path, **environ: str) -> str:
    """Type lines into a shell; return what they say."""
    done = subprocess.run(
        ["bash", "-c", "\n".join(["set -e", *lines])],
        cwd=directory,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curl_lines_deposit_and_read_a_dataset(dserver, address, tmp_path):
    lines = [*blocks("bash", "Deposit a dataset"), *blocks("bash", "Read a dataset")]
    lines = [for_bucket(line, dserver) for line in lines]
    said = typed(lines, tmp_path, DSERVER=address, TOKEN=dserver.tokens["alice"])
    assert '"registered"' in said
    assert said.endswith("---\ndescription: Mine\n")
    assert (tmp_path / "saved" / "file1.txt").read_text() == "content1"


def test_the_curl_lines_look_at_an_upload_and_give_it_up(dserver, address, tmp_path):
    deposit = Deposit()
    DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    lines = [
        for_bucket(line, dserver) for line in blocks("bash", "Look at an upload, or give it up")
    ]
    token = dserver.tokens["alice"]
    said = typed(lines, tmp_path, DSERVER=address, TOKEN=token, UUID=deposit.uuid)
    assert '"missing":3' in said.replace(" ", "")
    assert '"cancelled"' in said


def test_the_python_lines_deposit_and_read_a_dataset(dserver, address, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "heights.csv").write_text("day,height\n1,3\n")
    names = {
        "dserver": address,
        "token": dserver.tokens["alice"],
        "base_uri": dserver.base_uri,
        "folder": folder,
    }
    exec("\n".join(blocks("python", "Deposit a dataset")), names)  # noqa: S102  # the point
    assert names["done"].json()["status"] == "registered"

    (tmp_path / "downloads").mkdir()
    monkeypatch.chdir(tmp_path / "downloads")
    names["uri"] = names["grant"]["uri"]
    exec("\n".join(blocks("python", "Read a dataset")), names)  # noqa: S102  # the point
    [downloaded] = (tmp_path / "downloads").iterdir()
    assert downloaded.read_text() == "day,height\n1,3\n"


def test_the_curl_line_asks_who_got_what(dserver, address, tmp_path):
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, Deposit()).status_code == 200
    blocks_of_audit = blocks("bash", "Who got what: the audit trail")
    [line] = [for_bucket(block, dserver) for block in blocks_of_audit if block.startswith("curl")]
    said = typed([line], tmp_path, DSERVER=address, TOKEN=dserver.tokens["alice"])
    assert '"upload-complete"' in said


@pytest.fixture
def flask_on(tmp_path, jwt_settings) -> Callable[[Bucket | Account], dict[str, str]]:
    """Make the environment in which `flask` finds a dserver without tables."""

    def environment(place: Bucket | Account) -> dict[str, str]:
        settings = tmp_path / "settings.json"
        database = f"sqlite:///{tmp_path / 'dserver.sqlite'}"
        config = {**jwt_settings, **in_capitals(place.settings())}
        settings.write_text(json.dumps({**config, "SQLALCHEMY_DATABASE_URI": database}))
        return {
            "FLASK_APP": "dserver_signed_url_plugin.demo.app:create_app_from_environment",
            "DSERVER_DEMO_SETTINGS": str(settings),
        }

    return environment


@pytest.fixture
def flask(flask_on, bucket) -> dict[str, str]:
    """The environment in which `flask` finds a dserver without tables, on a bucket."""
    return flask_on(bucket)


def flask_lines(section: str) -> list[str]:
    lines = [line for block in blocks("bash", section) for line in block.split("\n")]
    return [line for line in lines if line.startswith("flask ")]


def test_the_flask_lines_make_the_table_and_clean_up(tmp_path, flask):
    *own, packaged = flask_lines("Install it beside dserver")
    audit = flask_lines("Who got what") + flask_lines("Who got what: the audit trail")
    install = ["flask db init", *own, packaged, "flask db check"]
    lines = [*install, *flask_lines("Clean up"), *audit]
    said = typed(lines, tmp_path, **flask)
    assert "No pending uploads found." in said
    assert "nothing to clean up" in said
    [migration] = (tmp_path / "migrations" / "versions").glob("*.py")
    assert "'pending_upload'" in migration.read_text()


def test_the_first_flask_line_asks_the_doctor_about_a_bucket(tmp_path, flask, bucket):
    line, _ = flask_lines("Would it work? Ask the doctor")
    # This store obeys headers that are not signed, as Ceph and MinIO do.
    writes = {**write_key(bucket), f"SIGNED_URL_WRITES_{bucket.name}": "staged"}
    said = typed([line.replace("my-bucket", bucket.name)], tmp_path, **flask, **writes)
    assert "Fit for uploading: yes" in said


def test_the_second_flask_line_asks_the_doctor_about_an_account(
    tmp_path, flask_on, account, azure_store
):
    azure_store.allow_browsers(account.name)
    _, line = flask_lines("Would it work? Ask the doctor")
    said = typed([line.replace("myaccount", account.name)], tmp_path, **flask_on(account))
    assert "Fit for uploading: yes" in said


def test_every_curl_line_says_why_it_fails():
    assert {options[:3] for options in re.findall(r"(?m)^ {4}.*\bcurl -(\w+)", READ)} == {"sSf"}


def sample(bucket) -> str:
    """Return what the README says that sharing a file says, as a file name pattern."""
    text = READ.partition(f"\n{SHARING}\n")[2].partition("\n::\n\n")[2].partition("\n\n")[0]
    text = textwrap.dedent(text).replace("https://s3.example.org", bucket.endpoint)
    text = text.replace("tempstore", bucket.name).replace("2026-11-20 08:22:31", "…")
    return text.replace("550e8400", "…").replace("…", "*")


def test_the_lines_share_files_and_let_them_disappear(tmp_path, flask, bucket):
    (tmp_path / "temporary_file.txt").write_text("for ten minutes")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "heights.csv").write_text("day,height\n1,3\n")
    lines = [block.replace("tempstore", bucket.name) for block in blocks("bash", SHARING)]
    said = typed(["exec 2>&1", ALL_TABLES, *lines], tmp_path, **flask)
    assert fnmatchcase(said, f"*</LifecycleConfiguration>\n{sample(bucket)}\n*")
    assert "<Days>1</Days>" in said
    assert (tmp_path / "heights.csv").read_text() == "day,height\n1,3\n"


def test_the_curl_lines_share_a_file(dserver, address, tmp_path):
    (tmp_path / "temporary_file.txt").write_text("for ten minutes")
    [lines] = [
        block.replace("tempstore", dserver.bucket.name) for block in blocks("bash", OVER_HTTP)
    ]
    said = typed([lines], tmp_path, DSERVER=address, TOKEN=dserver.tokens["alice"])
    *_, url = said.splitlines()
    answer = requests.get(url, timeout=30)
    assert answer.text == "for ten minutes"
    assert 'filename="temporary_file.txt"' in answer.headers["Content-Disposition"]
