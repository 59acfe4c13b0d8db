"""A real browser without a window: Chromium, driven by Playwright.

Each worker starts one, and each page has a context of its own: no cookies, cache or clipboard of
another.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT = 20_000  # milliseconds


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The worker's browser. Without Chromium tests are skipped, or fail if REQUIRE_CHROMIUM is set.

    Playwright's own download of a browser is not used.
    """
    # Takes half a second, which workers without tests in a browser need not spend.
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        give_up("There is no Chromium. Type: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            # In a container there is no second sandbox to be had.
            chromium_sandbox=False,
            args=["--no-proxy-server"],
        )
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open an empty page in a context with some options (see Playwright's Browser.new_context)."""
    contexts: list[BrowserContext] = []

    def new(**options: Any) -> Page:
        contexts.append(chromium.new_context(**options))
        contexts[-1].set_default_timeout(TIMEOUT)
        return contexts[-1].new_page()

    yield new
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """An empty page."""
    return new_page()


def save(page: Page, url: str) -> tuple[str, bytes]:
    """Follow a URL that is to be saved; return the name and the content of the file."""
    with page.expect_download() as download:
        page.evaluate("url => { location.href = url }", url)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def give_up(reason: str) -> NoReturn:
    """Skip the test, or let it fail if REQUIRE_CHROMIUM is set."""
    if "REQUIRE_CHROMIUM" in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)
