"""The two plugins, on a database of their own."""

import json
from datetime import datetime, timezone
from uuid import UUID

import pytest
from dserver_sql_index import SQLRetrieve, SQLSearch
from dservercore import UnknownURIError, ValidationError
from dservercore.sort import SortParameters
from flask_smorest.pagination import PaginationParameters

from tests.support.databases import on_each_database

pytestmark = [on_each_database, pytest.mark.usefixtures("database_app")]

LAB, ATTIC = "s3://lab", "s3://attic"


def uuid_of(number):
    return f"00000000-0000-4000-8000-{number:012}"


def dataset(number, base_uri=LAB, **changes):
    uuid = uuid_of(number)
    return {
        "uuid": uuid,
        "uri": f"{base_uri}/{uuid}",
        "base_uri": base_uri,
        "name": f"dataset-{number}",
        "type": "dataset",
        "creator_username": "alice",
        "frozen_at": 1_700_000_000.0 + number,
        "readme": "---\ndescription: none\n",
        "manifest": {"items": {}, "hash_function": "md5sum_hexdigest"},
        "annotations": {},
        "tags": [],
        **changes,
    }


@pytest.fixture
def register():
    def act(*datasets):
        for info in datasets:
            SQLSearch().register_dataset(info)
            SQLRetrieve().register_dataset(info)

    return act


def found(**query):
    return [answer["name"] for answer in SQLSearch().search({"base_uris": [LAB, ATTIC], **query})]


def test_base_uris_are_alternatives_and_none_finds_nothing(register):
    register(dataset(1), dataset(2, ATTIC), dataset(3, "s3://secret"))
    assert found(base_uris=[LAB]) == ["dataset-1"]
    assert sorted(found(base_uris=[LAB, ATTIC])) == ["dataset-1", "dataset-2"]
    assert found(base_uris=[]) == []


def test_uuids_are_alternatives_given_as_text_or_uuid(register):
    register(dataset(1), dataset(2), dataset(3))
    assert found(uuids=[UUID(uuid_of(1)), uuid_of(3)]) == ["dataset-1", "dataset-3"]


def test_creators_are_alternatives(register):
    register(*(dataset(n, creator_username=who) for n, who in enumerate(["ada", "ben", "cem"])))
    assert found(creator_usernames=["ada", "cem"]) == ["dataset-0", "dataset-2"]


def test_every_tag_must_fit_as_a_whole_and_in_its_case(register):
    register(
        dataset(1, tags=["red", "100%"]),
        dataset(2, tags=["red"]),
        dataset(3, tags=["Red", "redder"]),
    )
    assert found(tags=["red"]) == ["dataset-1", "dataset-2"]
    assert found(tags=["red", "100%"]) == ["dataset-1"]
    assert found(tags=["%"]) == []


@pytest.mark.parametrize(
    "text",
    [
        "quokkas",
        '"QUOKKAS of an"',
        "rottnest",
        "größe.txt",
        "50%_off",
        "smith",
        "dataset-1",
        uuid_of(1),
        "marsupial",
    ],
)
def test_free_text_finds_readme_items_annotations_tags_and_names_in_any_case(register, text):
    register(
        dataset(
            1,
            readme="---\ndescription: Quokkas of an island\nprice: 50%_off\n",
            annotations={"place": "Rottnest", "people": ["Smith"]},
            tags=["marsupial"],
            manifest={"items": {"a": {"relpath": "Größe.txt", "size_in_bytes": 3}}},
        ),
        dataset(2, readme="---\ndescription: 50 quolls, Xoff\n"),
    )
    assert found(free_text=text) == ["dataset-1"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("pears plums", ["dataset-1", "dataset-2", "dataset-3"]),
        ("pears -plums", ["dataset-1"]),
        ("-pears", []),
        ('"ripe pears"', ["dataset-1"]),
        ('"pears ripe"', []),
        ('"ripe pears" figs', ["dataset-1"]),
        ('"pears" "plums"', ["dataset-2"]),
        ('pears -"ripe pears"', ["dataset-2"]),
        ("the figs", ["dataset-4"]),
        ("the", ["dataset-1"]),
        ("ripe-pears", ["dataset-1"]),
        ("PEAR", ["dataset-1", "dataset-2"]),
        ("pe", []),
        ("!?", []),
        ("  ", ["dataset-1", "dataset-2", "dataset-3", "dataset-4"]),
    ],
)
def test_free_text_means_what_it_means_in_mongodb(register, text, names):
    register(
        dataset(1, readme="the ripe, Pears"),
        dataset(2, readme="plums and pears"),
        dataset(3, readme="plums"),
        dataset(4, readme="figs"),
    )
    assert found(free_text=text) == names


