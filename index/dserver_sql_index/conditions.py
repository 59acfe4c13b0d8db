"""SQL conditions for the queries that dserver passes to a search plugin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dservercore import sql_db
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Text,
    and_,
    any_,
    cast,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from dserver_sql_index.documents import tag_digests
from dserver_sql_index.free_text import Term, parse
from dserver_sql_index.tables import datasets, tags, texts
from dserver_sql_index.words import is_storable

Condition = ColumnElement[bool]


def conditions(query: Mapping[str, Any]) -> Iterator[Condition]:
    """Return conditions that datasets have to meet, all of them."""
    if "base_uris" in query:
        # dserver passes only base URIs that the user may search: an empty list finds nothing.
        yield _is_among(datasets.c.base_uri, query["base_uris"])
    if query.get("uuids"):
        yield _is_among(datasets.c.uuid, map(str, query["uuids"]))
    if query.get("creator_usernames"):
        yield _is_among(datasets.c.creator_username, query["creator_usernames"])
    if query.get("tags"):
        yield _has_all(tag_digests(query["tags"]))
    if query.get("free_text", "").strip():
        yield from _has_text(query["free_text"])


def is_postgresql() -> bool:
    """Return whether dserver's database is a PostgreSQL."""
    return str(sql_db.session.get_bind().dialect.name) == "postgresql"


def _is_among(column: ColumnElement[str], values: Iterable[str]) -> Condition:
    storable = sorted({value for value in values if is_storable(value)})
    if is_postgresql():
        # As one parameter: a statement has at most 65,535.
        return column == any_(cast(storable, ARRAY(Text)))
    return column.in_(storable)


def _has_all(digests: set[str]) -> Condition:
    matching = select(tags.c.dataset_id).where(_is_among(tags.c.digest, digests))
    matching = matching.group_by(tags.c.dataset_id).having(func.count() == len(digests))
    return datasets.c.id.in_(matching)


def _has_text(query: str) -> Iterator[Condition]:
    text = parse(query)
    if text.finds_nothing:
        yield false()
        return
    for term in text.all_of:
        yield _has_any([term])
    if text.any_of:
        yield _has_any(text.any_of)
    if text.none_of:
        yield ~_has_any(text.none_of)


def _has_any(terms: Sequence[Term]) -> Condition:
    matches = _matches_words if is_postgresql() else _matches_content
    found = select(texts.c.dataset_id).where(or_(*map(matches, terms)))
    return datasets.c.id.in_(found)


def _matches_words(term: Term) -> Condition:
    """Return the condition for a tsvector, which does not know in which order words are."""
    *first, last = [f"'{word}'" for word in term.words]
    query = " & ".join([*first, f"{last}:*" if term.is_prefix else last])
    matches: Condition = texts.c.words.bool_op("@@")(cast(literal(query), TSQUERY))
    return and_(matches, _matches_content(term)) if first else matches


def _matches_content(term: Term) -> Condition:
    # Words have no character with a meaning in a pattern.
    pattern = f"% {' '.join(term.words)}{'' if term.is_prefix else ' '}%"
    return texts.c.content.like(pattern)
