"""The language of free text queries, which is that of MongoDB's ``$text``.

See https://www.mongodb.com/docs/manual/reference/operator/query/text/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from dserver_sql_index.words import words_of

# A minus sign excludes only at the beginning of a word: "time-limited" is an ordinary one.
_TERM = re.compile(r'(?:(?<!\S)(-))?(?:"([^"]*)"|([^\s"]+))')
# Databases limit the depth of an expression and the length of a LIKE pattern.
_MAX_TERMS = 100
_MAX_TERM_LENGTH = 1000
# What follows is not read: a request may have many megabytes.
_MAX_LENGTH = _MAX_TERMS * (_MAX_TERM_LENGTH + 1)
# Almost every dataset contains these, so they say nothing beside other words.
_STOP_WORDS = frozenset(
    words_of(
        "a an and are as at be but by for from has have he her his I if in into is it its my no "
        "not of on or our she so such that the their then there these they this to was we were "
        "with you your"
    )
)


@dataclass(frozen=True)
class Term:
    """Words that have to follow each other; the last may be the beginning of a longer word.

    :param is_excluded: whether no dataset with it is wanted.
    :param is_phrase: whether it is quoted.
    """

    words: tuple[str, ...]
    is_excluded: bool = False
    is_phrase: bool = False

    @property
    def is_prefix(self) -> bool:
        """Return whether longer words match, too. Too many begin with one or two letters."""
        return not self.is_excluded and len(self.words[-1]) > 2


@dataclass(frozen=True)
class FreeText:
    """A query, in three parts: a dataset has all, at least one, and none of these terms."""

    all_of: tuple[Term, ...]
    any_of: tuple[Term, ...]
    none_of: tuple[Term, ...]

    @property
    def finds_nothing(self) -> bool:
        """Return whether it asks for no term, as one that only excludes does in MongoDB."""
        return not self.all_of and not self.any_of


def parse(query: str) -> FreeText:
    """Return the terms of a query, each once; those after the hundredth are ignored."""
    terms = dict.fromkeys(islice(_terms(query[:_MAX_LENGTH]), _MAX_TERMS))
    wanted = [term for term in terms if not term.is_excluded]
    phrases = tuple(term for term in wanted if term.is_phrase)
    words = [term for term in wanted if not term.is_phrase]
    distinctive = [term for term in words if not _STOP_WORDS.issuperset(term.words)]
    return FreeText(
        all_of=phrases,
        # As in MongoDB, beside a phrase other words decide nothing.
        any_of=() if phrases else tuple(distinctive or words),
        none_of=tuple(term for term in terms if term.is_excluded),
    )


def _terms(query: str) -> Iterator[Term]:
    for found in _TERM.finditer(query):
        minus, phrase, word = found.groups(default="")
        words = tuple(words_of((phrase or word)[:_MAX_TERM_LENGTH]))
        if words:
            yield Term(words, is_excluded=bool(minus), is_phrase=bool(phrase))
