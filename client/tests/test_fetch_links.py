"""Nothing is written through symbolic links that others may have left in a shared directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dserver_client.errors import FilesExist, LocalFileError
from dserver_client.file_lock import FileLock
from dtoolcore.utils import generate_identifier

from client.tests.support.proxied_lab import MIDDLE, ProxiedLab, contents


@pytest.fixture(scope="module")
def uri(shared_proxied_lab: ProxiedLab) -> str:
    return shared_proxied_lab.deposit(
        {"sub/a": b"1", "other/deep/b": b"2", "same/a": b"3", "middle": MIDDLE},
        annotations={"project": "cress"},
    )


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    return tmp_path / "outside"


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    (tmp_path / "dest").mkdir()
    return tmp_path / "dest"


def test_linked_directories_are_refused_before_anything_is_fetched(
    proxied: ProxiedLab, uri: str, dest: Path, outside: Path
) -> None:
    (dest / "sub").symlink_to(outside)
    (dest / "other").mkdir()
    (dest / "other" / "deep").symlink_to(outside / "missing")
    with pytest.raises(FilesExist, match="Nothing is fetched through") as refused:
        proxied.client.fetch(uri, dest)
    assert set(refused.value.items) == {"sub", "other/deep"}
    assert not proxied.item_requests()
    assert not contents(outside)
    assert not (dest / ".dserver-fetch").exists()


def test_links_inside_the_destination_may_stay(
    proxied: ProxiedLab, uri: str, dest: Path, tmp_path: Path
) -> None:
    (dest / "real").mkdir()
    (dest / "sub").symlink_to("real")
    (tmp_path / "link").symlink_to(dest)
    proxied.client.fetch(uri, tmp_path / "link")
    assert (dest / "real" / "a").read_bytes() == b"1"


def test_links_do_not_make_one_file_of_two(proxied: ProxiedLab, uri: str, dest: Path) -> None:
    (dest / "sub").mkdir()
    (dest / "same").symlink_to("sub")
    with pytest.raises(FilesExist) as refused:
        proxied.client.fetch(uri, dest)
    assert refused.value.items == {"same": "is the same directory as 'sub'"}


@pytest.mark.parametrize("depth", [1, 2])
def test_what_is_not_complete_is_not_kept_behind_a_link(
    proxied: ProxiedLab, uri: str, dest: Path, outside: Path, depth: int
) -> None:
    state = dest / ".dserver-fetch" / uri.rpartition("/")[2]
    link = state.parent if depth == 1 else state
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(LocalFileError, match="has to be a directory, and no link"):
        proxied.client.fetch(uri, dest)
    assert not contents(outside)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root gives files away")
def test_what_is_not_complete_is_not_kept_in_the_directory_of_another_person(
    proxied: ProxiedLab, uri: str, dest: Path
) -> None:
    (dest / ".dserver-fetch").mkdir()
    os.chown(dest / ".dserver-fetch", 12_345, -1)
    with pytest.raises(LocalFileError, match="belongs to another person"):
        proxied.client.fetch(uri, dest)


def test_links_in_place_of_files_are_replaced(
    proxied: ProxiedLab, uri: str, dest: Path, outside: Path
) -> None:
    victim = outside / "victim"
    victim.write_bytes(b"mine")
    state = dest / ".dserver-fetch" / uri.rpartition("/")[2]
    state.mkdir(parents=True)
    for name in ("sub/a", "middle"):
        for suffix in ("part", "arrived"):
            (state / f"{generate_identifier(name)}.{suffix}").symlink_to(victim)
    proxied.client.fetch(uri, dest)
    assert contents(outside) == {"victim": b"mine"}
    assert (dest / "middle").read_bytes() == MIDDLE
    assert (dest / "sub" / "a").read_bytes() == b"1"
    assert not any((dest / name).is_symlink() for name in ("sub/a", "middle"))


def test_a_dataset_is_not_written_through_links(
    proxied: ProxiedLab, uri: str, dest: Path, outside: Path
) -> None:
    (dest / ".dtool").symlink_to(outside)
    with pytest.raises(FilesExist) as refused:
        proxied.client.fetch(uri, dest, as_dataset=True)
    assert set(refused.value.items) == {".dtool"}
    (dest / ".dtool").unlink()
    (dest / ".dtool" / "annotations").mkdir(parents=True)
    (dest / ".dtool" / "manifest.json").symlink_to(outside / "manifest")
    (dest / ".dtool" / "annotations" / "project.json").symlink_to(outside / "project")
    proxied.client.fetch(uri, dest, as_dataset=True)
    assert not contents(outside)


def test_a_lock_is_not_taken_behind_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "missing" / "file")
    with pytest.raises(OSError, match="links are not followed"), FileLock(tmp_path / "lock"):
        pass
