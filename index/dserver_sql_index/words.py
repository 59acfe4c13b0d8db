"""What counts as a word, in datasets and in queries."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain

# Letters and digits; each character of a script that does not separate words is a word of its own.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")
# A piece of a text, which ends before white space or punctuation if there is any. NFKD makes up to
# 18 characters of one.
_PIECE = re.compile(r".{1,4096}(?=[\s!-/:-@\[-`{-~]|\Z)|.{4096}", re.DOTALL)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# A lexeme of PostgreSQL has at most 2,046 bytes; a character at most four.
_MAX_LENGTH = 255
# The lexemes of a tsvector have less than 1 MiB together.
_PART_LENGTH = 200_000


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a text, without case and diacritics, in the text's order."""
    for piece in _PIECE.finditer(text):
        part = piece[0]
        plain = part.lower() if part.isascii() else _without_diacritics(part.casefold())
        for word in _WORD.finditer(plain):
            yield word[0][:_MAX_LENGTH]


def parts_of(texts: Iterable[str]) -> Iterator[str]:
    """Yield the words of several texts in parts, each for one row; none if they have no word.

    Each word is between spaces, and a line feed between texts that do not belong together.
    """
    content: list[str] = []
    length = 0
    for text in texts:
        for word in chain(words_of(text), "\n"):
            content.append(word)
            length += len(word) + 1
            if length > _PART_LENGTH:
                yield f" {' '.join(content)} "
                content, length = [], 0
    if any(word != "\n" for word in content):
        yield f" {' '.join(content)} "


def _without_diacritics(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(each for each in decomposed if not unicodedata.combining(each))
    # Composed again, because a syllable of Hangul is one character.
    return unicodedata.normalize("NFC", plain)


def is_storable(text: str) -> bool:
    """Return whether every database can store a text: without NUL, and without surrogates."""
    return not _UNSTORABLE.search(text)
