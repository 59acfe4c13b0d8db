"""dtool's commands, as released, in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.tests.broker.dtool_commands import Dtool
from tests.support.dserver import Dserver

CONTENT = {"a.txt": b"first", "dir/b.csv": b"1,2\n", "dir/empty": b""}


@pytest.fixture(scope="module")
def local(dtool: Dtool, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URI of a frozen dataset on disk."""
    base = tmp_path_factory.mktemp("datasets")
    files = tmp_path_factory.mktemp("files")
    dtool("create", "-q", "local", base)
    for number, (relpath, content) in enumerate(CONTENT.items()):
        (files / str(number)).write_bytes(content)
        dtool("add", "item", files / str(number), base / "local", relpath)
    dtool("tag", "set", base / "local", "from-disk")
    dtool("freeze", base / "local")
    return str(base / "local")


@pytest.fixture(scope="module")
def uri(dtool: Dtool, local: str, base_uri: str) -> str:
    """Return the URI of its copy at dserver."""
    return dtool("cp", "-q", local, base_uri).strip()


def test_a_dataset_is_created_and_waits_until_it_is_frozen(
    dtool: Dtool, base_uri: str, tmp_path: Path
) -> None:
    uri = dtool("create", "-q", "new", base_uri).strip()
    file = tmp_path / "file.txt"
    file.write_bytes(b"hello")
    dtool("add", "item", file, uri, "dir/file.txt")
    file.unlink()
    dtool("add", "metadata", uri, "dir/file.txt", "colour", "red")
    dtool("tag", "set", uri, "first")
    dtool("annotation", "set", "-t", "int", uri, "answer", "42")
    dtool("readme", "write", uri, "-", stdin="project: test\n")
    dtool("name", uri, "renamed")
    assert dtool("status", uri) == "proto\n"
    assert f"*renamed\n  {uri}\n" in dtool("ls", base_uri)
    assert "Dataset frozen" in dtool("freeze", uri)
    assert dtool("status", uri) == "frozen\n"
    assert dtool("overlays", "show", uri).splitlines()[1].endswith(",red,dir/file.txt")
    assert dtool("annotation", "get", uri, "answer") == "42\n"
    assert not list((dtool.home / ".local/state/dserver-client/proto-datasets").iterdir())


def test_a_copy_from_disk_verifies_and_comes_back(
    dtool: Dtool, local: str, uri: str, tmp_path: Path
) -> None:
    assert "All good" in dtool("verify", "-f", uri)
    dtool("diff", "-f", uri, local)
    copied = dtool("cp", "-q", uri, tmp_path).strip()
    assert "All good" in dtool("verify", "-f", copied)
    assert dtool("tag", "ls", copied) == "from-disk\n"
    assert {
        relpath: (tmp_path / "local" / "data" / relpath).read_bytes() for relpath in CONTENT
    } == CONTENT


def test_what_dserver_refuses_is_shown_as_its_sentence(
    dtool: Dtool, uri: str, base_uri: str, lab: Dserver
) -> None:
    refused = dtool.run("tag", "set", uri, "late")
    assert refused.returncode == 1
    assert "cannot change tags" in refused.stderr
    assert f"{uri} is frozen and was not changed" in refused.stderr
    assert "Traceback" not in refused.stderr
