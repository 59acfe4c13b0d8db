"""Every document reads as it was meant: no markup goes wrong, no line strays into a quotation."""

from __future__ import annotations

from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "path", [*ROOT.glob("*.rst"), *ROOT.glob("docs/*.rst")], ids=lambda path: path.name
)
def test_a_document_is_valid_and_quotes_nobody(path):
    # From the second level on a complaint of docutils is an exception here.
    document = publish_doctree(
        path.read_text(encoding="utf-8"), settings_overrides={"halt_level": 2}
    )
    assert [quoted.astext() for quoted in document.findall(nodes.block_quote)] == []
