"""The page about verification: its commands find what it shows."""

from __future__ import annotations

import shlex
import textwrap

from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.cli.signed_url import signed_url
from dserver_signed_url_plugin.cli.verify import verify
from tests.support.clients import Deposit, DtoolDserver
from tests.support.compose_files import compose_file, made_env
from tests.support.documentation import code_blocks, flask_lines, text_of

PAGE = "docs/verify.rst"
FILES = {
    "heights.csv": b"day,height\n1,3\n",
    "notes.txt": b"watered.\n",
    "images/1.tif": b"II*\0",
}


def test_the_page_shows_real_output(dserver, s3, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    deposit = Deposit(FILES)
    DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)

    def place(relpath: str) -> dict[str, str]:
        key = f"{deposit.uuid}/data/{generate_identifier(relpath)}"
        return {"Bucket": dserver.bucket.name, "Key": key}

    s3.put_object(**place("heights.csv"), Body=b"day,height\n1,4\n")
    s3.delete_object(**place("notes.txt"))

    def for_dataset(text: str) -> str:
        text = text.replace("550e8400-e29b-41d4-a716-446655440000", deposit.uuid)
        return text.replace("my-bucket", dserver.bucket.name)

    shown = textwrap.dedent(text_of(PAGE).partition("\n::\n\n")[2].partition("\n\nItems are")[0])
    results = [
        dserver.app.test_cli_runner().invoke(signed_url, shlex.split(for_dataset(line))[2:])
        for line in flask_lines(PAGE)[:2]
    ]
    assert [result.exit_code for result in results] == [1, 0]
    assert results[0].stdout == for_dataset(shown) + "\n"
    assert "1 of 3 items: 1 equal." in results[1].stdout


def test_in_compose_it_runs_where_signed_urls_lead(tmp_path):
    _, block = code_blocks("bash", PAGE)
    compose, kubernetes = block.splitlines()
    assert compose in text_of("docs/stores.rst")
    service = "docker compose run --rm --entrypoint flask doctor "
    assert compose.startswith(f"{service}signed_url verify s3://")
    doctor = compose_file(made_env(tmp_path / ".env"))["services"]["doctor"]
    assert doctor["network_mode"] == "service:front"
    for line in (compose, kubernetes):
        verify.make_context("verify", shlex.split(line.partition(" verify ")[2]))
