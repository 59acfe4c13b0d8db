"""dtool's commands, as released, in processes of their own."""

from __future__ import annotations

from pathlib import Path

import dtoolcore
import pytest

from client.tests.broker.dtool_commands import Dtool

CONTENT = {"a.txt": b"first", "dir/b.csv": b"1,2\n", "dir/empty": b""}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a frozen dataset on disk."""
    base = tmp_path_factory.mktemp("datasets")
    with dtoolcore.DataSetCreator("local", str(base), "project: test\n") as creator:
        for relpath, content in CONTENT.items():
            staged = creator.prepare_staging_abspath_promise(relpath)
            Path(staged).write_bytes(content)
        creator.put_tag("from-disk")
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
    dtool("readme", "write", uri, "-", stdin="project: test\n")
    assert dtool("status", uri) == "proto\n"
    assert f"*new\n  {uri}\n" in dtool("ls", base_uri)
    assert "Dataset frozen" in dtool("freeze", uri)
    assert dtool("overlays", "show", uri).splitlines()[1].endswith(",red,dir/file.txt")
    assert not list((dtool.home / ".local/state/dserver-client/proto-datasets").iterdir())


def test_a_copy_from_disk_verifies_and_comes_back(
    dtool: Dtool, local: str, uri: str, tmp_path: Path
) -> None:
    assert "All good" in dtool("verify", "-f", uri)
    copied = dtool("cp", "-q", uri, tmp_path).strip()
    dtool("diff", "-f", copied, uri)
    assert dtoolcore.DataSet.from_uri(copied).list_tags() == ["from-disk"]
    assert {
        relpath: (tmp_path / "local" / "data" / relpath).read_bytes() for relpath in CONTENT
    } == CONTENT


def test_what_dserver_cannot_do_is_shown_as_a_sentence(dtool: Dtool, uri: str) -> None:
    refused = dtool.run("tag", "set", uri, "late")
    assert refused.returncode == 1
    assert "cannot change tags" in refused.stderr
    assert f"{uri} is frozen and was not changed" in refused.stderr
    assert "Traceback" not in refused.stderr
