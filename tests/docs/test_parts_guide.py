"""The commands of the client authors' guide send a file of any size, and go on after a failure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests

from tests.support.documentation import code_blocks, run
from tests.support.dserver import Dserver
from tests.support.parts import PART, SETTINGS

MAKE_UUID, SEND, COMPLETE = code_blocks(
    "bash", "docs/client-guide.rst", "Send large items in parts"
)
# Notes which parts are sent, and fails for those of $BROKEN.
CURL = """
curl() {
    case "$*" in *"partNumber=$BROKEN&"*) return 22 ;; *partNumber=*) echo "$*" >> sent.txt ;; esac
    command curl "$@"
}
"""


@pytest.fixture
def dserver(make_dserver) -> Dserver:
    return make_dserver(**SETTINGS)


@pytest.fixture
def names(dserver, address) -> dict[str, str]:
    return {"DSERVER": address, "TOKEN": dserver.tokens["alice"], "BROKEN": "none"}


def test_a_uuid_is_made(tmp_path):
    assert re.fullmatch("[0-9a-f-]{36}\n", run([MAKE_UUID, "echo $UUID"], tmp_path))


def test_the_curl_commands_send_a_large_file_in_parts_and_go_on(dserver, names, tmp_path):
    content = bytes(range(256)) * (2 * PART // 256) + b"the end\n"
    (tmp_path / "scan.tif").write_bytes(content)
    assert "BATCH=20\n" in SEND
    send = CURL + for_bucket(dserver, SEND).replace("BATCH=20\n", "BATCH=2\n")
    run([MAKE_UUID, "echo $UUID > uuid", "set +e", send], tmp_path, **{**names, "BROKEN": "2"})
    assert sent(tmp_path) == ["1", "3"]
    run(["UUID=$(cat uuid)", send], tmp_path, **names)
    assert sent(tmp_path) == ["1", "3", "2"]
    complete = for_bucket(dserver, COMPLETE)
    json, end, _ = SEND.partition("}\n")
    for _ in range(2):
        output = run([json + end, "UUID=$(cat uuid)", complete], tmp_path, **names)
        assert '"verified":"parts"' in output.replace(" ", "")
    assert stored(dserver, tmp_path) == content


def test_the_same_commands_send_a_small_file_whole(dserver, names, tmp_path):
    (tmp_path / "scan.tif").write_bytes(b"small\n")
    send, complete = for_bucket(dserver, SEND), for_bucket(dserver, COMPLETE)
    run([MAKE_UUID, "echo $UUID > uuid", send, complete], tmp_path, **names)
    assert stored(dserver, tmp_path) == b"small\n"


def for_bucket(dserver: Dserver, commands: str) -> str:
    commands = commands.replace("2Flab", f"2F{dserver.bucket.name}")
    return commands.replace("s3://lab", dserver.base_uri)


def sent(directory: Path) -> list[str]:
    """Return the numbers of the parts that were sent."""
    return re.findall(r"partNumber=(\d+)", (directory / "sent.txt").read_text())


def stored(dserver: Dserver, directory: Path) -> bytes:
    uuid = (directory / "uuid").read_text().strip()
    [url] = dserver.bob.read(f"{dserver.base_uri}/{uuid}").json["item_urls"].values()
    return requests.get(url, timeout=30).content
