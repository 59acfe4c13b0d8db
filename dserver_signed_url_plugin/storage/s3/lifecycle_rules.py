"""Lifecycle rules of S3: which keys a ``<Rule>`` applies to, and what it does, in words.

Makes no request. Source: AWS, "Lifecycle configuration elements"; an action that is not described
there is shown by the name of its element.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from math import inf
from xml.etree.ElementTree import Element, SubElement

from dserver_signed_url_plugin.storage.lifecycle import Retention, Rule

OURS = "dserver-signed-url-expire"

_START_OF_UUID = re.compile(r"[0-9a-f-]{0,36}(/.*)?", re.DOTALL)
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_CONDITIONS = frozenset({"ID", "Status", "Prefix", "Filter"})


@dataclass(frozen=True, eq=False)
class StoredRule:
    """One rule as the store has it."""

    element: Element

    @property
    def name(self) -> str:
        return self._text("ID")

    @property
    def is_ours(self) -> bool:
        return self.name == OURS

    @property
    def is_enabled(self) -> bool:
        return self._text("Status") == "Enabled"

    @property
    def is_of_the_first_version(self) -> bool:
        """Return whether it has a prefix of its own, as before filters were introduced."""
        return self.element.find("Filter") is None and self.element.find("Prefix") is not None

    @cached_property
    def prefix(self) -> str:
        spellings = ("Prefix", "Filter/Prefix", "Filter/And/Prefix")
        return next(filter(None, map(self._text, spellings)), "")

    @property
    def expires(self) -> bool:
        return bool(self._text("Expiration/Days") or self._text("Expiration/Date"))

    @property
    def is_for_some_sizes(self) -> bool:
        return self._larger_than > 0 or self._smaller_than < inf

    def ends(self, written: datetime) -> datetime | None:
        """Return the time (UTC) from which it deletes what was written at a time, if it does."""
        # A date is midnight in S3. What is no date, or after all of them, is never.
        with suppress(ValueError, OverflowError):
            if days := self._text("Expiration/Days").strip():
                return written + timedelta(days=int(days))
            day = self._text("Expiration/Date").strip()[:10]
            return datetime.strptime(f"{day} +0000", "%Y-%m-%d %z")
        return None

    def aborts(self, begun: datetime) -> datetime | None:
        """Return the time (UTC) from which it aborts a multipart upload begun then, if it does."""
        with suppress(ValueError, OverflowError):
            if days := self._text("AbortIncompleteMultipartUpload/DaysAfterInitiation").strip():
                return begun + timedelta(days=int(days))
        return None

    def reaches(self, key: str, size_in_bytes: int) -> bool:
        """Return whether it applies to an object, which has no tags."""
        fits = self._larger_than < size_in_bytes < self._smaller_than
        return fits and key.startswith(self.prefix) and not self.needs_tags

    @property
    def archives(self) -> bool:
        found = self.element.iterfind("Transition/StorageClass")
        return any(storage_class.text in _ARCHIVES for storage_class in found)

    @property
    def ends_old_versions(self) -> bool:
        return self.element.find("NoncurrentVersionExpiration") is not None

    @cached_property
    def needs_tags(self) -> bool:
        """Return whether it reaches tagged objects only; those of datasets have no tags of S3's."""
        return next(self.element.iter("Tag"), None) is not None

    def reaches_datasets(self, dataset_prefix: str) -> bool:
        """Return whether it matches keys that a dataset may have."""
        return not self.needs_tags and any(
            _may_begin_with(self.prefix, start) for start in ("dtool-", dataset_prefix)
        )

    def described(self) -> Rule:
        """Return it in words."""
        does = [words for part in self.element for words in _effects(part)]
        return Rule(self.name, self.is_ours, self.is_enabled, self._scope(), tuple(does))

    def _scope(self) -> str:
        conditions = [f"whose key begins with {self.prefix!r}"] if self.prefix else []
        tags = (
            f"{tag.findtext('Key')}={tag.findtext('Value')}" for tag in self.element.iter("Tag")
        )
        conditions += [f"tagged {tag}" for tag in sorted(tags)]
        for element, words in (("Greater", "larger"), ("Less", "smaller")):
            for size in self.element.iter(f"ObjectSize{element}Than"):
                # Stores answer 0 where no least size was given.
                conditions += [] if size.text == "0" else [f"{words} than {size.text} bytes"]
        return f"objects {' and '.join(conditions)}" if conditions else "all objects"

    @cached_property
    def _larger_than(self) -> float:
        # Stores answer 0 where no least size was given, and mean all objects.
        return self._size("Greater") or -1

    @cached_property
    def _smaller_than(self) -> float:
        return self._size("Less") or inf

    def _size(self, word: str) -> int:
        texts = [each.text or "" for each in self.element.iter(f"ObjectSize{word}Than")]
        return max((int(text) for text in texts if text.isdecimal()), default=0)

    def _text(self, path: str) -> str:
        return self.element.findtext(path) or ""


