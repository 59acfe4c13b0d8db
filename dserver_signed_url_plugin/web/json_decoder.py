"""Decodes and validates JSON in one step, and names the field that is wrong.

Translates msgspec's errors, and estimates how much memory values take. ``announcement`` has the
types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from dserver_signed_url_plugin.errors import InvalidField, UnreadableBody
from dserver_signed_url_plugin.web.json_faults import Fault, first_fault, may_hold_nul

# The most bytes of memory that CPython needs per sign: an object with its first table, a list, an
# entry of a growing object, a number and its slot in a list, and half of a short string.
_COSTS = {b"{": 240, b"[": 88, b":": 80, b",": 40, b'"': 32}

_MESSAGE = re.compile(r"(?P<words>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_STEP = re.compile(r"[^.\[\]]+")
_NAMED = re.compile(
    r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`", re.S
)
_BYTE = re.compile(r"\(byte (\d+)\)$")
_MAX_NAME_CHARACTERS = 100

Value = TypeVar("Value")


def decoded(
    raw: bytes | msgspec.Raw,
    kind: type[Value],
    reasons: Mapping[str, str],
    field: str = "",
) -> Value:
    """Decode JSON into a value of a type.

    :param reasons: by field name, why a value does not fit.
    :param field: the field that the JSON was taken from; empty for a whole body.
    :raises InvalidField: with the field: 422 for JSON that does not fit, 400 for text that cannot
        be kept and for too much nesting.
    :raises UnreadableBody: for anything but JSON.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), reasons, field) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(first_fault(bytes(raw), _byte(error)), field) from error


def check_text(raw: bytes, field: str = "") -> None:
    """Refuse JSON with a NUL in a string, as far as a second of work finds it.

    :param field: the field that the JSON was taken from; empty for a whole body.
    :raises InvalidField: naming the field.
    """
    if may_hold_nul(raw):
        fault = first_fault(raw, None)
        if fault.is_json:
            raise _refused(fault, field)


def check_is_object(raw: bytes) -> None:
    """Refuse anything but a JSON object, without creating its values.

    :raises InvalidField: if it is nested too deeply, or is another JSON value.
    :raises UnreadableBody: for anything but JSON.
    """
    if raw.lstrip()[:1] != b"{":
        decoded(raw, msgspec.Raw, {})
        raise InvalidField("body", "Invalid input type: send an object.", status=422)


def max_memory(raw: bytes | msgspec.Raw) -> int:
    """Return the most bytes of memory that the values of this JSON can take."""
    written = bytes(raw)
    return len(written) + sum(written.count(sign) * cost for sign, cost in _COSTS.items())


def _invalid(message: str, reasons: Mapping[str, str], field: str) -> InvalidField:
    """Translate msgspec's message about a value, and name its field."""
    found = _MESSAGE.fullmatch(message)
    words, path = (found["words"], found["path"] or "") if found else (message, "")
    steps = [*filter(None, [field]), *_STEP.findall(path)]
    named = _NAMED.fullmatch(words)
    if named:
        steps.append(named[2][:_MAX_NAME_CHARACTERS])
        is_missing = named[1] == "missing required"
        reason = "Missing data for required field." if is_missing else "Unknown field."
    else:
        last = next((step for step in reversed(steps) if not step.isdigit()), "")
        too_wide = words.endswith("out of range") and last in ("annotations", "overlays")
        reason = "Holds a number out of range." if too_wide else reasons.get(last, words + ".")
    return InvalidField(".".join(steps) or "body", reason, status=422)


def _refused(fault: Fault, field: str) -> InvalidField | UnreadableBody:
    place = ".".join(filter(None, [field, fault.path]))
    if fault.is_json and place:
        return InvalidField(place, fault.reason)
    if fault.is_number and place:
        # 400 where any JSON value is allowed: there it is dtool that cannot keep it.
        free = place.split(".")[0] in ("annotations", "overlays")
        return InvalidField(place, fault.reason, status=400 if free else 422)
    within = f", in {place}" if place else ""
    at = "" if fault.byte is None else f"at byte {fault.byte}{within}, "
    return UnreadableBody(f"{at}it {fault.reason}", place)


def _byte(error: Exception) -> int | None:
    found = _BYTE.search(str(error))
    return int(found[1]) if found else None
