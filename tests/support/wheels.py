"""Wheels of the distributions of this repository, and environments to install them into."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from tests.support import linked_packages


def build(source: Path, directory: Path) -> Path:
    """Build the wheel of a distribution into an empty directory."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", directory, source], check=True)
    [built] = directory.iterdir()
    return built


class Environment:
    """A virtual environment with nothing but pip, which is that of the tests."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        venv.create(directory / "venv", with_pip=False)
        self._programs = directory / "venv" / "bin"
        [self.site] = (directory / "venv").glob("lib/python*/site-packages")
        # Installing one takes longer than all that is done with it.
        linked_packages.link(["pip"], self.site)

    def install(self, *arguments: str | Path) -> None:
        """Run `pip install` and `pip check`."""
        # Python compiles what it imports, which is a small part.
        self.run("python", "-m", "pip", "install", "--quiet", "--no-compile", *arguments)
        self.run("python", "-m", "pip", "check")

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run a program that succeeds, away from the source tree; return what it printed."""
        return run([self._programs / program, *arguments], self._directory)


def run(command: Sequence[str | Path], directory: Path) -> str:
    """Run a program that succeeds, for which Python has no settings; return what it printed."""
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
    environment = {**inherited, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USE_PEP517": "1"}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
