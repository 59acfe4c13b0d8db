"""Chooses the items of a share, by their relpaths or by patterns of relpaths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from dserver_signed_url_plugin.downloads.selection import MAX_ITEMS, Selection
from dserver_signed_url_plugin.errors import InvalidField, ItemNotFound
from dserver_signed_url_plugin.shares.relpaths import Relpaths
from dserver_signed_url_plugin.storage.values import Item

_FIELD = "items"
# How many of the relpaths that there are not a message names, and characters of each.
_NAMED, _CHARACTERS = 10, 200


def chosen_items(
    entries: Mapping[str, Item], relpaths: Sequence[str] | None, patterns: Sequence[str]
) -> dict[str, Item] | None:
    """Return the items by identifier, or None if neither relpaths nor patterns are given.

    :param entries: all items of the dataset, by identifier.
    :param patterns: relpaths, or patterns in fnmatch's syntax.
    :raises InvalidField: if there is no such item, or if there are too many; it names them.
    """
    if relpaths is None and not patterns:
        return None
    known = {item.relpath: item for item in entries.values()}
    names = Relpaths(known, "there is none of this name.")
    found = _named(names, relpaths or ())
    matching = {pattern: _matching(names, pattern, entries) for pattern in patterns}
    if unmatched := [_short(pattern) for pattern, matched in matching.items() if not matched]:
        raise InvalidField(_FIELD, f"no item matches {' or '.join(unmatched)}.", status=422)
    for matched in matching.values():
        found |= matched
    if not found:
        raise InvalidField(_FIELD, "is empty; leave it out to share all items.", status=422)
    if len(found) > MAX_ITEMS:
        raise InvalidField(_FIELD, f"would be more than {MAX_ITEMS:,} items.", status=422)
    return {known[relpath].identifier: known[relpath] for relpath in found}


def _named(names: Relpaths, relpaths: Sequence[str]) -> dict[str, None]:
    found: dict[str, None] = {}
    problems: list[ItemNotFound] = []
    for relpath in relpaths:
        try:
            name = names.find(relpath)
        except ItemNotFound as error:
            problems.append(error)
            continue
        if name in found:
            raise InvalidField(_FIELD, f"names {_short(name)} twice.", status=422)
        found[name] = None
    if problems:
        raise InvalidField(_FIELD, _missing(problems), status=422)
    return found


def _missing(problems: Sequence[ItemNotFound]) -> str:
    if len(problems) == 1:
        return f"the dataset has no {problems[0].item}; {problems[0].hint}"
    named = ", ".join(error.item[:_CHARACTERS] for error in islice(problems, _NAMED))
    more = f" and {len(problems) - _NAMED:,} more" if len(problems) > _NAMED else ""
    return f"the dataset has no {named}{more}."


def _matching(names: Relpaths, pattern: str, entries: Mapping[str, Item]) -> dict[str, None]:
    try:
        return {names.find(pattern): None}
    except ItemNotFound:
        found, _ = Selection(match=pattern).chosen(entries)
    return dict.fromkeys(item.relpath for item in found.values())


def _short(name: str) -> str:
    return repr(name)[:_CHARACTERS]
