"""The page about temporary shares: its commands share files that can be fetched as shown."""

from __future__ import annotations

import textwrap
from fnmatch import fnmatchcase

import requests

from tests.support.documentation import ALL_TABLES, code_blocks, run, text_of

PAGE, OVER_HTTP = "docs/shares.rst", "Share over HTTP"


def sample(bucket) -> str:
    """Return the output that the page shows, as a file name pattern."""
    text = text_of(PAGE).partition("\n::\n\n")[2].partition("\n\n")[0]
    text = textwrap.dedent(text).replace("https://s3.example.org", bucket.endpoint)
    text = text.replace("tempstore", bucket.name).replace("2026-11-20 08:22:31", "…")
    return text.replace("550e8400", "…").replace("…", "*")


def test_the_commands_share_files_for_a_while(tmp_path, flask, bucket):
    (tmp_path / "temporary_file.txt").write_text("for ten minutes")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "heights.csv").write_text("day,height\n1,3\n")
    *blocks, _ = code_blocks("bash", PAGE)
    lines = [block.replace("tempstore", bucket.name) for block in blocks]
    output = run(["exec 2>&1", ALL_TABLES, *lines], tmp_path, **flask)
    assert fnmatchcase(output, f"*\n{sample(bucket)}\n*</LifecycleConfiguration>\n")
    assert "<Days>1</Days>" in output
    assert (tmp_path / "heights.csv").read_text() == "day,height\n1,3\n"


def test_the_curl_commands_share_a_file(dserver, address, tmp_path):
    (tmp_path / "temporary_file.txt").write_text("for ten minutes")
    [block] = code_blocks("bash", PAGE, OVER_HTTP)
    block = block.replace("tempstore", dserver.bucket.name)
    output = run([block], tmp_path, DSERVER=address, TOKEN=dserver.tokens["alice"])
    answer = requests.get(output.splitlines()[-1], timeout=30)
    assert answer.text == "for ten minutes"
    assert 'filename="temporary_file.txt"' in answer.headers["Content-Disposition"]
