"""dserver publishes what the routes take, return and refuse, so that tools understand it."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import requests
from openapi_spec_validator import OpenAPIV30SpecValidator

from dserver_signed_url_plugin.web import examples, openapi
from tests.support.dserver import Dserver, encoded
from tests.support.links import shared

DATASET = ("/signed-urls/dataset/{uri}", "get")
ITEMS = ("/signed-urls/items/{uri}", "post")
ITEM = ("/signed-urls/item/{uri}/{identifier}", "get")
UPLOAD = ("/signed-urls/upload/{uri}", "post")
COMPLETE = ("/signed-urls/upload-complete", "post")
STATUS = ("/signed-urls/upload/{uri}", "get")
CANCEL = ("/signed-urls/upload/{uri}", "delete")
AUDIT = ("/signed-urls/audit/{uri}", "get")
PARTS = ("/signed-urls/parts/{uri}/{identifier}", "post")
SHARE = ("/signed-urls/shares/{uri}", "post")
SHARES = ("/signed-urls/shares", "get")
REVOKE = ("/signed-urls/shares/{uri}", "delete")
LINK = ("/signed-urls/s/{token}", "get")
DOWNLOAD = ("/signed-urls/s/{token}/{identifier}", "get")
PREVIEW = ("/signed-urls/s/{token}/{identifier}/preview", "get")
LIVE = ("/signed-urls/health/live", "get")
READY = ("/signed-urls/health/ready", "get")
METRICS = ("/signed-urls/metrics", "get")
WITHOUT_ACCOUNT = (LINK, DOWNLOAD, PREVIEW)
OPERATIONS = (
    *(DATASET, ITEMS, ITEM, UPLOAD, PARTS, COMPLETE, STATUS, CANCEL, AUDIT),
    *WITHOUT_ACCOUNT,
    *(SHARE, SHARES, REVOKE),
    *(LIVE, READY, METRICS),
)
EVERYWHERE = {200, 400, 401, 403, 422, 429, 501, 502, 503}


@pytest.fixture(scope="module")
def described() -> bool:
    """Let dserver describe its routes."""
    return True


@pytest.fixture(scope="module")
def document(lab) -> Any:
    """The document that dserver serves to anybody."""
    answer = lab.nobody.get(f"{lab.app.config['OPENAPI_URL_PREFIX']}/openapi.json")
    assert answer.status_code == 200
    return answer.json


@pytest.fixture
def operation(document, route) -> Any:
    path, method = route
    return document["paths"][path][method]


def resolved(document: Any, part: Any) -> Any:
    """Follow a reference into the document."""
    while "$ref" in part:
        found = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def answered(document: Any, route: tuple[str, str], status: int) -> Any:
    """The schema of an answer."""
    path, method = route
    response = resolved(document, document["paths"][path][method]["responses"][str(status)])
    return resolved(document, response["content"]["application/json"]["schema"])


def test_there_are_these_routes_and_no_other(document):
    ours = {
        (path, method)
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/signed-urls") and method != "parameters"
    }
    assert ours == set(OPERATIONS)


@pytest.mark.parametrize(
    ("route", "more"),
    [
        (DATASET, {404, 409, 410}),
        (ITEMS, {404, 409, 410, 411, 413}),
        (ITEM, {404, 409, 410}),
        (UPLOAD, {409, 411, 413}),
        (PARTS, {404, 409, 411, 413}),
        (COMPLETE, {202, 409, 411, 413}),
    ],
)
def test_every_status_is_documented_with_a_description(document, operation, more):
    documented = {name for name in operation["responses"] if name != "default"}
    assert {int(name) for name in documented} == EVERYWHERE | more
    for name in documented - {"200", "422"}:
        assert len(resolved(document, operation["responses"][name])["description"].split()) > 3


@pytest.mark.parametrize("route", OPERATIONS)
def test_every_route_says_what_it_is_for(operation):
    assert len(operation["summary"].split()) > 5


@pytest.mark.parametrize("route", OPERATIONS)
def test_every_error_is_dservers_envelope(document, route, operation):
    for status in operation["responses"]:
        if status not in ("200", "201", "202", "303", "default"):
            schema = answered(document, route, int(status))
            assert schema["properties"].keys() == {"code", "status", "message", "errors"}


@pytest.mark.parametrize("route", [DATASET, ITEM])
def test_reading_takes_a_life_and_a_disposition_in_the_query(operation):
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    of_datasets = {"format", "details", "page", "page_size"}
    assert parameters.keys() - of_datasets == {"expiry_seconds", "disposition"}
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
        "multipart",
        "expiry_seconds",
    }
    item = resolved(document, plan["properties"]["items"]["items"])
    assert item["properties"].keys() == {"relpath", "size_in_bytes", "hash", "utc_timestamp"}
    assert item["required"] == ["relpath"]


def test_a_request_for_items_is_documented_down_to_each_url(document):
    body = document["paths"][ITEMS[0]]["post"]["requestBody"]["content"]["application/json"]
    request = resolved(document, body["schema"])["properties"]
    assert request.keys() == {"identifiers", "relpaths", "match", "expiry_seconds", "disposition"}
    assert request["relpaths"]["maxItems"] == 10_000
    answer = answered(document, ITEMS, 200)["properties"]
    item = resolved(document, answer["items"]["additionalProperties"])
    assert item["properties"].keys() == {"url", "relpath", "size_in_bytes", "hash"}


def test_lists_for_other_programs_are_documented(document):
    operation = document["paths"][DATASET[0]]["get"]
    [parameter] = [one for one in operation["parameters"] if one["name"] == "format"]
    assert parameter["schema"]["enum"] == ["json", "curl", "aria2", "md5sum", "bagit"]
    assert operation["responses"]["200"]["content"]["text/plain"]["schema"] == {"type": "string"}


def test_the_completion_is_documented(document):
    body = document["paths"][COMPLETE[0]]["post"]["requestBody"]["content"]["application/json"]
    assert resolved(document, body["schema"])["required"] == ["uri"]
    answer = answered(document, COMPLETE, 200)
    assert answer["properties"].keys() == {"uri", "status", "name", "uuid", "verified"}
    answer = answered(document, COMPLETE, 202)
    assert answer["properties"].keys() == {"uri", "status", "items_done", "items_total"}


def test_grants_are_documented_down_to_each_url(document):
    common = {"uri", "expiry_seconds", "expiry_timestamp", "expiry_limited_by"}
    assert answered(document, DATASET, 200)["properties"].keys() == common | {
        "admin_metadata_url",
        "manifest_url",
        "readme_url",
        "item_urls",
        "items",
        "overlay_urls",
        "annotation_urls",
        "tags",
    }
    assert answered(document, ITEM, 200)["properties"].keys() == common | {"identifier", "url"}

    upload = answered(document, UPLOAD, 200)["properties"]
    own = {"uuid", "base_uri", "max_size_in_bytes", "upload_urls", "upload_token"}
    assert upload.keys() == common | own
    urls = resolved(document, upload["upload_urls"])["properties"]
    assert urls.keys() == {"readme", "admin_metadata", "manifest", "structure", "items"}
    item = resolved(document, urls["items"]["additionalProperties"])
    assert item["properties"].keys() == {"url", "relpath", "headers", "parts"}

    parts = answered(document, PARTS, 200)["properties"]
    assert parts.keys() == common | {"identifier", "part_size", "count", "parts", "stored"}
    part = resolved(document, parts["parts"]["additionalProperties"])
    assert part["properties"].keys() == {"url", "headers"}


def test_no_schema_takes_anothers_name(make_dserver):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        make_dserver()
    # apispec warns, and calls the second one Item1, when two schemas resolve to one name.
    assert [str(warning.message) for warning in seen if warning.category is UserWarning] == []


def test_no_name_in_the_document_is_a_makeshift(document):
    names = set(document["components"]["schemas"])
    assert not [name for name in names if name[-1].isdigit() and name[:-1] in names]


# For tools ------------------------------------------------------------------------------------


def test_the_document_is_valid_openapi(document):
    assert [error.message for error in OpenAPIV30SpecValidator(document).iter_errors()] == []


def test_what_dservercore_documents_is_left_as_it_is_but_for_a_status_of_1(document):
    for path in ("/manifests/{uri}", "/tags/{uri}"):
        # Later versions of dservercore document 401 in the place of 1.
        statuses = document["paths"][path]["get"]["responses"].keys() - {"401"}
        assert statuses == {"200", "403", "404", "default"}


def test_what_other_extensions_leave_out_or_add_stops_nothing():
    paths = {
        "/bare": {"get": {}},
        "/shared": {"parameters": [], "servers": [], "summary": "Both", "x-of": {"responses": {}}},
        "/signed-urls/ours": {"get": {"responses": {"422": {}}}, "x-of": {"responses": None}},
    }
    openapi.correct({"paths": paths}, "/signed-urls")
    assert paths["/bare"] == {"get": {}}
    assert "errors" in paths["/signed-urls/ours"]["get"]["responses"]["422"]["description"]


def test_every_operation_has_an_id_of_its_own_in_the_words_of_the_field(document):
    ids = {route: document["paths"][route[0]][route[1]]["operationId"] for route in OPERATIONS}
    assert ids == {
        DATASET: "readDataset",
        ITEMS: "readItems",
        ITEM: "readItem",
        UPLOAD: "beginUpload",
        STATUS: "uploadStatus",
        CANCEL: "cancelUpload",
        COMPLETE: "completeUpload",
        PARTS: "signParts",
        AUDIT: "readAudit",
        LINK: "openLink",
        DOWNLOAD: "downloadItem",
        PREVIEW: "previewItem",
        SHARE: "createShare",
        SHARES: "listShares",
        REVOKE: "revokeShare",
        LIVE: "live",
        READY: "ready",
        METRICS: "metrics",
    }


@pytest.mark.parametrize("route", WITHOUT_ACCOUNT)
def test_a_link_needs_no_account(document, operation):
    assert operation["security"] == []
    assert not {"401", "403"} & operation["responses"].keys()
    assert {"404", "410", "429", "502"} <= operation["responses"].keys()


@pytest.mark.parametrize("route", sorted({*OPERATIONS} - {DOWNLOAD, PREVIEW, METRICS}))
def test_the_example_of_an_answer_has_what_its_schema_requires(document, route, operation):
    status = "201" if "201" in operation["responses"] else "200"
    content = operation["responses"][status]["content"]["application/json"]
    schema = resolved(document, content["schema"])
    assert set(schema["required"]) <= content["example"].keys() <= schema["properties"].keys()


@pytest.mark.parametrize("route", [LIVE, READY, METRICS])
def test_a_probe_needs_no_token(document, operation):
    assert operation["security"] == []
    assert not {"401", "403", "429"} & operation["responses"].keys()


def test_a_refusal_requires_its_slug(document):
    schema = answered(document, DATASET, 404)
    assert set(schema["required"]) == {"code", "status", "message", "errors"}
    assert resolved(document, schema["properties"]["errors"])["required"] == ["slug"]


def test_identifiers_times_and_urls_have_their_formats(document):
    grant = answered(document, UPLOAD, 200)["properties"]
    formats = {name: grant[name].get("format") for name in ("uri", "uuid", "expiry_timestamp")}
    assert formats == {"uri": "uri", "uuid": "uuid", "expiry_timestamp": "date-time"}
    assert answered(document, ITEM, 200)["properties"]["url"]["format"] == "uri"


# The examples ---------------------------------------------------------------------------------


def test_the_examples_are_real_exchanges(lab):
    grant = lab.alice.begin(lab.base_uri, examples.ANNOUNCEMENT)
    assert shape(grant.json) == shape(examples.UPLOAD_GRANT)
    uri = grant.json["uri"]
    assert shape(status(lab, uri)) == shape(examples.UPLOAD_STATUS)
    [item] = grant.json["upload_urls"]["items"].values()
    content = b"day,height\n1,3\n"
    requests.put(item["url"], content, headers=item["headers"], timeout=30).raise_for_status()
    done = lab.alice.post(
        "/signed-urls/upload-complete", examples.COMPLETION_REQUEST | {"uri": uri}
    )
    assert shape(done.json) == shape(examples.COMPLETION)

    assert shape(lab.bob.read(uri).json) == shape(examples.DATASET_GRANT)
    item_grant = lab.bob.read_item(uri, examples.IDENTIFIER).json
    assert shape(item_grant) == shape(examples.ITEM_GRANT)
    decisions = lab.alice.get(f"/signed-urls/audit/{encoded(uri)}?limit=1").json
    decisions["next"] = None  # there are more, of other requests
    assert shape(decisions) == shape(examples.DECISIONS)

    created = lab.bob.post(f"/signed-urls/shares/{encoded(uri)}", examples.SHARE_REQUEST)
    assert shape(created.json) == shape(examples.CREATED_SHARE)
    listed = lab.bob.get("/signed-urls/shares").json
    assert listed.keys() == examples.SHARES.keys()
    assert shape(listed["shares"][0]) == shape(examples.SHARE)
    revoked = lab.bob.delete(f"/signed-urls/shares/{created.json['id']}")
    assert shape(revoked.json) == shape(examples.SHARE | {"ended_because": "revoked"})

    another = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    lab.alice.begin(lab.base_uri, examples.ANNOUNCEMENT | {"uuid": another})
    cancelled = lab.alice.delete(f"/signed-urls/upload/{encoded(f'{lab.base_uri}/{another}')}")
    assert shape(cancelled.json) == shape(examples.CANCELLATION)
    visitor = shared(lab, uri, max_downloads=20, note=examples.SHARE_CONTENTS["note"])
    assert shape(visitor.open().json) == shape(examples.SHARE_CONTENTS)


def status(lab: Dserver, uri: str) -> Any:
    return lab.alice.get(f"/signed-urls/upload/{encoded(uri)}").json


def shape(value: Any) -> Any:
    """The keys of a JSON value, and the types of what they hold."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value)
