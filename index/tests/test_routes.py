"""dserver's own routes with this index, which refuses what it cannot take."""

from __future__ import annotations

import pytest
from dserver_sql_index import SQLSearch
from dservercore import ValidationError
from flask import request

from index.tests.datasets import dataset, register
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver, encoded


@on_each_database
@pytest.mark.parametrize(
    "change", [{"created_at": ""}, {"name": "x" * 81}, {"creator_username": "x" * 256}]
)
def test_what_dserver_could_not_register_is_refused(dserver: Dserver, change: dict[str, str]):
    info = dataset(1, dserver.base_uri, **change)
    path = f"/uris/{encoded(info['uri'])}"
    info["frozen_at"] = str(info["frozen_at"])
    assert dserver.alice.put(path, info).status_code == 400
    assert dserver.alice.put(path, {**info, **dict.fromkeys(change, "1")}).status_code == 201


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    ("base_uri", "uri"),
    [
        ("s3://lab", "s3://other/x"),
        ("s3://lab", "s3://lab-2/x"),
        ("azure://lab", "azure://x/lab/x"),
        ("file:///lab", "file://any-host/lab-2/x"),
        ("file:///lab", "file://any-host/other/lab/x"),
        ("file:///lab", "s3://any-host/lab/x"),
        ("file://host/lab", "file://other-host/lab/x"),
        ("file://host/lab", "file:///lab/x"),
    ],
)
def test_a_dataset_of_another_base_uri_is_refused(base_uri: str, uri: str):
    with pytest.raises(ValidationError, match="does not begin with the base URI"):
        register(dataset(1, base_uri, uri=uri))


def test_a_search_for_too_many_tags_says_how_many_it_takes(dserver: Dserver):
    answer = dserver.bob.post("/uris", {"tags": ["x"] * 100_001})
    assert (answer.status_code, answer.json["message"]) == (
        400,
        "A search takes at most 100000 tags.",
    )


def test_a_change_that_cannot_be_indexed_is_refused_by_the_routes_of_the_next_dserver(make_dserver):
    dserver = make_dserver()

    @dserver.app.put("/tags/<path:uri>")
    def set_tags(uri: str) -> list[str]:
        return SQLSearch().set_tags(uri, request.get_json()["tags"])

    answer = dserver.alice.put(f"/tags/{dserver.base_uri}/x", {"tags": None})
    assert answer.status_code == 400
    assert "cannot be indexed" in answer.json["message"]
