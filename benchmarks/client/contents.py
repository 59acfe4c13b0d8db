"""What is deposited and fetched: directories with files."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

SMALL = 5_000  # bytes of a small file


@dataclass(frozen=True)
class Contents:
    """A directory, and what is in it."""

    title: str
    directory: Path
    files: int
    size: int


def small_files(directory: Path, count: int) -> Contents:
    """Create files of 5 kB."""
    return _contents(f"{count:,} × 5 kB", directory, [SMALL] * count)


def large_file(directory: Path, size: int) -> Contents:
    """Create one file of zeros, of which the store keeps the size only."""
    directory.mkdir()
    path = directory / "scan.raw"
    path.touch()
    os.truncate(path, size)
    return Contents(f"1 × {size / 1e9:.3g} GB", directory, 1, size)


def mixture(directory: Path, share: int = 1) -> Contents:
    """Create what an instrument writes in a day: many small files, and few large ones."""
    sizes = [SMALL] * (500 // share) + [1_000_000] * (40 // share) + [80_000_000 // share]
    return _contents(f"mixture of {len(sizes):,}", directory, sizes)


def _contents(title: str, directory: Path, sizes: list[int]) -> Contents:
    generator = random.Random(0)  # noqa: S311 - only to be the same in every run
    for number, size in enumerate(sizes):
        path = directory / f"run-{number // 100:03}" / f"frame_{number:06}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(generator.randbytes(size))
    return Contents(title, directory, len(sizes), sum(sizes))
