"""A bucket's lifecycle document, changed without touching a byte of anybody else's rules.

Knows XML and where each ``<Rule>`` begins and ends in it. Makes no request, and reads no document
type or entity: a store's answer has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.lifecycle import Lifetime, Rule
from dserver_signed_url_plugin.storage.s3.lifecycle_rules import StoredRule, written

_ROOT = "LifecycleConfiguration"
EMPTY = (
    b'<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"</LifecycleConfiguration>"
)


class _Reader:
    """One pass over a document: its elements, and the bytes of each rule."""

    def __init__(self, xml: bytes) -> None:
        self._xml, self._depth = xml, 0
        self._tree = ElementTree.TreeBuilder()
        self._rule_start = 0
        self.spans: list[slice] = []
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._tree.data

    def read(self) -> ElementTree.Element:
        try:
            self._parser.Parse(self._xml, True)
        except expat.ExpatError as error:
            raise StorageUnavailable("The store's lifecycle document is no XML.") from error
        return self._tree.close()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._is_rule(name):
            self._rule_start = self._parser.CurrentByteIndex
        self._depth += 1
        self._tree.start(name, attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._tree.end(name)
        if self._is_rule(name):
            end = self._xml.index(b">", self._parser.CurrentByteIndex) + 1
            self.spans.append(slice(self._rule_start, end))

    def _is_rule(self, name: str) -> bool:
        return self._depth == 1 and name == "Rule"

    @staticmethod
    def _refuse(*_: Any) -> NoReturn:
        raise StorageUnavailable(
            "The store's lifecycle document has a document type, which is not read."
        )


class Document:
    """A lifecycle configuration: bytes, and the rules in them.

    :raises StorageUnavailable: if it is none.
    """

    def __init__(self, xml: bytes = EMPTY) -> None:
        reader = _Reader(xml)
        self._root = reader.read()
        if self._root.tag != _ROOT:
            raise StorageUnavailable("The store's answer is no lifecycle document.")
        self._spans = reader.spans
        # Without rules it may be spelled in a way that leaves no place for one.
        self.xml = xml if self._spans else EMPTY
        self.rules: Sequence[StoredRule] = [
            StoredRule(xml[span], element)
            for span, element in zip(self._spans, self._root.iterfind("Rule"), strict=True)
        ]

    @property
    def others(self) -> Mapping[str | Rule, bytes]:
        """Other people's rules: bytes by name, or by what they do where they have none."""
        return {rule.name or rule.told(): rule.xml for rule in self.rules if not rule.is_ours}

    def has(self, wanted: Lifetime | None) -> bool:
        """Tell whether our rule, however the store spells it, does what is wanted."""
        ours = [rule.told() for rule in self.rules if rule.is_ours]
        if wanted is None:
            return not ours
        spelled = Document(_appended(EMPTY, [written(wanted, first_version=False)]))
        return ours == [rule.told() for rule in spelled.rules]

    def changed(self, wanted: Lifetime | None, kept: Iterable[bytes] = ()) -> Document:
        """Return it with our rule as wanted, and with these rules of others added."""
        xml, others = self.xml, [rule for rule in self.rules if not rule.is_ours]
        for rule, span in reversed(list(zip(self.rules, self._spans, strict=True))):
            if rule.is_ours:
                xml = xml[: span.start] + xml[span.stop :]
        # AWS takes a document with filters, or one with prefixes as before there were filters.
        first_version = any(rule.is_of_the_first_version for rule in others)
        added = [*kept, *([] if wanted is None else [written(wanted, first_version)])]
        return Document(_appended(xml, added))

    def __str__(self) -> str:
        """Return it for people to read, and for s3cmd to set."""
        ElementTree.indent(self._root)
        text = ElementTree.tostring(self._root, encoding="unicode")
        return f'<?xml version="1.0"?>\n{text}'


def _appended(xml: bytes, rules: Sequence[bytes]) -> bytes:
    start, end_tag, rest = xml.rpartition(b"</LifecycleConfiguration")
    return start + b"".join(rules) + end_tag + rest
