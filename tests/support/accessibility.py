"""What axe-core finds in a page that people with a screen reader or a keyboard cannot use."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.browser import give_up

if TYPE_CHECKING:
    from playwright.sync_api import Page

SCRIPT = Path(sys.prefix, "axe", "node_modules", "axe-core", "axe.min.js")


def violations(page: Page) -> list[str]:
    """Return each rule of WCAG or of good practice that the page breaks, with the elements.

    Colours are checked in the light and in the dark.
    """
    # Not by a <script>, which a page with a Content-Security-Policy does not run.
    page.evaluate(axe())
    page.emulate_media(color_scheme="light")
    found = page.evaluate("axe.run()")["violations"]
    page.emulate_media(color_scheme="dark")
    found += page.evaluate("axe.run({runOnly: ['color-contrast']})")["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'] for node in rule['nodes']]}"
        for rule in found
    ]


@cache
def axe() -> str:
    """Return axe-core's code; without it the test is skipped, or fails as without Chromium."""
    if not SCRIPT.exists():
        give_up("There is no axe-core, which make test installs with npm.")
    return SCRIPT.read_text(encoding="utf-8")
