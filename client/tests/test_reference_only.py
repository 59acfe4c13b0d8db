"""The dserver that these tests have for the reference's is one."""

from __future__ import annotations

import hashlib
from uuid import uuid4

import pytest
import requests
from dtoolcore.utils import generate_identifier

from tests.support.dserver import encoded


@pytest.fixture
def call(reference_url, lab):
    """Call it as alice."""

    def call(method, path, **options):
        headers = {"Authorization": f"Bearer {lab.tokens['alice']}"}
        return requests.request(method, reference_url + path, headers=headers, **options)

    return call


def test_a_dataset_is_deposited_and_read(call, lab):
    path = f"/signed-urls/upload/{encoded(lab.base_uri)}"
    body = {"uuid": str(uuid4()), "name": "mine", "hash_function": "md5sum_hexdigest"}
    empty = {"size_in_bytes": 0, "hash": hashlib.md5(b"").hexdigest()}
    body["items"] = [{"relpath": "a.txt", **empty}]
    grant = call("POST", path, json=body).json()
    [item] = grant["upload_urls"]["items"].values()
    assert requests.put(item["url"], data=b"", headers=item["headers"]).ok
    assert "max_size_in_bytes" not in grant
    complete = {"json": {"uri": grant["uri"]}}
    assert call("POST", "/signed-urls/upload-complete", **complete).json()["status"] == "registered"
    assert call("POST", "/signed-urls/upload-complete", **complete).status_code == 400
    refused = call("POST", path, json=body)
    assert (refused.status_code, refused.reason) == (409, "Conflict")
    assert refused.json() == {"code": 409, "status": "Conflict"}
    uri = encoded(grant["uri"])
    assert list(call("GET", f"/signed-urls/dataset/{uri}?details=true").json()["item_urls"]) == [
        generate_identifier("a.txt")
    ]


@pytest.mark.parametrize("field", ["multipart", "upload_headers", "expiry_seconds", "other"])
def test_unknown_fields_are_refused(call, lab, field):
    body = {"uuid": str(uuid4()), "name": "mine", field: True}
    answer = call("POST", f"/signed-urls/upload/{encoded(lab.base_uri)}", json=body)
    assert (answer.status_code, "errors" in answer.json()) == (422, False)


def test_there_is_no_other_route(call, lab):
    uri = encoded(f"{lab.base_uri}/{uuid4()}")
    assert call("GET", f"/signed-urls/upload/{uri}").status_code == 405
    assert call("DELETE", f"/signed-urls/upload/{uri}").status_code == 405
    assert call("POST", f"/signed-urls/items/{uri}", json={}).status_code == 404
    assert call("POST", f"/signed-urls/parts/{uri}/{40 * 'a'}", json={}).status_code == 404
    described = call("GET", "/doc/openapi.json").json()
    ours = {path for path in described["paths"] if path.startswith("/signed-urls")}
    assert len(ours) == 4
    assert all(
        len(described["paths"][path].keys() & {"get", "post", "delete"}) == 1 for path in ours
    )
    assert "multipart" not in described["components"]["schemas"]["UploadPlan"]["properties"]
