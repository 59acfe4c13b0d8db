"""dserver publishes what its doors take, answer and refuse."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

DATASET = ("/signed-urls/dataset/{uri}", "get")
ITEM = ("/signed-urls/item/{uri}/{identifier}", "get")
UPLOAD = ("/signed-urls/upload/{uri}", "post")
COMPLETE = ("/signed-urls/upload-complete", "post")
LOOK = ("/signed-urls/upload/{uri}", "get")
CANCEL = ("/signed-urls/upload/{uri}", "delete")
AUDIT = ("/signed-urls/audit/{uri}", "get")
DOORS = (DATASET, ITEM, UPLOAD, COMPLETE, LOOK, CANCEL, AUDIT)
EVERYWHERE = {200, 400, 401, 403, 422, 429, 501, 502, 503}


@pytest.fixture(scope="module")
def document(lab) -> Any:
    """What anybody gets who asks dserver."""
    answer = lab.nobody.get(f"{lab.app.config['OPENAPI_URL_PREFIX']}/openapi.json")
    assert answer.status_code == 200
    return answer.json


@pytest.fixture
def operation(document, door) -> Any:
    path, method = door
    return document["paths"][path][method]


def resolved(document: Any, part: Any) -> Any:
    """Follow a reference into the document."""
    while "$ref" in part:
        found = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def answered(document: Any, door: tuple[str, str], status: int) -> Any:
    """The schema of an answer."""
    path, method = door
    response = resolved(document, document["paths"][path][method]["responses"][str(status)])
    return resolved(document, response["content"]["application/json"]["schema"])


def test_there_are_these_doors_and_no_other(document):
    ours = {
        (path, method)
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/signed-urls") and method != "parameters"
    }
    assert ours == set(DOORS)


@pytest.mark.parametrize(
    ("door", "more"),
    [
        (DATASET, {404, 409, 410}),
        (ITEM, {404, 409, 410}),
        (UPLOAD, {409, 411, 413}),
        (COMPLETE, {409, 411, 413}),
    ],
)
def test_every_status_is_documented_with_a_description(document, operation, more):
    documented = {name for name in operation["responses"] if name != "default"}
    assert {int(name) for name in documented} == EVERYWHERE | more
    for name in documented - {"200", "422"}:
        assert len(resolved(document, operation["responses"][name])["description"].split()) > 3


@pytest.mark.parametrize("door", DOORS)
def test_every_door_says_what_it_is_for(operation):
    assert len(operation["summary"].split()) > 5


@pytest.mark.parametrize("door", DOORS)
def test_every_error_is_dservers_envelope(document, door, operation):
    for status in operation["responses"]:
        if status not in ("200", "default"):
            schema = answered(document, door, int(status))
            assert schema["properties"].keys() == {"code", "status", "message", "errors"}


@pytest.mark.parametrize("door", [DATASET, ITEM])
def test_reading_takes_a_life_and_a_disposition_in_the_query(operation):
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert parameters.keys() == {"expiry_seconds", "disposition"}
    assert {parameter["in"] for parameter in parameters.values()} == {"query"}
    assert all(parameter["description"] for parameter in parameters.values())
    assert parameters["expiry_seconds"]["schema"]["minimum"] == 1
    disposition = parameters["disposition"]["schema"]
    assert (disposition["enum"], disposition["default"]) == (["attachment", "inline"], "attachment")


def test_the_announcement_is_documented_item_by_item(document):
    body = document["paths"][UPLOAD[0]]["post"]["requestBody"]["content"]["application/json"]
    plan = resolved(document, body["schema"])
    assert set(plan["required"]) == {"uuid", "name"}
    assert plan["properties"].keys() == {
        "uuid",
        "name",
        "items",
        "creator_username",
        "frozen_at",
        "hash_function",
        "tags",
        "annotations",
        "overlays",
        "upload_headers",
        "expiry_seconds",
    }
    item = resolved(document, plan["properties"]["items"]["items"])
    assert item["properties"].keys() == {"relpath", "size_in_bytes", "hash", "utc_timestamp"}
    assert item["required"] == ["relpath"]


def test_the_completion_is_documented(document):
    body = document["paths"][COMPLETE[0]]["post"]["requestBody"]["content"]["application/json"]
    assert resolved(document, body["schema"])["required"] == ["uri"]
    answer = answered(document, COMPLETE, 200)
    assert answer["properties"].keys() == {"uri", "status", "name", "uuid"}


def test_grants_are_documented_down_to_each_url(document):
    common = {"uri", "expiry_seconds", "expiry_timestamp", "expiry_limited_by"}
    assert answered(document, DATASET, 200)["properties"].keys() == common | {
        "admin_metadata_url",
        "manifest_url",
        "readme_url",
        "item_urls",
        "overlay_urls",
        "annotation_urls",
        "tags",
    }
    assert answered(document, ITEM, 200)["properties"].keys() == common | {"identifier", "url"}

    upload = answered(document, UPLOAD, 200)["properties"]
    assert upload.keys() == common | {"uuid", "base_uri", "max_size_in_bytes", "upload_urls"}
    urls = resolved(document, upload["upload_urls"])["properties"]
    assert urls.keys() == {"readme", "admin_metadata", "manifest", "structure", "items"}
    item = resolved(document, urls["items"]["additionalProperties"])
    assert item["properties"].keys() == {"url", "relpath", "headers"}


def test_no_schema_takes_anothers_name(make_dserver):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        make_dserver()
    # apispec warns, and calls the second one Item1, when two schemas resolve to one name.
    assert [str(warning.message) for warning in seen if warning.category is UserWarning] == []


def test_no_name_in_the_document_is_a_makeshift(document):
    names = set(document["components"]["schemas"])
    assert not [name for name in names if name[-1].isdigit() and name[:-1] in names]
