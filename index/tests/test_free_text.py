"""Free text: what MongoDB finds is found, on every database."""

from __future__ import annotations

import tracemalloc
from itertools import repeat

import pytest
from dserver_sql_index import SQLRetrieve
from dserver_sql_index.documents import text_rows
from dserver_sql_index.free_text import parse

from index.tests.datasets import dataset, found, register, uuid_of
from tests.support.databases import on_each_database

pytestmark = [on_each_database, pytest.mark.usefixtures("index")]


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
        ('"ripe pears" "dataset 1"', ["dataset-1"]),
        ('"ripe pears" "dataset 2"', []),
        ('pears -"ripe pears"', ["dataset-2"]),
        ('"pears', ["dataset-1", "dataset-2"]),
        ("the figs", ["dataset-4"]),
        ("the", ["dataset-1"]),
        ("ripe-pears", ["dataset-1"]),
        ("PEAR", ["dataset-1", "dataset-2"]),
        ("pears -plum", ["dataset-1", "dataset-2"]),
        ("pe", []),
        ("!?", []),
        ("  ", ["dataset-1", "dataset-2", "dataset-3", "dataset-4"]),
    ],
)
def test_several_words_are_alternatives_quoted_ones_are_required_and_minus_excludes(text, names):
    register(
        dataset(1, readme="the ripe, Pears"),
        dataset(2, readme="plums and pears"),
        dataset(3, readme="plums"),
        dataset(4, readme="figs"),
    )
    assert found(free_text=text) == names


@pytest.mark.parametrize(
    "text",
    [
        '"QUOKKAS of an"',
        "rottnest",
        "größe.txt",
        "GROSSE",
        "50%_off",
        "smith",
        "dataset-1",
        uuid_of(1),
        "marsupial",
        "9e107d9d372bb6826bd81d3542a419d6",
        "浓度",
        "'quoted' & | ! ( ) : * \\ island",
    ],
)
def test_readme_items_annotations_tags_and_names_are_searched_without_case_or_diacritics(text):
    item = {"relpath": "Größe.txt", "size_in_bytes": 3, "hash": "9e107d9d372bb6826bd81d3542a419d6"}
    register(
        dataset(
            1,
            readme="---\ndescription: Quokkas of an island\nprice: 50%_off\n",
            annotations={"place": "Rottnest", "people": ["Smith"]},
            tags=["marsupial", "测量浓度"],
            manifest={"items": {"a": item}},
        ),
        dataset(2, readme="---\ndescription: 50 quolls, Xoff\n"),
    )
    assert found(free_text=text) == ["dataset-1"]


def test_a_phrase_does_not_cross_from_one_file_to_the_next():
    items = {name: {"relpath": name, "size_in_bytes": 1} for name in ("a/red", "blue/b")}
    register(dataset(1, manifest={"items": items}))
    assert found(free_text='"red blue"') == []
    assert found(free_text='"a/red"') == ["dataset-1"]


@pytest.mark.parametrize("between", [",", "_", "/", '":"', ", "])
def test_every_word_of_a_text_without_spaces_is_searched(between):
    words = [f"e\u0301tude{number:05}a\u0300" for number in range(1500)]
    text = between.join(words)
    [parts] = [row["content"] for row in text_rows({"readme": [text]})]
    assert parts.split() == [f"etude{number:05}a" for number in range(1500)]


def test_any_number_of_long_and_different_words_is_searched():
    long_word = "lang" * 1000
    readme = " ".join([long_word, *(f"{number:x}word" for number in range(60_000)), "last"])
    register(dataset(1, readme=readme), dataset(2))
    for text in ("0word", "ea5fword", '"ea5fword last"', long_word):
        assert found(free_text=text) == ["dataset-1"]


@pytest.mark.parametrize("text", ["x" * 100_000, "y " * 5_000, '"' * 999, "\0", "\ud800", "-" * 99])
def test_an_odd_free_text_is_searched_like_any_other(text):
    register(dataset(1))
    assert found(free_text=text) == []


@pytest.mark.database("sqlite", reason="nothing is asked of the database")
@pytest.mark.database("sqlite", reason="nothing is asked of the database")
@pytest.mark.parametrize("texts", [["\ufdfa" * 1_000_000], [1_000_000 * "a b "], repeat("tag")])
def test_of_texts_without_end_the_first_million_characters_are_searched(texts):
    assert sum(len(row["content"]) for row in text_rows({"tags": texts})) <= 1_001_500


def test_what_is_after_the_end_of_what_is_searched_is_kept_and_other_fields_are_searched():
    readme = f"beginning {60_000 * chr(0xFDFA)} end"
    register(
        dataset(
            1, readme=readme, manifest={"items": {"a": {"relpath": "file", "size_in_bytes": 1}}}
        )
    )
    assert found(free_text="beginning") == found(free_text="file") == ["dataset-1"]
    assert found(free_text="end") == []
    assert SQLRetrieve().get_readme(dataset(1)["uri"]) == readme


def test_words_without_a_meaning_are_ignored_beside_others():
    assert [term.words for term in parse("The cat is in").any_of] == [("cat",)]
    assert [term.words for term in parse("to be or not to be").any_of][:2] == [("to",), ("be",)]


@pytest.mark.database("sqlite", reason="nothing is asked of the database")
@pytest.mark.parametrize("text", ["a ", "! ", '"', "x", '"a b" '])
def test_of_a_query_without_end_only_the_beginning_is_read(text):
    query = text * 1_000_000
    tracemalloc.start()
    try:
        parse(query)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000  # bytes


@pytest.mark.database("sqlite", reason="nothing is asked of the database")
def test_a_term_is_searched_once():
    text = parse('"a b" ' * 10 + "-c " * 10)
    assert (len(text.all_of), len(text.none_of)) == (1, 1)


def test_many_phrases_are_one_subquery(statements):
    register(dataset(1, readme=" ".join(f"w{number} of" for number in range(100))))
    statements.clear()
    phrases = [f'"w{number} of"' for number in range(100)]
    assert found(free_text=" ".join(phrases)) == ["dataset-1"]
    assert found(free_text=" ".join([*phrases[1:], '"w100 of"'])) == []
    assert {statement.count("SELECT") for statement in statements} == {2}
