"""A real browser without a window: what it saves, and what it shows, when it follows a URL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

SECONDS = 60
_POLL_SECONDS = 0.1
_UNFINISHED = ".crdownload"


class Chromium:
    """Chromium with a profile of its own, in which downloads are saved without asking."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            if "REQUIRE_CHROMIUM" in os.environ:
                pytest.fail("There is no Chromium. Type: sudo apt-get install chromium")
            pytest.skip("There is no Chromium. Type: sudo apt-get install chromium")
        self.downloads = directory / "downloads"
        profile = directory / "profile"
        (profile / "Default").mkdir(parents=True)
        preferences = {"download": {"default_directory": str(self.downloads)}}
        (profile / "Default" / "Preferences").write_text(json.dumps(preferences))
        self._command = [
            program,
            "--headless=new",
            # In a container there is no second sandbox to be had.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            f"--user-data-dir={profile}",
        ]

    def save(self, url: str) -> Path:
        """Follow a URL that is to be saved; return the file that comes of it."""
        running = subprocess.Popen(
            [*self._command, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + SECONDS
            while not (saved := self._saved()):
                assert time.monotonic() < deadline, "Nothing was saved."
                assert running.poll() is None, "The browser ended."
                time.sleep(_POLL_SECONDS)
            return saved
        finally:
            running.terminate()
            running.wait(SECONDS)

    def show(self, url: str) -> str:
        """Follow a URL that is to be shown; return the page as the browser sees it."""
        done = subprocess.run(
            [*self._command, "--dump-dom", url],
            capture_output=True,
            text=True,
            check=True,
            timeout=SECONDS,
        )
        return done.stdout

    def _saved(self) -> Path | None:
        there = list(self.downloads.iterdir()) if self.downloads.exists() else []
        if len(there) != 1 or there[0].name.endswith(_UNFINISHED):
            return None
        return there[0]
