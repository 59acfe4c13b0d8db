"""Wheels of the distributions of this repository, built as `pip install` builds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def build(source: Path, directory: Path) -> Path:
    """Build the wheel of a distribution into an empty directory."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", directory, source], check=True)
    [built] = directory.iterdir()
    return built
