"""SQL conditions for the queries that dserver passes to a search plugin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dservercore import ValidationError
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Text,
    and_,
    any_,
    case,
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
from dserver_sql_index.tables import datasets, is_postgresql, tags, texts
from dserver_sql_index.words import is_storable

Condition = ColumnElement[bool]

# Alternatives of a query, or tags.
_MAX_VALUES = 100_000
# Words of one term that are looked up in the index: the longest, which are the rarest.
_MAX_LOOKED_UP = 8


def conditions(query: Mapping[str, Any]) -> Iterator[Condition]:
    """Return conditions that datasets have to meet, all of them.

    :raises ValidationError: if a list of the query is too long.
    """
    for name in ("base_uris", "uuids", "creator_usernames", "tags"):
        if len(query.get(name) or ()) > _MAX_VALUES:
            raise ValidationError(f"A search takes at most {_MAX_VALUES} {name}.")
    if "base_uris" in query:
        # dserver passes only base URIs that the user may search: an empty list finds nothing.
        yield _is_among(datasets.c.base_uri, query["base_uris"])
    if query.get("uuids"):
        yield _is_among(datasets.c.uuid, query["uuids"])
    if query.get("creator_usernames"):
        yield _is_among(datasets.c.creator_username, query["creator_usernames"])
    if query.get("tags"):
        yield _has_all(tag_digests(query["tags"]))
    if text := str(query.get("free_text") or "").strip():
        yield from _has_text(text)


def _is_among(column: ColumnElement[str], values: Iterable[Any]) -> Condition:
    storable = sorted(filter(is_storable, set(map(str, values))))
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
    if text.all_of:
        yield _has_each(text.all_of)
    if text.any_of:
        yield _has_any(text.any_of)
    if text.none_of:
        yield ~_has_any(text.none_of)


def _has_each(terms: Sequence[Term]) -> Condition:
    """Return one condition for all terms: to plan a subquery for each takes PostgreSQL long."""
    found = select(texts.c.dataset_id).where(_contains_any(terms))
    found = found.group_by(texts.c.dataset_id)
    # Terms may be in different texts of a dataset.
    of_each = (func.max(case((_matches(term), 1), else_=0)) == 1 for term in terms)
    return datasets.c.id.in_(found.having(and_(*of_each)))


def _has_any(terms: Sequence[Term]) -> Condition:
    found = select(texts.c.dataset_id).where(or_(*map(_matches, terms)))
    return datasets.c.id.in_(found)


def _matches(term: Term) -> Condition:
    return _matches_words(term) if is_postgresql() else _matches_content(term)


def _contains_any(terms: Sequence[Term]) -> Condition:
    """Return a condition that every text with one of the terms meets, but others may."""
    if is_postgresql():
        return _fits_tsquery(" | ".join(map(_tsquery, terms)))
    return or_(*map(_matches_content, terms))


def _matches_words(term: Term) -> Condition:
    """Return the condition for a tsvector, which does not keep the order of words."""
    matches = _fits_tsquery(_tsquery(term))
    return and_(matches, _matches_content(term)) if len(term.words) > 1 else matches


def _fits_tsquery(query: str) -> Condition:
    condition: Condition = texts.c.words.bool_op("@@")(cast(literal(query), TSQUERY))
    return condition


def _tsquery(term: Term) -> str:
    *first, last = [f"'{word}'" for word in term.words]
    words = {*first, f"{last}:*" if term.is_prefix else last}
    longest = sorted(words, key=lambda word: (len(word), word))[-_MAX_LOOKED_UP:]
    return f"({' & '.join(longest)})"


def _matches_content(term: Term) -> Condition:
    # Words have no character with a meaning in a pattern.
    pattern = f"% {' '.join(term.words)}{'' if term.is_prefix else ' '}%"
    return texts.c.content.like(pattern)
