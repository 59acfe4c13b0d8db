from __future__ import annotations

from pathlib import Path

import dtoolcore
import pytest
from dserver_client.errors import (
    ClientError,
    FilesExist,
    Unavailable,
    UsageError,
    VerificationFailed,
)

from client.tests.support.proxied_lab import MIDDLE, ProxiedLab
from tests.support.clients import FILES
from tests.support.proxy import Instead, Request


def test_a_dataset_on_disk_is_one_that_dtool_verifies(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit(
        {**FILES, "middle": MIDDLE},
        tags=["a-tag"],
        annotations={"project": "cress"},
    )
    proxied.client.fetch(uri, tmp_path / "dataset", as_dataset=True)
    dataset = dtoolcore.DataSet.from_uri(str(tmp_path / "dataset"))
    assert dataset.name == "my-dataset"
    assert dataset.list_tags() == ["a-tag"]
    assert dataset.get_annotation("project") == "cress"
    assert "Größe" in dataset.get_readme_content()
    assert not (tmp_path / "dataset" / ".dserver-fetch").exists()
    # What `dtool verify -f` compares.
    assert dataset.generate_manifest()["items"] == dataset._manifest["items"]


def test_a_dataset_that_is_not_complete_is_a_proto_dataset(
    proxied: ProxiedLab, tmp_path: Path
) -> None:
    uri = proxied.deposit({"a": b"1", "b": b"2"})
    proxied.proxy.rewritten = lambda content: b"x" if content == b"1" else content
    with pytest.raises(VerificationFailed):
        proxied.client.fetch(uri, tmp_path / "new", as_dataset=True)
    dtoolcore.ProtoDataSet.from_uri(str(tmp_path / "new"))
    proxied.proxy.heal()
    assert proxied.client.fetch(uri, tmp_path / "new", as_dataset=True).already_there == 1
    dtoolcore.DataSet.from_uri(str(tmp_path / "new"))


def test_a_dataset_needs_a_directory_of_its_own(proxied: ProxiedLab, tmp_path: Path) -> None:
    one, other = proxied.deposit({"a": b"1"}), proxied.deposit({"b": b"1"})
    proxied.client.fetch(one, tmp_path / "one", as_dataset=True)
    with pytest.raises(FilesExist, match="another dataset"):
        proxied.client.fetch(other, tmp_path / "one", as_dataset=True)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_bytes(b"")
    with pytest.raises(FilesExist, match="something else"):
        proxied.client.fetch(other, tmp_path / "used", as_dataset=True)
    with pytest.raises(UsageError):
        proxied.client.fetch(one, tmp_path / "one", as_dataset=True, items=["a"])


@pytest.mark.parametrize("document", ["README.yml", "project.json", "dtool"])
def test_a_page_of_a_proxy_is_no_document(
    proxied: ProxiedLab, tmp_path: Path, document: str
) -> None:
    uri = proxied.deposit({"a": b"1"}, annotations={"project": "cress"})
    page = Instead(200, b"<html>Maintenance</html>", {"Content-Type": "text/html"})
    proxied.proxy.before = lambda request: page if path_of(request).endswith(document) else None
    with pytest.raises(Unavailable, match="answered 200 for the dataset's .* in the store's place"):
        proxied.client.fetch(uri, tmp_path / "new", as_dataset=True)
    assert not (tmp_path / "new").exists()


def path_of(request: Request) -> str:
    return request.target.partition("?")[0]


def test_an_annotation_is_json(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1"}, annotations={"project": "cress"})
    broken = Instead(200, b'{"cut', {"ETag": '"1"'})
    proxied.proxy.before = lambda request: (
        broken if path_of(request).endswith("project.json") else None
    )
    with pytest.raises(ClientError, match="annotation 'project' cannot be read: it is no JSON"):
        proxied.client.fetch(uri, tmp_path / "new", as_dataset=True)


def test_a_readme_is_kept_as_it_is(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1"})
    latin = Instead(200, b"size: Gr\xf6\xdfe\n", {"ETag": '"1"'})
    proxied.proxy.before = lambda request: (
        latin if path_of(request).endswith("README.yml") else None
    )
    proxied.client.fetch(uri, tmp_path / "new", as_dataset=True)
    assert (tmp_path / "new" / "README.yml").read_bytes() == latin.content


@pytest.mark.parametrize("directories", [[".dtool"], [".dtool/tags", "data"]])
def test_a_dataset_that_was_hardly_begun_is_continued(
    proxied: ProxiedLab, tmp_path: Path, directories: list[str]
) -> None:
    uri = proxied.deposit({"a": b"1"})
    new = tmp_path / "new"
    for directory in directories:
        (new / directory).mkdir(parents=True)
    # What a full disk or a power cut may leave.
    (new / ".dtool" / "dtool").write_bytes(b"")
    proxied.client.fetch(uri, new, as_dataset=True)
    assert dtoolcore.DataSet.from_uri(str(new)).identifiers


def test_a_dataset_that_cannot_be_read_is_not_replaced(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1"})
    new = tmp_path / "new"
    for directory in (".dtool", "data"):
        (new / directory).mkdir(parents=True)
    (new / ".dtool" / "dtool").write_bytes(b"")
    (new / "data" / "mine").write_bytes(b"mine")
    with pytest.raises(FilesExist, match="something else"):
        proxied.client.fetch(uri, new, as_dataset=True)
