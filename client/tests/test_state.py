"""Journals of unfinished deposits: what they keep, and who may read them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from dserver_client import state
from dserver_client.errors import DepositRunning, LocalFileError
from dserver_client.local_files import LocalFile
from dserver_client.private_files import state_directory
from dserver_client.state import Journal

SERVER, BASE_URI = "https://dserver.example.org", "s3://lab"
SOURCES = ["/data/b", "/data/a"]


def journal(sources: list[str] = SOURCES, base_uri: str = BASE_URI) -> Journal:
    return Journal(SERVER, base_uri, sources)


def a_file(relpath: str = "x.txt", size: int = 5, mtime_ns: int = 10, inode: int = 7) -> LocalFile:
    return LocalFile(relpath, f"/data/a/{relpath}", size, mtime_ns, inode)


def test_a_deposit_is_found_again_by_its_sources_in_any_order() -> None:
    with journal() as opened:
        assert opened.earlier is None
        begun = opened.begin("mine", 3, 9)
    with journal(SOURCES[::-1]) as opened:
        assert opened.earlier == begun
    with journal(base_uri="s3://other") as opened:
        assert opened.earlier is None
    with journal(["/data/a"]) as opened:
        assert opened.earlier is None


def test_unfinished_deposits_are_listed() -> None:
    with journal() as opened:
        begun = opened.begin("mine", 3, 9)
        opened.keep(replace(begun, contents="0" * 64))
    with journal(["/data/c"]) as opened:
        opened.begin("other", 1, 5)

    first, second = state.unfinished()

    assert (first.name, first.items, first.size_in_bytes) == ("mine", 3, 9)
    assert first.uri == f"s3://lab/{begun.uuid}"
    assert list(first.sources) == sorted(SOURCES)
    assert second.name == "other"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits of resources")
def test_a_line_that_a_full_disk_cuts_off_is_an_error_and_harms_no_other() -> None:
    import resource  # noqa: PLC0415 - not on Windows

    with journal() as opened:
        opened.begin("mine", 3, 9)
        opened.keep_stored("first")
        (lines,) = (state_directory() / "deposits").glob("*.lines")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (lines.stat().st_size + 4, before[1]))
        try:
            with pytest.raises(LocalFileError, match="is the disk full"):
                opened.forget_stored()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        opened.keep_stored("second")
    with journal() as opened:
        opened.look_up([])
        assert opened.stored == {"first", "second"}


def test_what_is_removed_or_forgotten_is_not_listed() -> None:
    with journal() as opened:
        opened.begin("mine", 3, 9)
        opened.keep_hashes([a_file()])
        opened.remove()
    with journal(["/data/c"]) as opened:
        begun = opened.begin("other", 1, 5)
    state.forget("https://elsewhere.example.org", begun.uri)
    assert len(state.unfinished()) == 1
    state.forget(SERVER, begun.uri)

    assert state.unfinished() == []
    assert list((state_directory() / "deposits").iterdir()) == []


def test_what_was_hashed_is_known_unless_the_file_has_changed() -> None:
    hashed = a_file()
    hashed.md5, hashed.part_size, hashed.part_md5s = "0" * 32, 4, ["1" * 32, "2" * 32]
    with journal() as opened:
        opened.begin("mine", 3, 9)
        opened.keep_hashes([hashed])
    same, *others = a_file(), a_file(size=6), a_file(mtime_ns=11), a_file(inode=8), a_file("y.txt")
    with journal() as opened:
        for file in (same, *others):
            opened.look_up([file])

    assert same == hashed
    assert all(file.md5 is None for file in others)


def test_a_hash_that_was_wrong_counts_no_more() -> None:
    hashed, wrong, found = a_file(), a_file(), a_file()
    hashed.md5 = "0" * 32
    with journal() as opened:
        opened.keep_hashes([hashed])
        opened.keep_hashes([wrong])
        opened.look_up([found])

    assert found.md5 is None


def test_a_line_that_was_cut_off_counts_for_nothing() -> None:
    files = [a_file("x.txt"), a_file("y.txt")]
    for file in files:
        file.md5 = "0" * 32
    with journal() as opened:
        opened.begin("mine", 3, 9)
        opened.keep_hashes(files)
    [lines] = (state_directory() / "deposits").glob("*.lines")
    lines.write_bytes(lines.read_bytes()[:-20])
    found = [a_file("x.txt"), a_file("y.txt"), a_file("z.txt")]
    with journal() as opened:
        opened.keep_hashes([replace(files[0], relpath="z.txt")])
        opened.look_up(found)

    assert [file.md5 for file in found] == ["0" * 32, None, "0" * 32]


def test_what_was_stored_is_known_until_it_is_forgotten() -> None:
    with journal() as opened:
        opened.begin("mine", 3, 9)
        opened.keep_stored("a" * 40)
        opened.keep_stored("b" * 40)
    with journal() as opened:
        opened.look_up([])
        assert opened.stored == {"a" * 40, "b" * 40}
        opened.begin("again", 3, 9)
        opened.keep_stored("c" * 40)
    with journal() as opened:
        opened.look_up([])
        assert opened.stored == {"c" * 40}


def test_a_journal_that_nobody_can_read_is_begun_anew() -> None:
    with journal() as opened:
        opened.begin("mine", 3, 9)
    [path] = (state_directory() / "deposits").glob("*.json")
    for content in ("", "{", "[]", json.dumps({"uuid": 1})):
        path.write_text(content)
        with journal() as opened:
            assert opened.earlier is None
        assert state.unfinished() == []


def test_only_its_owner_can_read_a_journal() -> None:
    with journal() as opened:
        opened.begin("mine", 3, 9)
        opened.keep_hashes([a_file()])

    directory = state_directory() / "deposits"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_old_journals_are_removed() -> None:
    with journal() as opened:
        opened.begin("mine", 3, 9)
        opened.keep_hashes([a_file()])
    with journal(["/data/c"]) as opened:
        opened.begin("never-begun", 1, 5)
        opened.keep_hashes([a_file()])
        opened.withdraw()
    long_ago = time.time() - 100 * 24 * 3600
    for path in (state_directory() / "deposits").iterdir():
        os.utime(path, (long_ago, long_ago))

    assert state.unfinished() == []
    assert list((state_directory() / "deposits").iterdir()) == []


def test_one_command_at_a_time_has_a_journal() -> None:
    with journal(), pytest.raises(DepositRunning, match="Another command"):
        journal().__enter__()
    with journal():
        pass


def test_a_journal_is_free_when_its_process_was_killed(tmp_path: Path) -> None:
    program = (
        "from dserver_client.state import Journal\n"
        f"Journal({SERVER!r}, {BASE_URI!r}, {SOURCES!r}).__enter__().begin('mine', 3, 9)\n"
        "print(flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DepositRunning):
            journal().__enter__()
        process.kill()
    with journal() as opened:
        assert opened.earlier is not None
