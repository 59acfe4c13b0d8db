"""Every command of the README works as shown, and its answers look as shown."""

from __future__ import annotations

import re

import requests

from tests.support.documentation import ALL_TABLES, ROOT, code_blocks, run, text_of
from tests.support.write_keys import write_key

README = "README.rst"


def on_bucket(code: str, bucket) -> str:
    """Put the test's bucket in the place of the README's."""
    return code.replace("s3://lab", f"s3://{bucket.name}").replace("2Flab", f"2F{bucket.name}")


def test_the_operator_commands_install_examine_and_share(tmp_path, flask, bucket):
    (tmp_path / "heights.csv").write_text("day,height\n1,3\n")
    sections = ["Install it in your dserver", "Share a file for a day"]
    blocks = [block for section in sections for block in code_blocks("bash", README, section)]
    lines = [on_bucket(line, bucket) for line in "".join(blocks).split("\n")]
    # What `pip install` brings is tested with the wheel.
    lines = [line for line in lines if not line.startswith("pip ")]
    # The test's store obeys headers that are not signed, as Ceph and MinIO do.
    writes = {**write_key(bucket), f"SIGNED_URL_WRITES_{bucket.name}": "staged"}
    output = run([ALL_TABLES, *lines], tmp_path, **flask, **writes)
    assert "Fit for uploading: yes" in output
    [(relpath, url)] = [line.split("\t") for line in output.splitlines() if "\t" in line]
    assert relpath == "heights.csv"
    assert "X-Amz-Expires=86400" in url
    assert requests.get(url, timeout=30).text == "day,height\n1,3\n"


def test_the_readme_fits_on_a_few_screens():
    assert len(text_of(README).splitlines()) <= 150


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    named = set(re.findall(r"\bmake ([a-z-]+)", "".join(code_blocks("bash", README))))
    assert {"demo", "test"} <= named <= targets


def test_every_relative_link_of_the_readme_leads_to_a_file():
    links = re.findall(r"<([^>:]+\.rst)>`_", text_of(README))
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).is_file()] == []
