"""Queries of dserver, but for free text."""

from __future__ import annotations

from datetime import datetime, timezone
from uuid import UUID

import pytest
from dserver_sql_index import SQLSearch
from dservercore.sort import SortParameters
from flask_smorest.pagination import PaginationParameters
from werkzeug.exceptions import BadRequest

from index.tests.datasets import ATTIC, LAB, dataset, found, register, uuid_of
from tests.support.databases import on_each_database

pytestmark = [on_each_database, pytest.mark.usefixtures("index")]


def test_base_uris_are_alternatives_and_none_finds_nothing():
    register(dataset(1), dataset(2, ATTIC), dataset(3, "s3://secret"))
    assert found(base_uris=[LAB]) == ["dataset-1"]
    assert sorted(found(base_uris=[LAB, ATTIC])) == ["dataset-1", "dataset-2"]
    assert found(base_uris=[]) == []


def test_uuids_are_alternatives_given_as_text_or_uuid():
    register(dataset(1), dataset(2), dataset(3))
    assert found(uuids=[UUID(uuid_of(1)), uuid_of(3)]) == ["dataset-1", "dataset-3"]


def test_creators_are_alternatives():
    register(*(dataset(n, creator_username=who) for n, who in enumerate(["ada", "ben", "cem"])))
    assert found(creator_usernames=["ada", "cem"]) == ["dataset-0", "dataset-2"]
    assert found(creator_usernames=["Ada"]) == []


def test_every_tag_must_fit_as_a_whole_and_in_its_case():
    register(
        dataset(1, tags=["red", "100%"]),
        dataset(2, tags=["red"]),
        dataset(3, tags=["Red", "redder"]),
    )
    assert found(tags=["red"]) == ["dataset-1", "dataset-2"]
    assert found(tags=["red", "100%", "red"]) == ["dataset-1"]
    assert found(tags=["%"]) == []


def test_an_empty_list_of_anything_else_is_no_condition():
    register(dataset(1))
    assert found(uuids=[], creator_usernames=[], tags=[], free_text="") == ["dataset-1"]


@pytest.mark.parametrize("text", ["\0", "\ud800", "x" * 100_000, 5, None])
def test_an_odd_value_finds_nothing(text):
    register(dataset(1))
    for name in ("base_uris", "creator_usernames", "tags"):
        assert found(**{name: [text]}) == []


@pytest.mark.database("postgresql", reason="of a statement's parameters, only it has few")
def test_more_alternatives_than_a_statement_has_parameters_may_be_asked_for():
    register(dataset(1))
    assert found(uuids=[uuid_of(number) for number in range(70_000)]) == ["dataset-1"]


@pytest.mark.database("sqlite", reason="nothing is asked of the database")
@pytest.mark.parametrize("name", ["base_uris", "uuids", "creator_usernames", "tags"])
def test_a_list_without_end_is_refused(name):
    with pytest.raises(BadRequest) as refused:
        found(**{name: ["x"] * 100_001})
    assert refused.value.data["message"] == f"A search takes at most 100000 {name}."


def test_filters_are_combined():
    register(dataset(1, tags=["red"]), dataset(2, ATTIC, tags=["red"]), dataset(3))
    assert found(base_uris=[LAB], tags=["red"], free_text="dataset") == ["dataset-1"]


def test_a_page_holds_its_part_and_tells_the_whole():
    register(*(dataset(number) for number in range(5)))
    page = PaginationParameters(page=2, page_size=2)
    answers = SQLSearch().search({"base_uris": [LAB]}, pagination_parameters=page)
    assert [answer["name"] for answer in answers] == ["dataset-2", "dataset-3"]
    assert page.item_count == 5


@pytest.mark.parametrize("number", [7, 10**30])
def test_a_page_after_the_last_is_empty(number):
    register(dataset(1))
    page = PaginationParameters(page=number, page_size=2)
    assert SQLSearch().search({"base_uris": [LAB]}, pagination_parameters=page) == []
    assert page.item_count == 1


def test_answers_are_sorted_by_several_fields_in_either_direction():
    register(
        dataset(1, creator_username="ben"),
        dataset(2),
        dataset(3),
        dataset(4, creator_username="ben"),
    )
    order = SortParameters(sort=["-creator_username", "-frozen_at", "+no_such_field"])
    answers = SQLSearch().search({"base_uris": [LAB]}, sort_parameters=order)
    names = [answer["name"] for answer in answers]
    assert names == ["dataset-4", "dataset-1", "dataset-3", "dataset-2"]


def test_an_answer_holds_the_admin_metadata_and_tags():
    items = {"a": {"relpath": "a", "size_in_bytes": 3}, "b": {"relpath": "b", "size_in_bytes": 4}}
    more = {"created_at": "1600000000.5", "dtoolcore_version": "3.19.0"}
    register(dataset(1, tags=["ä b"], manifest={"items": items}, **more))
    (answer,) = SQLSearch().search({"base_uris": [LAB]})
    assert answer == {
        "uri": f"{LAB}/{uuid_of(1)}",
        "base_uri": LAB,
        "uuid": uuid_of(1),
        "type": "dataset",
        "dtoolcore_version": "3.19.0",
        "name": "dataset-1",
        "creator_username": "alice",
        "created_at": datetime.fromisoformat("2020-09-13T12:26:40.500000"),
        "frozen_at": datetime.fromisoformat("2023-11-14T22:13:21"),
        "number_of_items": 2,
        "size_in_bytes": 7,
        "tags": ["ä b"],
    }


def test_uuids_and_datetimes_are_stored_as_what_they_mean():
    frozen_at = datetime(2024, 1, 15, 14, 30, tzinfo=timezone.utc)
    register(dataset(1, uuid=UUID(uuid_of(1)), frozen_at=frozen_at))
    (answer,) = SQLSearch().search({"uuids": [uuid_of(1)]})
    assert answer["frozen_at"] == frozen_at.replace(tzinfo=None)
