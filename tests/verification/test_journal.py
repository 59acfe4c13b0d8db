"""The file with which an interrupted verification goes on."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.uris import DatasetURI
from dserver_signed_url_plugin.verification import journal
from dserver_signed_url_plugin.verification.journal import JournalNotWritable, JournalUnusable

URI = DatasetURI.parse("s3://lab/550e8400-e29b-41d4-a716-446655440000")
ANOTHER = DatasetURI.parse("s3://lab/7c9e6679-7425-40de-944b-e07fc1f90ae7")
ENTRIES = {"a": Item("a", "a.txt", 1, "0" * 32), "b": Item("b", "b.txt", 2, "1" * 32)}


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "cache" / "journal"


def opened(path, uri=URI, entries=ENTRIES, match=None, *, restart=False):
    return journal.opened(path, uri, entries, match, restart=restart)


def test_a_journal_holds_what_was_added_until_it_is_removed(path):
    with opened(path) as begun:
        assert begun.equal == set()
        begun.add("a")
    with opened(path) as resumed:
        assert resumed.equal == {"a"}
        assert resumed.began_at == begun.began_at
        resumed.add("b")
        resumed.remove()
    assert not path.exists()


def test_a_line_that_a_killed_run_left_unfinished_is_dropped(path):
    with opened(path) as begun:
        begun.add("a")
    with path.open("a") as file:
        file.write('"b')
    with opened(path) as resumed:
        assert resumed.equal == {"a"}
        resumed.add("b")
    with opened(path) as again:
        assert again.equal == {"a", "b"}


@pytest.mark.parametrize(
    ("uri", "entries", "restart"),
    [
        (ANOTHER, ENTRIES, False),
        (URI, {**ENTRIES, "b": Item("b", "b.txt", 2, "2" * 32)}, False),
        (URI, ENTRIES, True),
    ],
    ids=["another dataset", "another manifest", "restart"],
)
def test_what_is_about_something_else_is_dropped(path, uri, entries, restart):
    with opened(path) as begun:
        begun.add("a")
    with opened(path, uri, entries, restart=restart) as other:
        assert other.equal == set()
    assert len(path.read_text().splitlines()) == 1


def test_what_a_run_of_other_items_has_left_is_dropped_and_that_of_a_run_of_all_used(path):
    with opened(path, match="a*") as begun:
        begun.add("a")
    with opened(path, match="a*") as same:
        assert (same.equal, same.match) == ({"a"}, "a*")
    with opened(path) as of_all:
        assert of_all.equal == set()
        of_all.add("b")
    with opened(path, match="b*") as part:
        assert (part.equal, part.match) == ({"b"}, None)


def test_what_was_read_more_than_a_week_ago_is_read_again(path):
    with opened(path) as begun:
        begun.add("a")
    header, *lines = path.read_text().splitlines()
    then = datetime.now(timezone.utc) - timedelta(days=8)
    old = {**json.loads(header), "began_at": then.timestamp()}
    path.write_text("\n".join([json.dumps(old), *lines, ""]))
    with opened(path) as other:
        assert other.equal == set()


@pytest.mark.parametrize(
    "content", ["hello", "hello\n", "{}\n", "[1]\n", '{"uri": 1}\n', "\n", "\0", "\udcff\n"]
)
def test_another_file_is_not_overwritten(path, content):
    path.parent.mkdir()
    path.write_bytes(content.encode(errors="surrogateescape"))
    for restart in (False, True):
        with pytest.raises(JournalUnusable, match="something else"), opened(path, restart=restart):
            pass
    assert path.read_bytes() == content.encode(errors="surrogateescape")


def test_two_runs_do_not_share_a_journal(path):
    with opened(path), pytest.raises(JournalUnusable, match="another run"), opened(path):
        pass


@pytest.mark.parametrize("place", ["file/journal", "/dev/null"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(JournalNotWritable, match=place), opened(tmp_path / place):
        pass


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Let files have no more than a number of bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("restart", [False, True])
def test_a_journal_that_a_full_disk_does_not_take_leaves_nothing_that_another_run_refuses(
    path, restart, full_disk
):
    full_disk(10)
    with (
        pytest.raises(JournalNotWritable, match="File too large"),
        opened(path, restart=restart),
    ):
        pass
    full_disk(300)
    with opened(path) as begun:
        begun.add("a")


def test_a_disk_that_becomes_full_ends_with_a_sentence(path, full_disk):
    def run() -> None:
        with opened(path) as begun:
            for number in range(20):
                begun.add(f"{number:040x}")

    full_disk(300)
    with pytest.raises(JournalUnusable, match="File too large"):
        run()


def test_each_dataset_has_a_journal_of_its_own_in_the_cache_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = journal.default_path(URI), journal.default_path(ANOTHER)
    assert one != other
    assert one.is_relative_to(tmp_path)