def written(lifetime: Retention, *, first_version: bool) -> Element:
    """Return our rule as a ``<Rule>``.

    :param first_version: whether the others are, beside which AWS refuses a filter.
    """
    rule = Element("Rule")
    _add(rule, "ID", OURS)
    _add(rule, "Prefix" if first_version else "Filter/Prefix", lifetime.prefix)
    _add(rule, "Status", "Enabled")
    if lifetime.days is not None:
        _add(rule, "Expiration/Days", lifetime.days)
    if lifetime.abort_incomplete_days is not None:
        # In the same rule, because MinIO keeps none that does nothing else.
        path = "AbortIncompleteMultipartUpload/DaysAfterInitiation"
        _add(rule, path, lifetime.abort_incomplete_days)
    if lifetime.old_version_days is not None:
        _add(rule, "NoncurrentVersionExpiration/NoncurrentDays", lifetime.old_version_days)
    return rule


def _add(element: Element, path: str, value: str | int) -> None:
    """Add an element with a text below another, and those between."""
    for tag in path.split("/"):
        element = SubElement(element, tag)
    element.text = str(value)


def _may_begin_with(prefix: str, start: str) -> bool:
    """Return whether a key of ``start`` and a UUID can begin with prefix."""
    if start.startswith(prefix):
        return True
    return prefix.startswith(start) and bool(_START_OF_UUID.fullmatch(prefix.removeprefix(start)))


# Text ---------------------------------------------------------------------------------------


def _effects(part: Element) -> Iterator[str]:
    if part.tag in _CONDITIONS:
        return
    if part.tag in _WORDS:
        yield from _WORDS[part.tag](part)
    else:
        yield f"{part.tag} (see it with --xml)"


def _expiration(part: Element) -> Iterator[str]:
    if part.find("Days") is not None:
        yield f"deleted {_days(part, 'Days')} after they were written"
    if part.find("Date") is not None:
        yield f"deleted from {part.findtext('Date')} on"
    if part.findtext("ExpiredObjectDeleteMarker") == "true":
        yield "delete markers removed when no version is left"


def _transition(part: Element) -> Iterator[str]:
    date = part.findtext("Date")
    when = f"from {date} on" if date else f"{_days(part, 'Days')} after they were written"
    yield f"moved to {part.findtext('StorageClass')} {when}"


def _old_versions_end(part: Element) -> Iterator[str]:
    yield f"old versions deleted {_age_of_versions(part)}"


def _old_versions_move(part: Element) -> Iterator[str]:
    yield f"old versions moved to {part.findtext('StorageClass')} {_age_of_versions(part)}"


def _age_of_versions(part: Element) -> str:
    kept = part.findtext("NewerNoncurrentVersions")
    exception = f", except the newest {kept}" if kept else ""
    return f"{_days(part, 'NoncurrentDays')} after they were replaced{exception}"


def _unfinished_uploads(part: Element) -> Iterator[str]:
    yield f"unfinished multipart uploads dropped after {_days(part, 'DaysAfterInitiation')}"


def _days(part: Element, name: str) -> str:
    number = part.findtext(name, "0")
    return f"{number} day" if number == "1" else f"{number} days"


_WORDS: dict[str, Callable[[Element], Iterator[str]]] = {
    "Expiration": _expiration,
    "Transition": _transition,
    "NoncurrentVersionExpiration": _old_versions_end,
    "NoncurrentVersionTransition": _old_versions_move,
    "AbortIncompleteMultipartUpload": _unfinished_uploads,
}
