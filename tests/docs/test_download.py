"""The page about downloads: its commands fetch and verify a dataset, and make a valid bag."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.clients import Deposit, DtoolDserver
from tests.support.documentation import code_blocks, run
from tests.support.dserver import encoded

PAGE = "docs/download.rst"
FILES = {"a/first file.csv": b"day,height\n", "100% größer.txt": b"1", "empty.txt": b""}


@pytest.fixture
def environ(dserver, address) -> dict[str, str]:
    deposit = Deposit(FILES)
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    dataset = encoded(f"{dserver.base_uri}/{deposit.uuid}")
    route = f"{address}/signed-urls/dataset/{dataset}"
    return {"TOKEN": dserver.tokens["bob"], "DATASET": route, "LC_ALL": "C.UTF-8"}


def files_below(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def test_the_commands_for_curl_download_and_compare_a_dataset(environ, tmp_path):
    output = run(["set -o pipefail", *code_blocks("bash", PAGE, "With curl")], tmp_path, **environ)
    assert output == ""
    assert files_below(tmp_path / "results") == FILES


def test_the_commands_for_aria2_download_a_dataset_and_can_be_repeated(environ, tmp_path):
    directory = Path(programs.program("aria2c")).parent
    lines = [f'PATH="{directory}:$PATH"; set -o pipefail', *code_blocks("bash", PAGE, "With aria2")]
    environ["LD_LIBRARY_PATH"] = ":".join(programs.libraries())
    for _ in range(2):
        run(lines, tmp_path, **environ)
        assert files_below(tmp_path / "results") == FILES


def test_the_commands_for_bagit_make_a_valid_bag(environ, tmp_path):
    blocks = code_blocks("bash", PAGE, "As a BagIt bag")
    run(["set -o pipefail", *blocks], tmp_path, **environ)
    bag = files_below(tmp_path / "bag")
    assert {path: content for path, content in bag.items() if path.startswith("data/")} == {
        f"data/{path}": content for path, content in FILES.items()
    }
    assert sorted(os.listdir(tmp_path / "bag")) == ["bagit.txt", "data", "manifest-md5.txt"]
