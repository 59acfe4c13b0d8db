"""What happens in a page that should not: scripts, errors, and requests to elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Dialog, Page

# Whatever a hostile text tries to run sets this.
MARK = "window.wasRun = true"


class Watch:
    """Listens to a page and to those that it opens.

    ``faults`` are dialogs, errors of scripts, whatever the console shows (violations of the
    Content-Security-Policy too) and windows that opened; ``origins`` those of all requests.
    """

    def __init__(self, page: Page) -> None:
        self.faults: list[str] = []
        self.origins: set[str] = set()
        self._page = page
        page.on("dialog", self._dialog)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("popup", lambda popup: self.faults.append(f"window: {popup.url}"))
        page.on("request", lambda request: self.origins.add(origin_of(request.url)))

    def check(self, *origins: str) -> None:
        """Fail if anything ran or failed, or was requested from another origin than these."""
        assert self._page.evaluate("window.wasRun") is None, "A script of a text was run."
        assert self.faults == [], self.faults
        assert self.origins <= set(origins), self.origins

    def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, message: ConsoleMessage) -> None:
        # Which Chromium requests by itself, and dserver has none.
        if not message.location["url"].endswith("/favicon.ico"):
            self.faults.append(f"{message.type}: {message.text}")


def origin_of(url: str) -> str:
    """Return the scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
