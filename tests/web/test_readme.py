"""What the README tells people to type is typed here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

README = (Path(__file__).parents[2] / "README.rst").read_text(encoding="utf-8")


def blocks(language: str, section: str) -> list[str]:
    """Return the code of one language below one heading."""
    body = re.split(r"\n[^\n]+\n-{4,}\n", README)
    titles = re.findall(r"\n([^\n]+)\n-{4,}\n", README)
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


def test_the_curl_lines_deposit_and_read_a_dataset(dserver, address, tmp_path):
    deposit = blocks("bash", "Deposit a dataset")
    read = blocks("bash", "Read a dataset")
    script = for_bucket("\n".join(["set -e", *deposit, *read]), dserver)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DSERVER": address,
            "TOKEN": dserver.tokens["alice"],
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert '"registered"' in done.stdout
    assert done.stdout.endswith("---\ndescription: Mine\n")


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


def test_the_flask_lines_make_the_table(tmp_path, jwt_settings):
    lines = [
        line for block in blocks("bash", "Install it beside dserver") for line in block.split("\n")
    ]
    commands = [
        "flask db init",
        *[line for line in lines if line.startswith("flask ")],
        "flask db check",
    ]
    settings = tmp_path / "settings.json"
    database = f"sqlite:///{tmp_path / 'dserver.sqlite'}"
    settings.write_text(json.dumps({**jwt_settings, "SQLALCHEMY_DATABASE_URI": database}))
    done = subprocess.run(
        ["bash", "-c", "\n".join(["set -e", *commands])],
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "FLASK_APP": "dserver_signed_url_plugin.demo.app:create_app_from_environment",
            "DSERVER_DEMO_SETTINGS": str(settings),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    [migration] = (tmp_path / "migrations" / "versions").glob("*.py")
    assert "'pending_upload'" in migration.read_text()
