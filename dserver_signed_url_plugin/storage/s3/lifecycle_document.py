"""A bucket's lifecycle document: parsed, searched, and changed in one rule.

Elements, attributes and namespace declarations that are unknown here stay as they are. Makes no
request. A document type, and with it every entity, is refused: S3's answers have none.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence, Set
from copy import deepcopy
from dataclasses import replace
from typing import Any, NoReturn
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.lifecycle import Retention, Rule
from dserver_signed_url_plugin.storage.s3.lifecycle_rules import StoredRule, written

_ROOT = "LifecycleConfiguration"
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Document:
    """A lifecycle configuration; never changed, `changed` returns another.

    ``transition_minimum`` is a part of it that AWS keeps in a header: which objects are too small
    to be moved.
    """

    def __init__(self, root: Element | None = None, transition_minimum: str | None = None) -> None:
        self._root = Element(_ROOT, xmlns=_NAMESPACE) if root is None else root
        self.transition_minimum = transition_minimum
        self.rules: Sequence[StoredRule] = [*map(StoredRule, self._root.iterfind("Rule"))]

    @classmethod
    def parse(cls, xml: bytes, transition_minimum: str | None = None) -> Document:
        """Parse a store's answer.

        :raises StorageUnavailable: if it is no lifecycle document.
        """
        root = _parsed(xml)
        if root.tag != _ROOT:
            raise StorageUnavailable("The store", "sent no lifecycle document")
        return cls(root, transition_minimum)

    @property
    def xml(self) -> bytes:
        """The document in UTF-8, empty elements spelled as AWS does."""
        xml: bytes = ElementTree.tostring(self._root, encoding="utf-8")
        return xml.replace(b" />", b"/>")

    @property
    def ours(self) -> Sequence[StoredRule]:
        """Our rule, or nothing; it may have been written twice."""
        return [rule for rule in self.rules if rule.is_ours]

    def says(self, wanted: Retention | None) -> bool:
        """Return whether our rule, however the store spells it, is what is wanted."""
        spelled = [] if wanted is None else [StoredRule(written(wanted, first_version=False))]
        return _meaning(self.ours) == _meaning(spelled)

    def says_as(self, other: Document) -> bool:
        """Return whether our rule is the same as in another document."""
        return _meaning(self.ours) == _meaning(other.ours)

    def lost(self, before: Document) -> Sequence[StoredRule]:
        """Return other people's rules of an earlier document that are missing or changed here.

        A rule without a name is found under any: some stores name it when it is written.
        """
        here = set(_meaning(self.rules))
        here |= {replace(rule, name="") for rule in here}
        others = [rule for rule in before.rules if not rule.is_ours]
        return [
            rule
            for rule, meaning in zip(others, _meaning(others), strict=True)
            if meaning not in here
        ]

    def has_all_of(self, other: Document) -> bool:
        """Return whether our rule is the same as in another document, and it has lost no other."""
        return self.says_as(other) and not self.lost(other)

    def changed(self, wanted: Retention | None) -> Document:
        """Return it with our rule as wanted, or without it."""
        # AWS takes a document with filters, or one with prefixes as before there were filters.
        first_version = any(r.is_of_the_first_version for r in self.rules if not r.is_ours)
        return self._with([] if wanted is None else [written(wanted, first_version=first_version)])

    def restored(self, before: Document) -> Document:
        """Return it with our rule, and with the rules lost since, as they were before."""
        rules = [*self.lost(before), *before.ours]
        return self._with((rule.element for rule in rules), {rule.name for rule in rules})

    def _with(self, rules: Iterable[Element], names: Set[str] = frozenset()) -> Document:
        """Return it with these rules in place of ours and of those with these names."""
        root = deepcopy(self._root)
        for rule in Document(root).rules:
            if rule.is_ours or (rule.name and rule.name in names):
                root.remove(rule.element)
        root.extend(deepcopy(list(rules)))
        return Document(root, self.transition_minimum)

    def __str__(self) -> str:
        """Return it for people to read and for s3cmd to set, in ASCII for every terminal."""
        root = deepcopy(self._root)
        ElementTree.indent(root)
        text = ElementTree.tostring(root, encoding="us-ascii").decode()
        return f'<?xml version="1.0"?>\n{text}'


def _meaning(rules: Iterable[StoredRule]) -> list[Rule]:
    """Return rules in words that do not depend on the order of their elements."""
    described = (rule.described() for rule in rules)
    return [replace(rule, does=tuple(sorted(rule.does))) for rule in described]


def _parsed(xml: bytes) -> Element:
    # Not ElementTree's own parser: it renames prefixes, and drops namespaces that no tag uses.
    tree, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data
    try:
        parser.ParseFile(io.BytesIO(xml))
    except (expat.ExpatError, ValueError, LookupError) as error:
        # The last two: an encoding that expat or Python does not know.
        raise StorageUnavailable(
            "The store",
            "sent a lifecycle document that is no XML, so it is left as it is",
        ) from error
    return tree.close()


def _refuse_document_type(*_: Any) -> NoReturn:
    raise StorageUnavailable(
        "The store", "sent a lifecycle document with a document type, which is not read"
    )
