"""Finds where bytes stop being JSON that can be stored, and in which field, token by token.

Knows the tokens of RFC 8259; creates no values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

UNSTORABLE = "has a NUL or half of a surrogate pair, which no database stores."

# Reading a token takes about a microsecond, so that a refusal takes at most about a second.
_MAX_TOKENS = 1_000_000
_MAX_STEPS = 20
# Fewer levels than any decoder accepts, and more than dserver stores.
_MAX_LEVELS = 200
_MAX_NAME_BYTES = 100
_MARKS = b"[]{}:,"
_TOKEN = re.compile(rb'\s*(["\][{}:,]|[^\s"\][{}:,]+)')
_WORD = re.compile(rb"true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_NO_NUMBER = re.compile(rb"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_ESCAPE = re.compile(rb"\\(u[0-9a-fA-F]{4}|[^u])")
_CONTROL = re.compile(rb"[\x00-\x1f]")


@dataclass(frozen=True)
class Fault:
    """The first fault.

    ``path`` names the field, with dots, and is empty if unknown; ``reason`` completes a sentence
    that begins with it. ``is_json`` is True for JSON that cannot be stored.
    """

    path: str
    byte: int | None
    reason: str
    is_json: bool = False
    is_number: bool = False


class _TokenReader:
    """Goes through the tokens, and keeps track of the field."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._position = raw, 0
        self._path: list[bytes | int] = []
        self._text = b""

    def fault(self, byte: int | None) -> Fault:
        """Return the first fault, at this byte at the latest, where the decoder stopped."""
        for _ in range(_MAX_TOKENS):
            token = _TOKEN.match(self._raw, self._position)
            if token is None:
                return self._found("ends too early, or is cut off.")
            self._position = token.start(1)
            if self._is_past(byte, token[1]):
                break
            fault = self._read(token[1])
            if fault is not None:
                return fault
        else:
            return Fault("", byte, "cannot be read, or holds half of a surrogate pair.")
        self._position = byte or self._position
        return self._found("cannot be read.")

    def _is_past(self, byte: int | None, token: bytes) -> bool:
        """Return whether the decoder stopped here; a string or a word is read to find out why."""
        if byte is None:
            return False
        return self._position >= byte if token in _MARKS else self._position > byte

    def _read(self, token: bytes) -> Fault | None:
        if token == b'"':
            return self._read_text()
        if token in _MARKS:
            self._step(token)
            if len(self._path) > _MAX_LEVELS:
                return self._found("is nested too deeply to be read.", is_json=True)
        elif _NO_NUMBER.fullmatch(token):
            return self._found("is NaN or infinity, which JSON does not have.", is_number=True)
        elif not _WORD.fullmatch(token):
            return self._found("has a word that is not JSON.")
        self._position += len(token)
        return None

    def _read_text(self) -> Fault | None:
        start = self._position + 1
        end = self._end_of_text(start)
        if end < 0:
            return self._found("ends too early, or is cut off.")
        self._text = self._raw[start:end]
        reason = _wrong_with(self._text)
        if reason is not None:
            return self._found(reason, is_json=reason == UNSTORABLE)
        self._position = end + 1
        return None

    def _end_of_text(self, start: int) -> int:
        end = self._raw.find(b'"', start)
        while end >= 0 and self._is_escaped(end, start):
            end = self._raw.find(b'"', end + 1)
        return end

    def _is_escaped(self, position: int, start: int) -> bool:
        first = position
        while first > start and self._raw[first - 1] == ord("\\"):
            first -= 1
        return (position - first) % 2 == 1

    def _step(self, token: bytes) -> None:
        if token in b"[{":
            self._path.append(0 if token == b"[" else b"")
        elif token in b"]}":
            del self._path[-1:]
        elif token == b":" and self._path:
            self._path[-1] = self._text[:_MAX_NAME_BYTES]
        elif token == b"," and self._path:
            here = self._path[-1]
            self._path[-1] = here + 1 if isinstance(here, int) else b""

    def _found(self, reason: str, *, is_json: bool = False, is_number: bool = False) -> Fault:
        steps = [
            step.decode(errors="replace") if isinstance(step, bytes) else str(step)
            for step in self._path[:_MAX_STEPS]
        ]
        path = ".".join(filter(None, steps))
        return Fault(path, self._position, reason, is_json, is_number)


def first_fault(raw: bytes, byte: int | None) -> Fault:
    """Return the fault for which a decoder refused the JSON.

    :param byte: where it stopped, if known.
    """
    return _TokenReader(raw).fault(byte)


def may_hold_nul(raw: bytes) -> bool:
    """Return, fast, whether ``first_fault`` might find a NUL, which no database stores."""
    return b"\\u0000" in raw


def _wrong_with(text: bytes) -> str | None:
    try:
        text.decode()
    except UnicodeDecodeError:
        return (
            "is not UTF-8: send JSON in UTF-8, or name its encoding, as in 'Content-Type: "
            "application/json; charset=iso-8859-1'."
        )
    if _CONTROL.search(text):
        return "has a control character that is not escaped."
    return UNSTORABLE if _is_unstorable(text) else None


def _is_unstorable(text: bytes) -> bool:
    first_half_ends = -1
    for escape in _ESCAPE.finditer(text):
        code = int(escape[1][1:], 16) if escape[1][:1] == b"u" else -1
        if code == 0:
            return True
        if first_half_ends >= 0:
            if escape.start() != first_half_ends or not 0xDC00 <= code <= 0xDFFF:
                return True
            first_half_ends = -1
        elif 0xD800 <= code <= 0xDBFF:
            first_half_ends = escape.end()
        elif 0xDC00 <= code <= 0xDFFF:
            return True
    return first_half_ends >= 0
