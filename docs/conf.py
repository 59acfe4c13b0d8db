"""Sphinx configuration for `make docs`, which turns warnings into errors."""

import logging
from importlib.metadata import version as installed_version

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

project = "dserver-signed-url-plugin"
author = "dserver-signed-url-plugin developers"
project_copyright = f"2026, {author}"
version = release = installed_version(project)

extensions = ["sphinx_click"]
html_theme = "furo"
html_title = f"{project} {release}"

# The commands import alembic, which reports its plugins.
logging.getLogger("alembic").setLevel(logging.WARNING)


def warn_of_block_quotes(app: Sphinx, doctree: nodes.document) -> None:
    """Warn of every block quote: these pages have none, so it is a line indented by mistake."""
    for quote in doctree.findall(nodes.block_quote):
        getLogger(__name__).warning("An indented line has become a block quote.", location=quote)


def setup(app: Sphinx) -> None:
    """Connect the check of each page."""
    app.connect("doctree-read", warn_of_block_quotes)
