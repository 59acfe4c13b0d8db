"""A bucket's lifecycle document, changed without touching a byte of anybody else's rules.

Knows XML and where each ``<Rule>`` begins and ends in it. Makes no request, and reads no document
type or entity: a store's answer has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.lifecycle import Retention, Rule
from dserver_signed_url_plugin.storage.s3.lifecycle_rules import StoredRule, written

_ROOT = "LifecycleConfiguration"
EMPTY = (
    b'<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"</LifecycleConfiguration>"
)


class _Reader:
    """One pass over a document: its elements, the bytes of each rule, and where the last ends."""

    def __init__(self, xml: bytes) -> None:
        self._xml, self._depth = xml, 0
        self._tree = ElementTree.TreeBuilder()
        self._rule_start = 0
        self.spans: list[slice] = []
        self.end = 0
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._tree.data

    def read(self) -> ElementTree.Element:
        try:
            # Of bytes in another encoding, expat counts others than are cut out here.
            self._xml.decode()
            self._parser.Parse(self._xml, True)
        except (UnicodeDecodeError, expat.ExpatError) as error:
            raise StorageUnavailable(
                "The store",
                "sent a lifecycle document that is no XML in UTF-8, so it is left as it is",
            ) from error
        return self._tree.close()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._is_rule(name):
            self._rule_start = self._parser.CurrentByteIndex
        self._depth += 1
        self._tree.start(name, attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._tree.end(name)
        here = self._parser.CurrentByteIndex
        if self._is_rule(name):
            # Of <Rule/> expat tells where it ends, of <Rule></Rule> where the end tag begins.
            has_end_tag = self._xml.startswith(b"</Rule", here)
            end = self._xml.index(b">", here) + 1 if has_end_tag else here
            self.spans.append(slice(self._rule_start, end))
        elif self._depth == 0:
            self.end = here

    def _is_rule(self, name: str) -> bool:
        return self._depth == 1 and name == "Rule"

    @staticmethod
    def _refuse(*_: Any) -> NoReturn:
        raise StorageUnavailable(
            "The store", "sent a lifecycle document with a document type, which is not read"
        )


class Document:
    """A lifecycle configuration: bytes, and the rules in them.

    ``transition_minimum`` is a part of it that AWS keeps in a header: which objects are too small
    to be moved.

    :raises StorageUnavailable: if it is none.
    """

    def __init__(self, xml: bytes = EMPTY, transition_minimum: str | None = None) -> None:
        reader = _Reader(xml)
        self._root = reader.read()
        if self._root.tag != _ROOT:
            raise StorageUnavailable("The store", "sent no lifecycle document")
        self._spans = reader.spans
        # Without rules it may be spelled in a way that leaves no place for one.
        self.xml, self._end = (xml, reader.end) if self._spans else (EMPTY, EMPTY.index(b"</"))
        self.transition_minimum = transition_minimum
        self.rules: Sequence[StoredRule] = [
            StoredRule(xml[span], element)
            for span, element in zip(self._spans, self._root.iterfind("Rule"), strict=True)
        ]

    @property
    def ours(self) -> Sequence[StoredRule]:
        """Our rule, or nothing; somebody may have written it twice."""
        return [rule for rule in self.rules if rule.is_ours]

    @property
    def others(self) -> Mapping[str | Rule, bytes]:
        """Other people's rules: bytes by name, or by what they do where they have none."""
        return {rule.name or rule.told(): rule.xml for rule in self.rules if not rule.is_ours}

    def lost(self, others: Mapping[str | Rule, bytes]) -> Sequence[bytes]:
        """Return which of these rules, once seen, are no longer here.

        One without a name is here under any: some stores name it when it is written.
        """
        here = {replace(rule.told(), name="") for rule in self.rules} | self.others.keys()
        return [xml for key, xml in others.items() if key not in here]

    def lacks(self, wanted: Retention | None) -> Sequence[str] | None:
        """Return what our rule, however the store spells it, leaves undone of what is wanted.

        None where it has to be written: it is not there, or it is another rule.
        """
        if wanted is None:
            return None if self.ours else ()
        told, spelled = [rule.told() for rule in self.ours], _told(wanted)
        if [replace(rule, does=()) for rule in told] != [replace(spelled, does=())]:
            return None
        does, (expiry, *_) = set(told[0].does), spelled.does
        if expiry not in does or does - set(spelled.does):
            return None
        return tuple(part for part in spelled.does if part not in does)

    def misdirects(self, wanted: Retention) -> bool:
        """Tell whether our rule does nothing but what is wanted, but to other objects."""
        told, spelled = [rule.told() for rule in self.ours], _told(wanted)
        return any(
            rule.does and set(rule.does) <= set(spelled.does)
            for rule in told
            if rule.applies_to != spelled.applies_to
        )

    def changed(self, wanted: Retention | None, kept: Iterable[bytes] = ()) -> Document:
        """Return it with our rule as wanted, and with these rules added."""
        # AWS takes a document with filters, or one with prefixes as before there were filters.
        first_version = any(r.is_of_the_first_version for r in self.rules if not r.is_ours)
        added = [*kept, *([] if wanted is None else [written(wanted, first_version)])]
        xml = self.xml[: self._end] + b"".join(added) + self.xml[self._end :]
        for rule, span in reversed(list(zip(self.rules, self._spans, strict=True))):
            if rule.is_ours:
                xml = xml[: span.start] + xml[span.stop :]
        return Document(xml, self.transition_minimum)

    def __str__(self) -> str:
        """Return it for people to read, and for s3cmd to set."""
        ElementTree.indent(self._root)
        text = ElementTree.tostring(self._root, encoding="unicode")
        return f'<?xml version="1.0"?>\n{text}'


def _told(wanted: Retention) -> Rule:
    [rule] = Document().changed(wanted).rules
    return rule.told()
