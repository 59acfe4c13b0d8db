"""Registering, changing and deleting: whole, at the same time, and in few statements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import pytest
from dserver_sql_index import SQLRetrieve, SQLSearch
from dserver_sql_index.tables import datasets, tags, texts
from dservercore import UnknownURIError, ValidationError, sql_db
from flask import Flask
from sqlalchemy import event, func, select
from werkzeug.exceptions import BadRequest

from index.tests.datasets import dataset, found, register
from tests.support.databases import on_each_database

pytestmark = [on_each_database, pytest.mark.usefixtures("index")]

GETTERS = ["get_readme", "get_manifest", "get_annotations", "get_tags"]
UNKNOWN = ["s3://lab/nowhere", "s3://lab/\0", "s3://lab/\ud800"]
CHANGES = {"set_readme": "new", "set_annotations": {"a": "new"}, "set_tags": ["new"]}

# As no JSON of a request is: dserver refuses that earlier.
NESTED: dict = {}
for _ in range(100_000):
    NESTED = {"a": NESTED}


def rows() -> list[int]:
    counts = (select(func.count()).select_from(table) for table in (datasets, tags, texts))
    return [sql_db.session.execute(count).scalar_one() for count in counts]


def items(number: int) -> dict:
    return {"items": {f"{index:040}": item(index) for index in range(number)}}


def item(index: int) -> dict:
    return {"relpath": f"run/{index}.csv", "hash": f"{index:032}", "size_in_bytes": 1}


def test_registering_again_replaces():
    register(dataset(1, tags=["old"], manifest=items(1)), dataset(1, tags=["new"], readme="second"))
    assert found() == ["dataset-1"]
    assert found(tags=["old"]) == found(free_text="old run") == []
    assert SQLRetrieve().get_readme(dataset(1)["uri"]) == "second"


def test_deleting_leaves_nothing_and_may_be_repeated():
    register(dataset(1, tags=["x"]), dataset(2, tags=["y"]))
    before = rows()
    register(dataset(3, tags=["z"]))
    for _ in range(2):
        SQLSearch().delete_dataset(dataset(3)["uri"])
        SQLRetrieve().delete_dataset(dataset(3)["uri"])
    assert rows() == before
    assert found() == ["dataset-1", "dataset-2"]


def test_what_was_registered_is_returned_byte_for_byte():
    odd = "ü\0\ud800"
    manifest = {"items": {"a": {"relpath": odd, "size_in_bytes": 3}}, "hash_function": odd}
    info = dataset(1, readme=odd, manifest=manifest, annotations={odd: [1, odd]}, tags=[odd])
    register(json.loads(json.dumps(info)))
    retrieve = SQLRetrieve()
    assert retrieve.get_readme(info["uri"]) == odd
    assert retrieve.get_manifest(info["uri"]) == manifest
    assert retrieve.get_annotations(info["uri"]) == {odd: [1, odd]}
    assert retrieve.get_tags(info["uri"]) == [odd]
    assert found(tags=[odd]) == ["dataset-1"]


@pytest.mark.parametrize("getter", GETTERS)
@pytest.mark.parametrize("uri", UNKNOWN)
def test_an_unknown_uri_is_named_so(getter, uri):
    with pytest.raises(UnknownURIError):
        getattr(SQLRetrieve(), getter)(uri)


@pytest.mark.parametrize("uri", UNKNOWN)
def test_an_unknown_uri_is_neither_changed_nor_deleted(uri):
    SQLSearch().delete_dataset(uri)
    for setter, value in CHANGES.items():
        with pytest.raises(UnknownURIError):
            getattr(SQLSearch(), setter)(uri, value)


@pytest.mark.parametrize("getter", GETTERS)
def test_only_what_is_returned_is_loaded(getter, statements):
    register(dataset(1))
    statements.clear()
    getattr(SQLRetrieve(), getter)(dataset(1)["uri"])
    [statement] = statements
    assert statement.count("_json") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"frozen_at": "yesterday"},
        {"created_at": ""},
        {"frozen_at": 1e300},
        {"frozen_at": float("nan")},
        {"uri": "s3://lab/" + "x" * 1024},
        {"uri": "s3://attic/1"},
        {"uri": "s3://laboratory/1"},
        {"name": "\0"},
        {"name": "x" * 81},
        {"annotations": NESTED},
        {"creator_username": "\ud800"},
        {"name": None},
        {"manifest": []},
        {"annotations": ["x"]},
        {"tags": 1},
        {"number_of_items": 2**31},
        {"size_in_bytes": 2**63},
        {"number_of_items": 3.5},
        {"tags": None},
        {"readme": None},
        {"readme": {"a": 1}},
        {"annotations": []},
        {"manifest": {"items": {"a": "b"}}, "number_of_items": 1, "size_in_bytes": 1},
    ],
)
def test_what_cannot_be_indexed_is_a_validation_error_and_writes_nothing(change, statements):
    with pytest.raises(ValidationError):
        register(dataset(1, **change))
    assert statements == []


@pytest.mark.parametrize(
    ("setter", "value"), [("set_readme", None), ("set_annotations", []), ("set_tags", None)]
)
def test_a_change_that_cannot_be_indexed_writes_nothing(setter, value, statements):
    with pytest.raises(BadRequest):
        getattr(SQLSearch(), setter)(dataset(1)["uri"], value)
    assert statements == []


def test_a_tag_that_is_a_number_is_found_as_text():
    register(dataset(1, tags=[1234]))
    assert found(free_text="1234") == found(tags=[1234]) == ["dataset-1"]


def test_work_does_not_grow_with_items_words_or_tags(statements):
    def cost(act: Callable[..., object], *arguments: object, **query: object) -> int:
        statements.clear()
        act(*arguments, **query)
        return len(statements)

    for number, size in enumerate([1, 300]):
        names = [f"tag-{n}" for n in range(size)]
        info = dataset(number, tags=names, manifest=items(size))
        assert [cost(register, info), cost(register, info)] == [7, 6]
        assert cost(found, tags=names, free_text=" ".join(names)) == 1


def test_registering_and_deleting_leave_the_commit_to_dserver():
    register(dataset(1))
    sql_db.session.rollback()
    assert found() == []
    register(dataset(1))
    sql_db.session.commit()
    SQLSearch().delete_dataset(dataset(1)["uri"])
    sql_db.session.rollback()
    assert found() == ["dataset-1"]


@pytest.mark.parametrize("setter", CHANGES)
def test_a_change_is_committed_searched_and_returned(setter):
    kept = {"readme": "old", "annotations": {"a": "old"}, "tags": ["old"]}
    register(dataset(1, **kept, manifest=items(2)))
    sql_db.session.commit()
    value, uri = CHANGES[setter], dataset(1)["uri"]
    for plugin in (SQLSearch(), SQLRetrieve()):
        assert getattr(plugin, setter)(uri, value) == value
    sql_db.session.rollback()
    assert getattr(SQLRetrieve(), setter.replace("set", "get"))(uri) == value
    assert (
        found(free_text="new") == found(free_text="old") == found(free_text="csv") == ["dataset-1"]
    )
    assert found(tags=["new"]) == (["dataset-1"] if setter == "set_tags" else [])
    with pytest.raises(UnknownURIError):
        getattr(SQLSearch(), setter)("s3://lab/nowhere", value)


def commit(app: Flask, act: Callable[[], None]) -> None:
    """Act in a request of its own, and commit."""
    with app.app_context():
        act()
        sql_db.session.commit()


def commit_beside(app: Flask, act: Callable[[], None]) -> None:
    """Commit while another request acts, which commits as well."""
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(commit, app, act)
        # Long enough to get to where it has to wait; the outcome does not depend on it.
        wait([other], timeout=0.1)
        sql_db.session.commit()
        other.result()


@pytest.mark.parametrize("is_known", [False, True])
def test_of_two_registrations_at_once_the_later_stays_whole(index, is_known):
    if is_known:
        register(dataset(1, readme="zero", tags=["zero"]))
        sql_db.session.commit()
    register(dataset(1, readme="first", tags=["first", "a"]))
    second = dataset(1, readme="second", tags=["second"], manifest=items(3))
    commit_beside(index, lambda: register(second))
    assert rows() == [1, 1, 4]
    assert found(tags=["second"]) == found(free_text="second csv") == ["dataset-1"]
    assert found(free_text="first zero") == []


def test_of_a_registration_and_a_deletion_at_once_both_succeed(index):
    register(dataset(1, tags=["old"]))
    sql_db.session.commit()
    register(dataset(1, tags=["new", "newer"]))
    commit_beside(index, lambda: SQLSearch().delete_dataset(dataset(1)["uri"]))
    assert rows() == [0, 0, 0]


@contextmanager
def others_act(app: Flask, acts: Mapping[str, Callable[[], None]]) -> Iterator[None]:
    """Let others act, and commit, whenever this thread sends a statement that begins so."""
    this_thread = get_ident()

    def act_before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        for beginning, act in acts.items():
            if statement.startswith(beginning) and get_ident() == this_thread:
                pool.submit(commit, app, act).result()

    with ThreadPoolExecutor(1) as pool:
        event.listen(sql_db.engine, "before_cursor_execute", act_before)
        try:
            yield
        finally:
            event.remove(sql_db.engine, "before_cursor_execute", act_before)


@pytest.mark.database("postgresql", reason="SQLite has one writer at a time")
def test_a_dataset_that_others_register_and_delete_meanwhile_is_registered(index):
    other = dataset(1, readme="other", tags=["other"])
    acts = {
        "INSERT INTO sql_index_dataset ": lambda: register(other),
        "UPDATE sql_index_dataset ": lambda: SQLSearch().delete_dataset(other["uri"]),
    }
    with others_act(index, acts):
        register(dataset(1, readme="mine", tags=["mine"]))
    assert found(tags=["mine"]) == found(free_text="mine") == ["dataset-1"]
    assert found(tags=["other"]) == found(free_text="other") == []


@pytest.mark.database("sqlite", reason="PostgreSQL gives no id twice")
def test_a_deletion_leaves_the_dataset_that_has_the_id_since_another_deletion(index):
    uri = dataset(1)["uri"]

    def replace() -> None:
        SQLSearch().delete_dataset(uri)
        register(dataset(2))

    register(dataset(1))
    sql_db.session.commit()
    first = ("UPDATE sql_index_dataset ", "DELETE FROM sql_index_tag ")
    with others_act(index, dict.fromkeys(first, replace)):
        SQLSearch().delete_dataset(uri)
    sql_db.session.commit()
    assert found() == ["dataset-2"]


@pytest.mark.database("postgresql", reason="of the index, only its tsvectors have a limit")
def test_a_hundred_thousand_items_are_registered_found_and_returned():
    manifest = items(100_000)
    register(dataset(1, manifest=manifest), dataset(2))
    assert found(free_text='"run/99999.csv"') == ["dataset-1"]
    assert SQLRetrieve().get_manifest(dataset(1)["uri"]) == manifest
