"""What the pages of docs/ tell people to type works as shown."""

from __future__ import annotations

import re
import textwrap
from fnmatch import fnmatchcase

import requests

from tests.docs.test_readme import ALL_TABLES
from tests.support.clients import Deposit, DtoolDserver
from tests.support.documentation import PAGES, code_blocks, flask_lines, run, text_of
from tests.support.write_keys import write_key

GUIDE, SHARES = "docs/client-guide.rst", "docs/shares.rst"


def for_bucket(code: str, dserver) -> str:
    """Put the bucket of the test in the place of the demo's."""
    return code.replace("dtool-demo", dserver.bucket.name)


def test_the_curl_lines_deposit_and_read_a_dataset(dserver, address, tmp_path):
    lines = [
        *code_blocks("bash", GUIDE, "Deposit a dataset"),
        *code_blocks("bash", GUIDE, "Read a dataset"),
    ]
    lines = [for_bucket(line, dserver) for line in lines]
    said = run(lines, tmp_path, DSERVER=address, TOKEN=dserver.tokens["alice"])
    assert '"registered"' in said
    assert said.endswith("---\ndescription: Mine\n")
    assert (tmp_path / "saved" / "file1.txt").read_text() == "content1"


def test_the_curl_lines_look_at_an_upload_and_give_it_up(dserver, address, tmp_path):
    deposit = Deposit()
    DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    lines = [
        for_bucket(line, dserver)
        for line in code_blocks("bash", GUIDE, "Look at an upload, or give it up")
    ]
    token = dserver.tokens["alice"]
    said = run(lines, tmp_path, DSERVER=address, TOKEN=token, UUID=deposit.uuid)
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
    exec("\n".join(code_blocks("python", GUIDE, "Deposit a dataset")), names)  # noqa: S102  # the point
    assert names["done"].json()["status"] == "registered"

    (tmp_path / "downloads").mkdir()
    monkeypatch.chdir(tmp_path / "downloads")
    names["uri"] = names["grant"]["uri"]
    exec("\n".join(code_blocks("python", GUIDE, "Read a dataset")), names)  # noqa: S102  # the point
    [downloaded] = (tmp_path / "downloads").iterdir()
    assert downloaded.read_text() == "day,height\n1,3\n"


def test_the_curl_line_asks_who_got_what(dserver, address, tmp_path):
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, Deposit()).status_code == 200
    blocks = code_blocks("bash", "docs/audit.rst")
    [line] = [for_bucket(block, dserver) for block in blocks if block.startswith("curl")]
    said = run([line], tmp_path, DSERVER=address, TOKEN=dserver.tokens["alice"])
    assert '"upload-complete"' in said


def test_the_flask_lines_make_the_table_and_clean_up(tmp_path, flask):
    *own, packaged = flask_lines("docs/install.rst")
    install = ["flask db init", *own, packaged, "flask db check"]
    lines = [*install, *flask_lines("docs/cleanup.rst"), *flask_lines("docs/audit.rst")]
    said = run(lines, tmp_path, **flask)
    assert "No pending uploads found." in said
    assert "nothing to clean up" in said
    [migration] = (tmp_path / "migrations" / "versions").glob("*.py")
    assert "'pending_upload'" in migration.read_text()


def test_the_first_flask_line_asks_the_doctor_about_a_bucket(tmp_path, flask, bucket):
    line, _ = flask_lines("docs/doctor.rst")
    # This store obeys headers that are not signed, as Ceph and MinIO do.
    writes = {**write_key(bucket), f"SIGNED_URL_WRITES_{bucket.name}": "staged"}
    said = run([line.replace("my-bucket", bucket.name)], tmp_path, **flask, **writes)
    assert "Fit for uploading: yes" in said


def test_the_second_flask_line_asks_the_doctor_about_an_account(
    tmp_path, flask_on, account, azure_store
):
    azure_store.allow_browsers(account.name)
    _, line = flask_lines("docs/doctor.rst")
    said = run([line.replace("myaccount", account.name)], tmp_path, **flask_on(account))
    assert "Fit for uploading: yes" in said


def test_every_curl_line_says_why_it_fails():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {options[:3] for options in re.findall(r"(?m)^ {4}.*\bcurl -(\w+)", text)} == {"sSf"}


def sample(bucket) -> str:
    """Return what the page says that sharing a file says, as a file name pattern."""
    text = text_of(SHARES).partition("\n::\n\n")[2].partition("\n\n")[0]
    text = textwrap.dedent(text).replace("https://s3.example.org", bucket.endpoint)
    text = text.replace("tempstore", bucket.name).replace("2026-11-20 08:22:31", "…")
    return text.replace("550e8400", "…").replace("…", "*")


def test_the_lines_share_files_and_let_them_disappear(tmp_path, flask, bucket):
    (tmp_path / "temporary_file.txt").write_text("for ten minutes")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "heights.csv").write_text("day,height\n1,3\n")
    *blocks, _ = code_blocks("bash", SHARES)
    lines = [block.replace("tempstore", bucket.name) for block in blocks]
    said = run(["exec 2>&1", ALL_TABLES, *lines], tmp_path, **flask)
    assert fnmatchcase(said, f"*</LifecycleConfiguration>\n{sample(bucket)}\n*")
    assert "<Days>1</Days>" in said
    assert (tmp_path / "heights.csv").read_text() == "day,height\n1,3\n"


def test_the_curl_lines_share_a_file(dserver, address, tmp_path):
    (tmp_path / "temporary_file.txt").write_text("for ten minutes")
    blocks = code_blocks("bash", SHARES, "Share over HTTP")
    [lines] = [block.replace("tempstore", dserver.bucket.name) for block in blocks]
    said = run([lines], tmp_path, DSERVER=address, TOKEN=dserver.tokens["alice"])
    *_, url = said.splitlines()
    answer = requests.get(url, timeout=30)
    assert answer.text == "for ten minutes"
    assert 'filename="temporary_file.txt"' in answer.headers["Content-Disposition"]
