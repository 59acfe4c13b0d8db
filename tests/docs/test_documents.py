"""What GitHub and the package index render is valid; `make docs` checks the pages of docs/."""

from __future__ import annotations

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from tests.support.documentation import ROOT


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.rst")), ids=lambda path: path.name)
def test_a_document_is_valid_and_has_no_block_quote(path):
    # From the second level on a complaint of docutils is an exception here.
    document = publish_doctree(
        path.read_text(encoding="utf-8"), settings_overrides={"halt_level": 2}
    )
    assert [quoted.astext() for quoted in document.findall(nodes.block_quote)] == []
