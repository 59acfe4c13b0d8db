"""The programs of the client authors' guide deposit, read, resume and cancel as shown."""

from __future__ import annotations

import json

import requests

from tests.support.clients import Deposit, DtoolDserver
from tests.support.documentation import code_blocks, run

GUIDE = "docs/client-guide.rst"


def test_the_curl_commands_deposit_and_read_a_dataset(dserver, address, tmp_path):
    lines = code_blocks("bash", GUIDE, "With curl")
    name = dserver.bucket.name
    lines = [
        each.replace("s3://lab", f"s3://{name}").replace("2Flab", f"2F{name}") for each in lines
    ]
    output = run(lines, tmp_path, DSERVER=address, TOKEN=dserver.tokens["alice"])
    assert (tmp_path / "saved" / "heights.csv").read_text() == "day,height\n1,3\n"
    registered, urls = (json.loads(each) for each in code_blocks("json", GUIDE, "With curl"))
    completed, _ = json.JSONDecoder().raw_decode(output)
    assert completed.keys() == registered.keys()
    assert completed["status"] == registered["status"]
    read = json.loads((tmp_path / "urls.json").read_text())
    assert read.keys() == urls.keys()
    assert read["item_urls"].keys() == urls["item_urls"].keys()


def test_the_programs_deposit_and_read_a_dataset(dserver, address, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "heights.csv").write_text("day,height\n1,3\n")
    (folder / "empty.txt").touch()
    names = {
        "dserver": address,
        "token": dserver.tokens["alice"],
        "base_uri": dserver.base_uri,
        "folder": folder,
    }
    [deposit] = code_blocks("python", GUIDE, "Deposit a dataset")
    exec(deposit, names)  # noqa: S102  # the point
    assert names["done"].json()["status"] == "registered"

    (tmp_path / "downloads").mkdir()
    monkeypatch.chdir(tmp_path / "downloads")
    names["uri"] = names["grant"]["uri"]
    [read] = code_blocks("python", GUIDE, "Read a dataset")
    exec(read, names)  # noqa: S102  # the point
    texts = {path.read_text() for path in (tmp_path / "downloads").iterdir()}
    assert texts == {"day,height\n1,3\n", ""}


def test_the_function_finds_slug_and_wait_of_a_refusal(address):
    [function] = code_blocks("python", GUIDE, "Errors and retries")
    names = {}
    exec(function, names)  # noqa: S102  # the point
    refused = requests.get(f"{address}/signed-urls/dataset/s3%3A%2F%2Flab%2F1", timeout=30)
    assert names["refusal"](refused) == ("not-authenticated", None)


def test_the_curl_commands_look_at_an_upload_and_cancel_it(dserver, address, tmp_path):
    deposit = Deposit()
    DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    lines = code_blocks("bash", GUIDE, "Resume or cancel an upload")
    lines = [line.replace("2Flab", f"2F{dserver.bucket.name}") for line in lines]
    token = dserver.tokens["alice"]
    output = run(lines, tmp_path, DSERVER=address, TOKEN=token, UUID=deposit.uuid)
    assert '"missing":2' in output.replace(" ", "")
    assert '"cancelled"' in output
