"""The commands of the client authors' guide send a large item in parts, and resume."""

from __future__ import annotations

import pytest
import requests

from tests.support.documentation import code_blocks, run
from tests.support.dserver import Dserver
from tests.support.parts import CONTENT, SETTINGS, deposit


@pytest.fixture
def dserver(make_dserver) -> Dserver:
    return make_dserver(**SETTINGS)


def test_the_curl_commands_send_a_large_item_in_parts(dserver, address, tmp_path):
    (tmp_path / "scan.tif").write_bytes(CONTENT)
    [commands] = code_blocks("bash", "docs/client-guide.rst", "Send large items in parts")
    commands = commands.replace("2Flab", f"2F{dserver.bucket.name}")
    commands = commands.replace("s3://lab", dserver.base_uri)
    names = {"DSERVER": address, "TOKEN": dserver.tokens["alice"], "UUID": deposit().uuid}
    # Interrupted before it is completed, and run again.
    first, last, completion = commands.rpartition("json -d")
    assert run([first], tmp_path, **names) == ""
    output = run([first, "test ! -s to-send.txt", last + completion], tmp_path, **names)
    assert '"verified":"parts"' in output.replace(" ", "")
    [url] = dserver.bob.read(f"{dserver.base_uri}/{names['UUID']}").json["item_urls"].values()
    assert requests.get(url, timeout=30).content == CONTENT
