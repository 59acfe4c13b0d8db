"""The Python examples of the spec, taken literally out of its text, against a real HTTP server.

Filled in are only the host, the token, the names of places, and what the text leaves open. The
document has lost its indentation, which is put back where Python needs it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import dtoolcore
import pytest

from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.http_server import serving

SPEC = Path(__file__).parents[0].joinpath("spec", "1-dserver-signed-url-plugin.txt").read_text()
# The second example begins on the line on which the first one ends.
BOTH = re.search(r"^import requests\n+# Authenticate.*?^print\(f.*?\"\)", SPEC, re.M | re.S)
SECOND = "import requests\nimport uuid\nimport json\nimport hashlib"

DOWNLOAD_INDENTED = ("f.write(item_response.content)",)
UPLOAD_INDENTED = (
    "identifier = hashlib.sha1(relpath.encode()).hexdigest()",
    'item_url = upload_info["upload_urls"]["items"][identifier]["url"]',
    "requests.put(item_url, data=content)",
)
FILES = {"data/file1.txt": b"content1", "data/file2.txt": b"content2"}
LAST_FILE = '("data/file2.txt", b"content2")'
REAL_ITEMS = {
    hashlib.sha1(relpath.encode()).hexdigest(): {
        "relpath": relpath,
        "size_in_bytes": len(content),
        "hash": hashlib.md5(content).hexdigest(),
        "utc_timestamp": 1_705_312_000.25,
    }
    for relpath, content in FILES.items()
}


def example(indented: tuple[str, ...], begins: int, ends: int | None = None) -> str:
    """One example, with these lines indented."""
    assert BOTH is not None
    code = BOTH.group()[begins:ends]
    for line in indented:
        assert len(re.findall(f"^{re.escape(line)}$", code, re.M)) == 1
        code = re.sub(
            f"^{re.escape(line)}$", lambda found: f"    {found.group()}", code, flags=re.M
        )
    return code


def border() -> int:
    assert BOTH is not None
    return BOTH.group().index(SECOND)


DOWNLOAD = example(DOWNLOAD_INDENTED, 0, border())
UPLOAD = example(UPLOAD_INDENTED, border())


def filled_in(code: str, **values: str) -> str:
    """Replace what the example leaves open; each must occur."""
    for old, new in values.items():
        open_place = PLACES[old]
        assert open_place in code, open_place
        code = code.replace(open_place, new)
    return code


PLACES = {
    "host": "http://dserver:5000",
    "token": "your-jwt-token",
    "uri": "s3://my-bucket/dataset-uuid",
    "base_uri": "s3://my-bucket",
    "more_files": ", ...]",
    "manifest": "{...}",
}


def run(code: str) -> dict[str, Any]:
    """Run an example; return its variables."""
    variables: dict[str, Any] = {}
    exec(compile(code, "the spec's example", "exec"), variables)  # noqa: S102  # our own document
    return variables


@pytest.fixture
def host(dserver: Dserver) -> Iterator[str]:
    with serving(dserver.app) as url:
        yield url


@pytest.fixture
def uploaded(
    dserver: Dserver, host: str, manifest: Any, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """The variables of the upload example, after it has run, and what it printed."""
    variables = run(
        filled_in(
            UPLOAD,
            host=host,
            token=dserver.tokens["alice"],
            base_uri=dserver.base_uri,
            more_files=f", {LAST_FILE}]",
            manifest=repr(manifest),
        )
    )
    return {**variables, "printed": capsys.readouterr().out}


@pytest.mark.parametrize("manifest", [REAL_ITEMS, {}], ids=["real manifest", "empty manifest"])
def test_the_upload_example_deposits_a_dataset(dserver, uploaded, dtool_reads):
    uri = f"{dserver.base_uri}/{uploaded['dataset_uuid']}"
    done = {
        "uri": uri,
        "status": "registered",
        "name": "my-new-dataset",
        "uuid": uploaded["dataset_uuid"],
    }
    assert uploaded["response"].json() == done
    printed = uploaded["printed"].removeprefix("Dataset registered: ")
    assert ast.literal_eval(printed) == done
    assert [entry["uri"] for entry in dserver.bob.post("/uris", {}).json] == [uri]

    dataset = dtoolcore.DataSet.from_uri(uri)
    assert dataset.get_readme_content() == uploaded["readme"]
    assert (dataset.name, dataset.uuid) == ("my-new-dataset", uploaded["dataset_uuid"])
    content = {
        dataset.item_properties(name)["relpath"]: Path(
            dataset.item_content_abspath(name)
        ).read_bytes()
        for name in dataset.identifiers
    }
    assert content == FILES
    found = dataset.generate_manifest()["items"]
    assert {name: entry["hash"] for name, entry in found.items()} == {
        name: entry["hash"] for name, entry in REAL_ITEMS.items()
    }


@pytest.mark.parametrize("manifest", [REAL_ITEMS, {}], ids=["real manifest", "empty manifest"])
def test_item_properties_come_from_a_manifest_that_agrees_else_from_storage(
    dserver, uploaded, manifest, dtool_reads
):
    dataset = dtoolcore.DataSet.from_uri(uploaded["upload_info"]["uri"])
    for identifier, expected in REAL_ITEMS.items():
        said = dict(dataset.item_properties(identifier))
        timestamp = said.pop("utc_timestamp")
        assert said == {name: said_of for name, said_of in expected.items() if name in said}
        assert (timestamp == expected["utc_timestamp"]) is bool(manifest)


def test_the_download_example_downloads_an_item(dserver, host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    deposit = Deposit(FILES)
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    variables = run(
        filled_in(
            DOWNLOAD,
            host=host,
            token=dserver.tokens["bob"],
            uri=f"{dserver.base_uri}/{deposit.uuid}",
        )
    )
    assert Path("downloaded_file").read_bytes() == deposit.content(variables["item_id"])


def shown(number: int) -> dict[str, Any]:
    """One of the four answers that the spec shows, in its order."""
    texts = SPEC.split("Response (200 OK):\n")[1:]
    assert len(texts) == 4
    answer: dict[str, Any] = json.JSONDecoder().raw_decode(texts[number])[0]
    return answer


def assert_same_shape(example: Any, answer: Any) -> None:
    """Expect every field that the spec shows, of the same type, at every depth."""
    assert type(answer) is type(example)
    if isinstance(example, dict):
        # Where keys are identifiers or names, the first of each stands for all.
        is_table = not example.keys() & answer.keys()
        pairs = (
            [(next(iter(example.values())), next(iter(answer.values())))]
            if is_table
            else [(example[name], answer[name]) for name in example]
        )
        for inner_example, inner in pairs:
            assert_same_shape(inner_example, inner)


def test_what_the_spec_shows_is_what_is_answered(dserver):
    more = {"tags": ["project-x", "2024"], "annotations": {"author": "Ada"}}
    overlay = {identifier: entry["size_in_bytes"] for identifier, entry in REAL_ITEMS.items()}
    deposit = Deposit(FILES, more={**more, "overlays": {"file_size": overlay}})
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    DtoolDserver().put(grant, deposit)
    done = dserver.alice.complete(grant["uri"]).json
    read = dserver.bob.read(grant["uri"]).json
    item = dserver.bob.read_item(grant["uri"], next(iter(REAL_ITEMS))).json

    for number, answer in enumerate((read, item, grant, done)):
        example = shown(number)
        # What is answered beyond the spec.
        assert answer.keys() - {"max_size_in_bytes", "upload_token"} == example.keys()
        assert_same_shape(example, answer)
    assert shown(2)["upload_urls"].keys() == grant["upload_urls"].keys()
    assert shown(3)["status"] == done["status"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", shown(0)["expiry_timestamp"])
    assert UUID(done["uuid"])
