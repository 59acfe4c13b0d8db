"""docs/http-api.rst documents every route, parameter and field, and shows real exchanges."""

from __future__ import annotations

import json
import re
import textwrap
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from werkzeug.test import TestResponse

from tests.support.dserver import Dserver, Person
from tests.support.links import shared

PAGE = (Path(__file__).parents[2] / "docs" / "http-api.rst").read_text(encoding="utf-8")
_, *PARTS = re.split(r"(?m)^(.+)\n-{4,}\n", PAGE)
SECTIONS = dict(zip(PARTS[::2], PARTS[1::2], strict=True))
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

UPLOAD = "POST /signed-urls/upload/<uri>"
STATUS = "GET /signed-urls/upload/<uri>"
COMPLETE = "POST /signed-urls/upload-complete"
DATASET = "GET /signed-urls/dataset/<uri>"
ITEMS = "POST /signed-urls/items/<uri>"
ITEM = "GET /signed-urls/item/<uri>/<identifier>"
AUDIT = "GET /signed-urls/audit/<uri>"
SHARE = "POST /signed-urls/shares/<uri>"
SHARES = "GET /signed-urls/shares"
REVOKE = "DELETE /signed-urls/shares/<share_id>"
PARTS_OF_ITEM = "POST /signed-urls/parts/<uri>/<identifier>"
LINK = "GET /signed-urls/s/<token>"
CANCEL = "DELETE /signed-urls/upload/<uri>"

CONTENT = b"day,height\n1,3\n"
UUID_IN_PARTS = "9b1d5b0c-4f3e-4c8e-8f3a-2a6d1e7c5b90"
UUID, ANOTHER_UUID = "550e8400-e29b-41d4-a716-446655440000", "7c9e6679-7425-40de-944b-e07fc1f90ae7"


SHARE_ID = "9f86d081884c7d65"


@pytest.fixture(scope="module")
def described() -> bool:
    """Let dserver describe its routes."""
    return True


# Completeness -----------------------------------------------------------------------------


def test_every_route_and_method_has_a_section_and_is_in_the_table(lab):
    routes = {
        f"{method} {re.sub('<path:', '<', rule.rule)}"
        for rule in lab.app.url_map.iter_rules()
        if rule.rule.startswith("/signed-urls")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert {title for title in SECTIONS if "/signed-urls" in title} == routes
    table = PAGE.partition("\nRequests\n---")[0]
    assert sorted(re.findall(r"   \* - `(.+)`_\n", table)) == sorted(routes)


def test_every_parameter_and_every_field_is_in_the_section_of_its_route(lab):
    document = lab.nobody.get(f"{lab.app.config['OPENAPI_URL_PREFIX']}/openapi.json").json
    missing = [
        (title, name)
        for title, operation in operations(document)
        for name in names(document, operation)
        if not re.search(rf'(``|"){name}(``|")', SECTIONS[title] + SECTIONS["Requests"])
    ]
    assert missing == []


def operations(document: Any):
    titles = {re.sub("<.*?>", "{}", title): title for title in SECTIONS}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/signed-urls") and method != "parameters":
                yield titles[f"{method.upper()} {re.sub('{.*?}', '{}', path)}"], operation


def names(document: Any, operation: Any):
    """Yield the parameters of the query, and the fields of the body and of the answer."""
    for parameter in operation.get("parameters", []):
        if parameter.get("in") == "query":
            yield parameter["name"]
    answers = (operation["responses"].get(status) for status in ("200", "201", "202"))
    for part in (operation.get("requestBody"), *answers):
        if "application/json" in (part or {}).get("content", {}):
            reference = part["content"]["application/json"]["schema"]["$ref"]
            yield from document["components"]["schemas"][reference.split("/")[-1]]["properties"]


# The exchanges ----------------------------------------------------------------------------


def test_the_exchanges_are_real(lab):
    grant = exchange(lab, UPLOAD)
    exchange(lab, STATUS)
    for item in grant["upload_urls"]["items"].values():
        requests.put(item["url"], CONTENT, headers=item["headers"], timeout=30).raise_for_status()
    exchange(lab, COMPLETE)
    exchange(lab, DATASET)
    exchange(lab, ITEMS)
    answer = exchange(lab, ITEM)
    assert requests.get(answer["url"], timeout=30).content == CONTENT
    exchange(lab, AUDIT)
    share = exchange(lab, SHARE, 201)
    exchange(lab, SHARES)
    exchange(lab, REVOKE, share_id=share["id"])
    uri = f"{lab.base_uri}/{UUID}"
    visitor = shared(lab, uri, max_downloads=20, note=shown(lab, LINK)["note"])
    assert_alike(shown(lab, LINK), visitor.open().json)
    large = {"relpath": "scan.tif", "size_in_bytes": 150_000_000, "hash": "0" * 32}
    plan = {"uuid": UUID_IN_PARTS, "name": "scans", "items": [large], "multipart": True}
    [entry] = lab.alice.begin(lab.base_uri, plan).json["upload_urls"]["items"].values()
    assert (entry["url"], entry["parts"]) == (None, {"size": 64 * 1024**2, "count": 3})
    exchange(lab, PARTS_OF_ITEM)
    assert_alike(shown(lab, "Errors"), send(lab, UPLOAD).json)
    send(lab, UPLOAD, ANOTHER_UUID)
    exchange(lab, CANCEL)


def exchange(lab: Dserver, title: str, status: int = 200, share_id: str = SHARE_ID) -> Any:
    """Send the request that the page shows; compare the answer with the one that it shows."""
    answer = send(lab, title, share_id=share_id)
    assert answer.status_code == status, answer.json
    assert_alike(shown(lab, title), answer.json)
    return answer.json


def send(lab: Dserver, title: str, uuid: str = UUID, share_id: str = SHARE_ID) -> TestResponse:
    request = for_bucket(lab, block(title, "http")).replace(UUID, uuid)
    request = request.replace(SHARE_ID, share_id)
    head, _, body = request.partition("\n\n")
    method, path, _ = head.splitlines()[0].split(" ")
    person: Person = lab.alice
    if method == "POST":
        return person.post(path, json.loads(body))
    return person.delete(path) if method == "DELETE" else person.get(path)


def shown(lab: Dserver, title: str) -> Any:
    return json.loads(for_bucket(lab, block(title, "json")))


def block(title: str, language: str) -> str:
    """Return the code of one language below one heading."""
    [found] = re.findall(
        rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", SECTIONS[title] + "\n"
    )
    return textwrap.dedent(found).strip()


def for_bucket(lab: Dserver, text: str) -> str:
    text = text.replace(quote("s3://my-bucket", safe=""), quote(lab.base_uri, safe=""))
    text = text.replace("https://s3.example.org", lab.bucket.endpoint)
    return text.replace("my-bucket", lab.bucket.name)


def assert_alike(shown: Any, real: Any) -> None:
    """Compare shapes and strings; times, numbers and what is left out (…) may differ."""
    assert type(shown) is type(real), (shown, real)
    if isinstance(shown, dict):
        assert shown.keys() == real.keys()
        for name in shown:
            assert_alike(shown[name], real[name])
    elif isinstance(shown, list):
        assert len(shown) == len(real)
        for one, other in zip(shown, real, strict=True):
            assert_alike(one, other)
    elif isinstance(shown, str):
        both_times = TIMESTAMP.fullmatch(shown) and TIMESTAMP.fullmatch(real)
        assert both_times or fnmatchcase(real, shown.replace("…", "*")), (shown, real)
