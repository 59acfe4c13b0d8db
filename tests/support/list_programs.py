"""The programs that read lists of downloads: curl, aria2c, md5sum, bagit.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

UNPACKED = Path(sys.prefix, "aria2", "root", "usr")


def run(command: Sequence[str], directory: Path, text: str = "") -> subprocess.CompletedProcess:
    """Run a program in a directory, with a text as its standard input."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"here is no {command[0]}")
    return subprocess.run(
        command,
        cwd=directory,
        input=text.encode(),
        env={**os.environ, "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": ":".join(libraries())},
        capture_output=True,
        check=False,
        timeout=60,
    )


def aria2c() -> str:
    """Return the path of aria2c: the installed one, or the one that `make test` unpacks."""
    found = shutil.which("aria2c") or shutil.which("aria2c", path=str(UNPACKED / "bin"))
    if found is None:
        pytest.skip("here is no aria2c: `make test` unpacks it where apt-get is")
    return found


def bagit() -> list[str]:
    """Return the command line of bagit.py, which is installed with the tests."""
    return [sys.executable, "-m", "bagit"]


def libraries() -> list[str]:
    return [str(path) for path in UNPACKED.glob("lib/*-linux-gnu*")]
