"""Files of a machine become items: found, named, read; or refused with a sentence."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import dtoolcore.utils
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dserver_signed_url_plugin.deposits.local_files import UnusableFile, dataset_name, found


@pytest.fixture
def folder(tmp_path):
    """A directory with a directory in it."""
    place = tmp_path / "results"
    (place / "plots").mkdir(parents=True)
    (place / "b.csv").write_text("day,height\n")
    (place / "a.csv").write_text("")
    (place / "plots" / "ü.svg").write_text("<svg/>")
    return place


def relpaths(*paths):
    return [file.item.relpath for file in found(paths)]


def test_a_file_is_called_by_its_name(folder):
    [file] = found([folder / "plots" / "ü.svg"])
    assert (file.item.relpath, file.item.size_in_bytes, file.item.hash) == ("ü.svg", 6, None)
    assert file.item.identifier == dtoolcore.utils.generate_identifier("ü.svg")
    assert file.item.utc_timestamp == pytest.approx(os.stat(file.path).st_mtime)


@pytest.mark.parametrize("way", ["results", "results/", "results/.", "results/plots/.."])
def test_what_is_below_a_directory_starts_with_its_name(folder, monkeypatch, way):
    monkeypatch.chdir(folder.parent)
    assert relpaths(Path(way)) == ["results/a.csv", "results/b.csv", "results/plots/ü.svg"]


def test_the_directory_in_which_one_stands_has_a_name_too(folder, monkeypatch):
    monkeypatch.chdir(folder / "plots")
    assert relpaths(Path()) == ["plots/ü.svg"]


def test_the_same_name_twice_is_refused_with_both_paths(folder, tmp_path):
    other = tmp_path / "a.csv"
    other.touch()
    with pytest.raises(UnusableFile) as refused:
        found([folder / "a.csv", other])
    assert str(folder / "a.csv") in refused.value.message
    assert str(other) in refused.value.message
    with pytest.raises(UnusableFile, match="rename one"):
        found([folder, folder])


def test_a_directory_without_a_file_is_refused(folder):
    (folder / "empty" / "still").mkdir(parents=True)
    with pytest.raises(UnusableFile, match="holds no file"):
        found([folder / "empty"])
    assert "results/a.csv" in relpaths(folder)


def test_a_file_in_hundreds_of_directories_is_refused(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 300)
    deep.mkdir(parents=True)
    (deep / "file").write_text("1")
    with pytest.raises(UnusableFile, match="more than 256 directories"):
        found([tmp_path])


@pytest.mark.parametrize("kind", ["link to a file", "link to a directory", "broken link", "pipe"])
def test_links_and_special_files_are_refused(folder, kind):
    odd = folder / "odd"
    targets = {
        "link to a file": folder / "a.csv",
        "link to a directory": folder / "plots",
        "broken link": folder / "none",
    }
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to(targets[kind])
    for path in (odd, folder):
        with pytest.raises(UnusableFile, match="symbolic link or a special file") as refused:
            found([path])
        assert str(odd) in refused.value.message


def test_a_name_that_is_not_utf_8_is_refused_in_words_that_are(tmp_path):
    odd = os.fsencode(tmp_path) + b"/gr\xf6\xdfe.txt"
    with open(odd, "wb"):
        pass
    with pytest.raises(UnusableFile, match="not UTF-8") as refused:
        found([Path(os.fsdecode(odd))])
    assert refused.value.message.encode()


def test_what_cannot_be_read_is_named(folder):
    with pytest.raises(UnusableFile, match="none' cannot be read: No such file"):
        found([folder / "none"])
    [file] = found([folder / "a.csv"])
    file.path.unlink()
    with pytest.raises(UnusableFile, match=r"a\.csv' cannot be read: No such file"):
        file.read(lambda count: None)


def test_reading_tells_how_far_it_is_and_what_there_is_now(tmp_path):
    path, told = tmp_path / "large", []
    path.touch()
    [file] = found([path])
    content = os.urandom(1_000_000)
    path.write_bytes(content)
    read = file.read(told.append)
    assert (read.item.size_in_bytes, sum(told)) == (len(content), len(content))
    assert read.item.hash == hashlib.md5(content).hexdigest()
    assert len(told) > 2


# Swapped after it was found -----------------------------------------------------------------


def swapped(folder, kind, secret):
    """Put something else in the place of results/plots/ü.svg, or of the directory of that."""
    plots, moved = folder / "plots", folder.parent / "moved"
    if kind == "a directory for a link":
        plots.rename(moved)
        (secret.parent / "ü.svg").write_text("secret")
        plots.symlink_to(secret.parent, target_is_directory=True)
        return
    (plots / "ü.svg").rename(moved)
    if kind == "a pipe":
        os.mkfifo(plots / "ü.svg")
    elif kind == "a link":
        (plots / "ü.svg").symlink_to(secret)
    elif kind == "a hard link":
        os.link(secret, plots / "ü.svg")
    else:
        (plots / "ü.svg").mkdir()


@pytest.mark.parametrize(
    "kind", ["a link", "a hard link", "a pipe", "a directory", "a directory for a link"]
)
@pytest.mark.parametrize("way", ["read", "blocks"])
def test_what_takes_the_place_of_a_file_is_not_read(folder, tmp_path, kind, way):
    secret = tmp_path / "elsewhere" / "secret"
    secret.parent.mkdir()
    secret.write_text("secret")
    found_file = found([folder])[-1]
    swapped(folder, kind, secret)
    with pytest.raises(UnusableFile, match="is no longer") as refused:
        found_file.read(lambda count: None) if way == "read" else list(found_file.blocks(0, 100))
    assert str(found_file.path) in refused.value.message


def test_what_takes_the_place_of_the_only_file_is_not_read(folder, tmp_path):
    [file] = found([folder / "b.csv"])
    file.path.unlink()
    (tmp_path / "secret").write_text("secret")
    file.path.symlink_to(tmp_path / "secret")
    with pytest.raises(UnusableFile, match="is no longer"):
        file.read(lambda count: None)


@pytest.mark.parametrize("change", [b"longer than it was before", b""])
def test_a_file_that_is_written_to_while_it_is_read_is_refused(folder, change):
    [file] = found([folder / "b.csv"])
    with pytest.raises(UnusableFile, match="changed while it was read"):
        file.read(lambda count: file.path.write_bytes(change))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("temporary_file.txt", "temporary_file.txt"),
        ('Übersicht "final" 2;.txt', "Ubersicht-final-2-.txt"),
        ("...", "share"),
        ("測定", "share"),
        ("x" * 200, "x" * 80),
    ],
)
def test_a_dataset_is_named_after_what_is_shared(name, expected):
    assert dataset_name(Path("somewhere") / name) == expected


@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1))
def test_any_file_gives_a_name_that_dtool_takes(name):
    assert dtoolcore.utils.name_is_valid(dataset_name(Path("/somewhere") / name))
