"""Lists for other programs: curl, aria2c, md5sum and bagit read them, whatever items are called."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bagit
import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.downloads.lists import FORMATS, item_list
from dserver_signed_url_plugin.downloads.local_paths import directories_of, local_path
from dserver_signed_url_plugin.storage.values import Item, SignedItems
from tests.support import programs

RELPATHS = [
    *(
        "plain.txt",
        "year=2024/a.csv",
        "with blank.txt",
        " lead",
        "trail ",
        "a/b c/ d",
        "  out=evil",
    ),
    *("quo\"te's.txt", "back\\slash", "..\\..\\windows", "new\nline", "return\rx", "tab\there"),
    *("../up", "../../etc/passwd", "/absolute", "C:\\x", "c:/y", "a//b", "a/", "dir", "dir/inner"),
    *(
        "Größe/über.txt",
        "decomposed a\u0308",
        "日本",
        "\N{PILE OF POO}",
        "#hash",
        "#1",
        "100% sure",
    ),
    *(
        "100% sure",
        "%2E%2E/x",
        "%0A",
        "^2E./x",
        "^",
        "caret^",
        "10^3",
        ".",
        "..",
        "",
        "-",
        "-rf",
        "*",
    ),
    *(
        "~/home",
        "$HOME `id`",
        "{a,b}[1-3]",
        "nul\0",
        "\x7f",
        "line\u2028separator",
        "\ud800",
        "\u202ertl",
    ),
    *(
        "x" * 300 + ".tif",
        "é" * 200,
        "\u00a0nbsp\u00a0",
        '"',
        'url = "http://x/"',
        ".hidden",
        "CON",
    ),
]
CONTENTS = {relpath: f"content of {relpath!a}".encode() for relpath in RELPATHS}
CONTENTS["empty"] = b""
DIRECTORIES = directories_of(CONTENTS)
PATHS = {relpath: local_path(relpath, DIRECTORIES) for relpath in CONTENTS}


def item(relpath: str, **more: Any) -> Item:
    # Half of a surrogate pair has no identifier, but a manifest may hold it.
    identifier = generate_identifier(ascii(relpath))
    content = CONTENTS.get(relpath, b"")
    facts = {"size_in_bytes": len(content), "hash": hashlib.md5(content).hexdigest(), **more}
    return Item(identifier, relpath, **facts)


ITEMS = [item(relpath) for relpath in CONTENTS]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where every item is served under its number, as long as the query is intact."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet per answer

        def do_GET(self) -> None:
            number, _, query = self.path[1:].partition("?")
            content = list(CONTENTS.values())[int(number)] if query == QUERY else None
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


QUERY = "a=%20&b={1}[2]"


def listed(
    list_format: str,
    address: str = "http://127.0.0.1",
    items: Sequence[Item] | None = None,
    title: str = "s3://lab/1: a title",
) -> str:
    entries = {item.identifier: item for item in items or ITEMS}
    urls = {identifier: f"{address}/{n}?{QUERY}" for n, identifier in enumerate(entries)}
    signed = SignedItems(entries, lambda item: urls[item.identifier])
    return "".join(item_list(list_format, signed, title))


def files_below(directory: Path) -> Mapping[str, bytes]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


EXPECTED = {path: CONTENTS[relpath] for relpath, path in PATHS.items()}


def assert_downloaded(parent: Path) -> None:
    """Every item is there under its own path, and nothing is beside the directory."""
    assert os.listdir(parent) == ["here"]
    assert files_below(parent / "here") == EXPECTED


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def test_curl_downloads_every_item_below_the_directory(here, address):
    done = programs.run(["curl", "-sS", "-K", "-"], here, listed("curl", address))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert_downloaded(here.parent)


def test_curl_goes_on_after_an_item_that_is_refused(here, address):
    text = listed("curl", address, ITEMS[:3]).replace(f"/1?{QUERY}", "/1?expired")
    programs.run(["curl", "-sS", "-K", "-"], here, text)
    assert set(files_below(here)) == {ITEMS[0].relpath, ITEMS[2].relpath}


def test_aria2c_downloads_and_verifies_every_item_below_the_directory(here, address):
    command = ["aria2c", "--no-conf", "--console-log-level=warn", "-j8", "-i-"]
    done = programs.run(command, here, listed("aria2", address))
    assert done.returncode == 0, done.stdout
    assert_downloaded(here.parent)


def test_aria2c_refuses_bytes_that_differ_from_the_manifest(here, address):
    text = listed("aria2", address, [item("x", hash="0" * 32)])
    done = programs.run(["aria2c", "--no-conf", "-i-"], here, text)
    assert done.returncode != 0
    assert b"checksum" in done.stdout.lower()


def save(directory: Path) -> None:
    for path, content in EXPECTED.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)


def test_md5sum_compares_every_item(here):
    save(here)
    command = ["md5sum", "-c", "--strict", "--quiet", "-"]
    done = programs.run(command, here, listed("md5sum"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (here / PATHS["new\nline"]).write_bytes(b"changed")
    assert programs.run(command, here, listed("md5sum")).returncode == 1


def test_bagit_finds_a_complete_bag_and_every_path_of_fetch_txt_in_it(here):
    save(here / "data")
    (here / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    (here / "fetch.txt").write_text(listed("bagit"))
    manifest = [line for line in listed("md5sum").splitlines() if not line.startswith("#")]
    text = "".join(f"{line[:34]}data/{line[34:]}\n" for line in manifest)
    (here / "manifest-md5.txt").write_text(text)
    done = programs.run([*programs.bagit(), "--validate", str(here)], here)
    assert done.returncode == 0, done.stderr
    bag = bagit.Bag(str(here))
    # RFC 8493 has % encoded, which bagit-python does not decode.
    fetched = {path.replace("%25", "%") for path in bag.files_to_be_fetched()}
    assert fetched == set(bag.entries) == {f"data/{path}" for path in EXPECTED}
    sizes = {path.replace("%25", "%"): int(size) for _, size, path in bag.fetch_entries()}
    assert sizes == {f"data/{path}": len(content) for path, content in EXPECTED.items()}


@pytest.mark.parametrize("list_format", ["curl", "aria2", "md5sum"])
def test_a_list_begins_with_its_title_and_says_which_items_got_another_name(list_format):
    lines = listed(list_format).splitlines()
    assert lines[0] == "# s3://lab/1: a title"
    assert '# "new\\nline" is saved as new^0Aline' in lines
    renamed = [relpath for relpath, path in PATHS.items() if path != relpath]
    assert sum(" is saved as " in line for line in lines) == len(renamed)


@pytest.mark.parametrize("end", ["\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028"])
@pytest.mark.parametrize("list_format", ["curl", "aria2", "md5sum"])
def test_a_title_adds_no_line(list_format, end):
    hostile = f'x{end}url = "http://127.0.0.1/"{end}output = "../evil"{end}#'
    text = listed(list_format, title=hostile)
    assert text.splitlines()[0].startswith("# ")
    assert text.splitlines()[1:] == listed(list_format).splitlines()[1:]


def test_a_title_of_half_a_surrogate_pair_can_be_sent():
    assert listed("curl", title="\ud800").encode().startswith(b'# "\\ud800"\n')


@pytest.mark.parametrize(
    ("digest", "size"), [(None, None), ("0" * 40, None), ("x\n# y", 3), ("", 0)]
)
def test_an_item_whose_md5_is_not_known_is_listed_without_one(digest, size):
    odd = item("a", hash=digest, size_in_bytes=size)
    lists = {name: listed(name, "http://x", [odd]).splitlines() for name in FORMATS}
    assert lists["aria2"][1:] == [f"http://x/0?{QUERY}", "  out=a"]
    assert lists["md5sum"][1:] == ["# no MD5 is known of a"]
    assert lists["bagit"] == [f"http://x/0?{QUERY} {'-' if size is None else size} data/a"]


@pytest.mark.parametrize("list_format", ["curl", "aria2", "bagit"])
def test_a_url_that_a_broker_left_unencoded_breaks_no_line(list_format):
    text = listed(list_format, 'http://x/a b\n"\\é', ITEMS[:1])
    assert f"http://x/a%20b%0A%22%5C%C3%A9/0?{QUERY}" in text
    assert len(text.splitlines()) == len(listed(list_format, items=ITEMS[:1]).splitlines())