@pytest.mark.parametrize("text", ["x" * 100_000, "y " * 5_000, "\0", "\ud800"])
def test_an_odd_free_text_is_searched_like_any_other(register, text):
    register(dataset(1))
    assert isinstance(found(free_text=text), list)


def test_filters_are_combined(register):
    register(dataset(1, tags=["red"]), dataset(2, ATTIC, tags=["red"]), dataset(3))
    assert found(base_uris=[LAB], tags=["red"], free_text="dataset") == ["dataset-1"]


def test_a_page_holds_its_part_and_tells_the_whole(register):
    register(*(dataset(number) for number in range(5)))
    page = PaginationParameters(page=2, page_size=2)
    answers = SQLSearch().search({"base_uris": [LAB]}, pagination_parameters=page)
    assert [answer["name"] for answer in answers] == ["dataset-2", "dataset-3"]
    assert page.item_count == 5


def test_a_page_after_the_last_is_empty(register):
    register(dataset(1))
    page = PaginationParameters(page=7, page_size=2)
    assert SQLSearch().search({"base_uris": [LAB]}, pagination_parameters=page) == []
    assert page.item_count == 1


def test_answers_are_sorted_by_several_fields_in_either_direction(register):
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


def test_an_answer_holds_what_dserver_shows_and_counts(register):
    items = {"a": {"relpath": "a", "size_in_bytes": 3}, "b": {"relpath": "b", "size_in_bytes": 4}}
    register(dataset(1, tags=["ä b"], manifest={"items": items}, created_at="1600000000.5"))
    (answer,) = SQLSearch().search({"base_uris": [LAB]})
    assert answer == {
        "uri": f"{LAB}/{uuid_of(1)}",
        "base_uri": LAB,
        "uuid": uuid_of(1),
        "type": "dataset",
        "name": "dataset-1",
        "creator_username": "alice",
        "created_at": datetime.fromisoformat("2020-09-13T12:26:40.500000"),
        "frozen_at": datetime.fromisoformat("2023-11-14T22:13:21"),
        "number_of_items": 2,
        "size_in_bytes": 7,
        "tags": ["ä b"],
    }


def test_uuids_and_datetimes_are_stored_as_what_they_mean(register):
    frozen_at = datetime(2024, 1, 15, 14, 30, tzinfo=timezone.utc)
    register(dataset(1, uuid=UUID(uuid_of(1)), frozen_at=frozen_at))
    (answer,) = SQLSearch().search({"uuids": [uuid_of(1)]})
    assert answer["frozen_at"] == frozen_at.replace(tzinfo=None)


def test_registering_again_replaces(register):
    register(dataset(1, tags=["old"]), dataset(1, tags=["new"], readme="second"))
    assert found() == ["dataset-1"]
    assert found(tags=["old"]) == []
    assert SQLRetrieve().get_readme(dataset(1)["uri"]) == "second"


def test_what_cannot_be_indexed_is_a_validation_error():
    for change in ({"frozen_at": "yesterday"}, {"frozen_at": 1e300}, {"frozen_at": float("nan")}):
        with pytest.raises(ValidationError):
            SQLSearch().register_dataset(dataset(1, **change))


def test_deleting_forgets_and_may_be_repeated(register):
    register(dataset(1), dataset(2))
    for _ in range(2):
        SQLSearch().delete_dataset(dataset(1)["uri"])
        SQLRetrieve().delete_dataset(dataset(1)["uri"])
    assert found() == ["dataset-2"]


def test_retrieve_returns_what_was_registered(register):
    manifest = {"items": {"a": {"relpath": "ä\0", "size_in_bytes": 3}}}
    info = dataset(1, readme="- ü", manifest=manifest, annotations={"n": 1}, tags=["x"])
    register(json.loads(json.dumps(info)))
    retrieve = SQLRetrieve()
    assert retrieve.get_readme(info["uri"]) == "- ü"
    assert retrieve.get_manifest(info["uri"]) == manifest
    assert retrieve.get_annotations(info["uri"]) == {"n": 1}
    assert retrieve.get_tags(info["uri"]) == ["x"]


@pytest.mark.parametrize("getter", ["get_readme", "get_manifest", "get_annotations", "get_tags"])
def test_an_unknown_uri_is_named_so(getter):
    with pytest.raises(UnknownURIError):
        getattr(SQLRetrieve(), getter)("s3://lab/nowhere")
