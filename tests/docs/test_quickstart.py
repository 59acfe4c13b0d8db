"""The demo looks as the quickstart shows it, and the README's examples work on it as they are."""

from __future__ import annotations

import re
from html import unescape

import pytest

from dserver_signed_url_plugin.demo.walkthrough import Walkthrough
from tests.support.demo_command import Serve
from tests.support.documentation import code_blocks, run, text_of

PAGE = "docs/quickstart.rst"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    data = tmp_path_factory.mktemp("quickstart") / "demo-data"
    data.mkdir()
    with Serve(data, "--base-uri", "s3://lab") as running:
        yield running


def test_the_examples_of_the_readme_work_as_they_are(demo):
    start, become_alice = code_blocks("bash", PAGE, "Try it yourself")
    assert start == "make demo BASE_URI=s3://lab ARGS='--port 5000 --data-dir demo-data'\n"
    directory = demo.info_file.parents[1]
    become_alice = become_alice.replace("http://127.0.0.1:5000", demo.info["base_url"])
    blocks = code_blocks("bash", "README.rst", "Deposit and fetch datasets")
    # What pip installs is tested with the wheel of the client.
    lines = [line for line in "".join(blocks).splitlines() if not line.startswith("pip ")]
    output = run([become_alice, *lines], directory, HOME=str(directory))
    for place in ("fetched", "cress/data"):
        assert (directory / place / "heights.csv").read_text() == "day,height\n1,3\n"
    assert output.endswith("b'day,height\\n1,3\\n'\n")


def test_every_command_of_the_front_page_works(demo):
    page = demo.get("nobody", "/").text
    commands = [unescape(code) for code in re.findall(r"<pre>(.*?)</pre>", page, re.S)]
    assert len(commands) == 8
    directory = demo.info_file.parent
    output = run(commands, directory, HOME=str(directory))
    assert (directory / "cress" / "heights.csv").read_text().startswith("day,height_mm\n0,0\n")
    assert output.count(f"{demo.info['base_url']}/signed-urls/s/") >= 2


def test_the_demo_prints_what_is_shown(demo):
    lines: list[str] = []
    assert Walkthrough(demo.info).run(lines.append)
    titles = [re.match("✓ [^:]*", line).group() for line in lines]
    shown = re.findall(r"(?m)^    (✓ [^:]*):", text_of(PAGE))
    assert shown == titles[: len(shown)]
    assert len(shown) == 6
