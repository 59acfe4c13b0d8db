"""Programs that tests run: those that read lists of downloads, and Prometheus' promtool."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

UNPACKED = Path(sys.prefix, "programs", "root", "usr")


def run(command: Sequence[str], directory: Path, text: str = "") -> subprocess.CompletedProcess:
    """Run a program in a directory, with a text as its standard input.

    If it is a shell, it finds the others.
    """
    return subprocess.run(
        [program(command[0]), *command[1:]],
        cwd=directory,
        input=text.encode(),
        env={
            **os.environ,
            "LC_ALL": "C.UTF-8",
            "LD_LIBRARY_PATH": ":".join(libraries()),
            "PATH": f"{os.environ['PATH']}:{UNPACKED / 'bin'}",
        },
        capture_output=True,
        check=False,
        timeout=60,
    )


def program(name: str) -> str:
    """Return the path of a program: the installed one, or the one that `make test` unpacks.

    Without it the test is skipped, or fails if REQUIRE_PROGRAMS is set.
    """
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED / "bin"))
    if found is None:
        give_up = pytest.fail if "REQUIRE_PROGRAMS" in os.environ else pytest.skip
        give_up(f"There is no {name}.")
    return found


def bagit() -> list[str]:
    """Return the command line of bagit.py, which is installed with the tests."""
    return [sys.executable, "-m", "bagit"]


def libraries() -> list[str]:
    return [str(path) for path in UNPACKED.glob("lib/*-linux-gnu*")]
