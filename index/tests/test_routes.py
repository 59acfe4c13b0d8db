"""dserver's own routes with this index, which refuses what it cannot take."""

from __future__ import annotations

import pytest
from dserver_sql_index import SQLSearch
from flask import request

from index.tests.datasets import dataset
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
