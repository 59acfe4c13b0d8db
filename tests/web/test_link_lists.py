"""Lists behind a link: the commands that its page shows download all files, and compare them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.downloads.local_paths import local_path
from dserver_signed_url_plugin.web.download_commands import commands
from tests.support import programs
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.http_server import serving
from tests.support.links import Visitor, shared
from tests.support.stored_upload import AWKWARD

FILES = {
    **{relpath: f"content of {relpath}".encode() for relpath in AWKWARD},
    "plain.txt": b"plain",
    "a/b/c.bin": bytes(range(256)) * 400,
    "empty": b"",
}
HERE = "my-dataset"


@pytest.fixture(scope="module")
def uri(lab: Dserver) -> str:
    one = Deposit(FILES, name=HERE)
    assert DtoolDserver().upload(lab.alice, lab.base_uri, one).status_code == 200
    return f"{lab.base_uri}/{one.uuid}"


@pytest.fixture(scope="module")
def address(lab: Dserver) -> Iterator[str]:
    with serving(lab.app) as running:
        yield running


def typed(visitor: Visitor, address: str, program: str, directory: Path) -> None:
    """Type what the page shows for a program; expect it to succeed."""
    programs.program({"aria2": "aria2c"}.get(program, program))
    [command] = [
        each for each in commands(f"{address}{visitor.path}", HERE) if each.program == program
    ]
    done = programs.run(["sh", "-c", command.text], directory)
    assert done.returncode == 0, (done.stdout, done.stderr)


def files_below(directory: Path) -> dict[str, bytes]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("program", ["curl", "aria2"])
def test_the_command_downloads_every_file_under_its_path(lab, uri, address, tmp_path, program):
    visitor = shared(lab, uri)
    typed(visitor, address, program, tmp_path)
    expected = {local_path(relpath): content for relpath, content in FILES.items()}
    assert files_below(tmp_path / HERE) == expected
    assert [path.name for path in tmp_path.iterdir()] == [HERE]
    typed(visitor, address, "md5sum", tmp_path / HERE)
    assert visitor.facts().downloads == len(FILES)


@pytest.mark.parametrize("program", ["curl", "aria2"])
def test_nothing_is_saved_elsewhere_if_the_folder_cannot_be_made(
    lab, uri, address, tmp_path, program
):
    visitor = shared(lab, uri)
    (tmp_path / HERE).write_bytes(b"a file of that name")
    with pytest.raises(AssertionError):
        typed(visitor, address, program, tmp_path)
    assert files_below(tmp_path) == {HERE: b"a file of that name"}


def test_wget_downloads_every_file_under_its_name(lab, uri, address, tmp_path):
    visitor = shared(lab, uri)
    urls = visitor.open(query_string={"format": "urls"}, base_url=address).text
    (tmp_path / "urls").write_text(urls)
    options = ["--content-disposition", "--directory-prefix=saved", "--input-file=urls"]
    assert programs.run(["wget", *options], tmp_path).returncode == 0
    found = files_below(tmp_path / "saved")
    assert sorted(found.values()) == sorted(FILES.values())
    assert found["c.bin"] == FILES["a/b/c.bin"]


def test_md5sum_finds_a_file_that_differs(lab, uri, address, tmp_path):
    visitor = shared(lab, uri, ["plain.txt"])
    (tmp_path / "plain.txt").write_bytes(b"other")
    with pytest.raises(AssertionError, match="FAILED"):
        typed(visitor, address, "md5sum", tmp_path)


def test_a_list_has_the_items_of_the_share_alone(lab, uri):
    visitor = shared(lab, uri, ["plain.txt", "empty"])
    lines = visitor.open(query_string={"format": "urls"}).text.splitlines()
    wanted = sorted(map(generate_identifier, ["plain.txt", "empty"]))
    assert lines == [f"http://localhost{visitor.path}/{identifier}" for identifier in wanted]
    assert "a/b/c.bin" not in visitor.open(query_string={"format": "md5sum"}).text


def test_a_list_holds_no_signed_url(lab, uri):
    visitor = shared(lab, uri)
    for list_format in ("curl", "aria2", "md5sum", "urls"):
        text = visitor.open(query_string={"format": list_format}).text
        assert "X-Amz" not in text
        assert len(text) > 100
    assert visitor.facts().downloads == 0


def test_curl_goes_on_after_a_pause_when_it_was_too_quick(make_dserver, tmp_path):
    dserver = make_dserver(SIGNED_URL_RATE_LIMIT="4 per second")
    one = Deposit({f"{number}.txt": b"%d" % number for number in range(5)}, name=HERE)
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, one).status_code == 200
    visitor = shared(dserver, f"{dserver.base_uri}/{one.uuid}")
    with serving(dserver.app) as address:
        typed(visitor, address, "curl", tmp_path)
    assert files_below(tmp_path / HERE) == one.files
