"""Every command and program of the client's README works as shown."""

from __future__ import annotations

import shlex
from importlib import import_module

import pytest
from click.testing import CliRunner
from dserver_client.cli import main

from tests.support.documentation import code_blocks, text_of

README = "client/README.rst"
UUID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def shown(lab, dserver_url, tmp_path, monkeypatch):
    """Read a section's code, with the addresses of the test in place of the README's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "heights.csv").write_text("day,mm\n1,2\n")

    def read(section: str, language: str = "bash", uuid: str = UUID) -> list[str]:
        return [
            block.replace("https://dserver.example.org", dserver_url)
            .replace("dserver.example.org", dserver_url.removeprefix("http://"))
            .replace("s3://lab", lab.base_uri)
            .replace("/s3/lab", f"/s3/{lab.bucket.name}")
            .replace(UUID, uuid)
            for block in code_blocks(language, README, section)
        ]

    return read


def run(command, line: str, **options) -> str:
    _, *words = shlex.split(line)
    done = CliRunner().invoke(command, words, catch_exceptions=False, **options)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def uuid(shown, lab) -> str:
    """Log in and deposit as shown; return the UUID of the dataset."""
    login, put, *_ = shown("With the command")[0].splitlines()
    run(main, f"{login} --token-stdin", input=lab.tokens["alice"])
    return run(main, put).strip().rpartition("/")[2]


def test_the_commands_find_fetch_and_verify(shown, uuid, tmp_path):
    _, _, ls, *others = shown("With the command", uuid=uuid)[0].splitlines()
    assert uuid in run(main, ls)
    for line in others:
        run(main, line)
    assert (tmp_path / "fetched" / "heights.csv").read_text() == "day,mm\n1,2\n"


def test_a_link_is_created_and_fetched_without_a_login(shown, uuid, tmp_path):
    share, get = shown("With the command", uuid=uuid)[1].splitlines()
    link = run(main, share).splitlines()[0]
    run(main, "dserver logout")
    run(main, get.replace(get.split()[2], link))
    assert (tmp_path / "fetched" / "heights.csv").read_text() == "day,mm\n1,2\n"


# pkg_resources, and the syntax of azure-storage-blob 2.
@pytest.mark.filterwarnings("ignore")
def test_the_dtool_commands_list_copy_and_verify(shown, uuid, tmp_path):
    dtool = import_module("dtool_cli.cli").dtool
    lines = shown("With dtool", uuid=uuid)[0].splitlines()
    listing, *others = [line for line in lines if not line.startswith("pip ")]
    assert uuid in run(dtool, listing)
    for line in others:
        run(dtool, line)
    assert (tmp_path / "growth-of-cress" / "data" / "heights.csv").is_file()


def test_the_python_programs_deposit_fetch_and_open(shown, uuid, tmp_path, capsys):
    deposit, read = shown("In Python", "python", uuid)
    exec(deposit, {})  # noqa: S102  # the point
    exec(read, {})  # noqa: S102  # the point
    assert capsys.readouterr().out.splitlines() == ["b'day,mm\\n1,2\\n'"] * 2
    assert (tmp_path / "fetched" / "heights.csv").is_file()


def test_the_readme_fits_on_a_screen_or_two():
    assert len(text_of(README).splitlines()) <= 80
