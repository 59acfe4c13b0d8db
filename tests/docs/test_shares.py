"""The page about shares: its commands share files as shown, and the output is what they print."""

from __future__ import annotations

import re
import textwrap

import pytest
import requests

from tests.support.clients import Deposit, DtoolDserver
from tests.support.documentation import code_blocks, run, text_of
from tests.support.dserver import in_capitals
from tests.support.http_server import at_public_address
from tests.support.in_process_flask import flask_shell

PAGE, OVER_HTTP = "docs/shares.rst", "Share over HTTP"
RESULTS = {f"heights-{day}.csv": f"day,height\n{day},3\n" for day in range(1, 21)}
# A block of commands, and the output that follows it, if any does.
BLOCKS = re.compile(
    r"\.\. code-block:: bash\n\n((?:    .*\n|\n)+)(?:::\n\n((?:    .*\n|\n)+))?", re.MULTILINE
)
# What the page shows of one run is something else in another.
URI = "s3://tempstore/550e8400-e29b-41d4-a716-446655440000"
LINK = "https://dserver.example.org/signed-urls/s/k3q7fzn2x5mvw4ah6tyb2cjd7ersgpou"
SHARE = "3f2a9c0d1e4b5a67"
REGISTERED = "s3://lab/7d3c59f2-8f0e-4b0a-9c37-1f1f6a1d2b11"
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")


@pytest.fixture
def app(make_dserver, tempstore, monkeypatch, tmp_path):
    """A dserver behind a real port, at its public address; the working directory has files."""
    (tmp_path / "results").mkdir()
    for name, content in RESULTS.items():
        (tmp_path / "results" / name).write_text(content)
    (tmp_path / "temporary_file.txt").write_text("for ten minutes")
    monkeypatch.chdir(tmp_path)
    with at_public_address(make_dserver, **in_capitals(tempstore.settings())) as served:
        yield served


@pytest.fixture
def shell(app, tmp_path_factory):
    """Run a block of the page, whose `flask` works on the dserver; return what it prints."""
    dserver, _ = app
    with flask_shell(dserver.app, tmp_path_factory.mktemp("bin")) as run_lines:
        yield run_lines


class Page:
    """The blocks of the page, with what this run has in the place of what the page shows."""

    def __init__(self, tempstore, address, registered):
        before, _, _ = text_of(PAGE).partition(f"\n{OVER_HTTP}\n")
        self.blocks = BLOCKS.findall(before)
        self._known = {
            REGISTERED: registered,
            "https://dserver.example.org": address,
            "s3://tempstore": tempstore.base_uri,
        }

    def learn(self, output):
        """Take note of the first deposit, its link and its share."""
        [uri] = re.findall(r"Shared as (\S+)\.", output)
        [link] = re.findall(r"http\S+/signed-urls/s/\S+", output)
        [share] = re.findall(r"flask share revoke (\w+)", output)
        self._known = {URI: uri, LINK: link, SHARE: share} | self._known

    def of_this_run(self, text):
        for shown, real in self._known.items():
            text = text.replace(shown, real)
        return textwrap.dedent(text)

    def expected(self, text):
        """Return what matches the output that is shown."""
        escaped = re.escape(TIME.sub("TIME", self.of_this_run(text)).strip("\n"))
        return escaped.replace("TIME", TIME.pattern).replace("…", r"\S+")


def test_the_commands_share_files_and_print_what_is_shown(app, shell, tempstore, tmp_path):
    dserver, address = app
    registered = Deposit({"heights.csv": b"day,height\n1,3\n"}, name="growth")
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, registered).status_code == 200
    page, outputs = Page(tempstore, address, f"{dserver.base_uri}/{registered.uuid}"), []
    for number, (block, shown) in enumerate(page.blocks):
        outputs.append(shell(page.of_this_run(block)))
        if number == 0:
            page.learn(outputs[0])
        if shown:
            assert re.search(page.expected(shown) + r"\n\Z", outputs[-1]), outputs[-1]
    assert sum(bool(shown) for _, shown in page.blocks) == 5
    fetched = {path.name: path.read_text() for path in tmp_path.glob("heights-*.csv")}
    assert fetched == {"heights-1.csv": RESULTS["heights-1.csv"]}
    fetched = {path.name: path.read_text() for path in (tmp_path / "results").iterdir()}
    assert fetched == RESULTS
    assert "<Days>7</Days>" in outputs[-1]


def test_the_curl_commands_share_a_file(dserver, address, tmp_path):
    (tmp_path / "temporary_file.txt").write_text("for ten minutes")
    [block] = code_blocks("bash", PAGE, OVER_HTTP)
    block = block.replace("tempstore", dserver.bucket.name)
    output = run([block], tmp_path, DSERVER=address, TOKEN=dserver.tokens["alice"])
    [link] = re.findall(r'"link": *"([^"]+)"', output)
    seen = requests.get(link, headers={"Accept": "application/json"}, timeout=30).json()
    [item] = seen["items"].values()
    answer = requests.get(item["url"], timeout=30)
    assert answer.text == "for ten minutes"
    assert 'filename="temporary_file.txt"' in answer.headers["Content-Disposition"]
