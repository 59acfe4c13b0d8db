"""Programs from the distribution's packages, unpacked into a directory; nothing is installed.

Needs apt-get and dpkg-deb, and no right to use either: what apt knows is kept in the directory too.
``python -m tests.support.debian_packages DIRECTORY PACKAGE...`` prints where they are, or why they
cannot be had.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

TOOLS = ("apt-get", "dpkg-deb")


class PackagesMissing(RuntimeError):
    """The packages cannot be had here; the message says why."""


def fetch(directory: Path, packages: Sequence[str]) -> Path:
    """Return the root of unpacked packages below the directory, downloaded unless it is there.

    :raises PackagesMissing: where the packages cannot be had.
    """
    root = directory / "root"
    if root.exists():
        return root
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise PackagesMissing(f"{packages[0]} comes out of Debian's packages, without {missing[0]}")
    directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=directory) as scratch:
        unpacked = Path(scratch, "root")
        for package in _downloaded(Path(scratch), packages):
            _run(["dpkg-deb", "--extract", str(package), str(unpacked)])
        unpacked.rename(root)
    return root


def _downloaded(scratch: Path, packages: Sequence[str]) -> list[Path]:
    """Download the packages, and the libraries that they need and that are not installed.

    What is for all architectures, such as scripts and fonts, no program needs to start.
    """
    for name in ("lists/partial", "archives/partial", "packages"):
        Path(scratch, name).mkdir(parents=True)
    apt = ["apt-get", "-qq"]
    for option in (f"Dir::State::Lists={scratch}/lists", f"Dir::Cache={scratch}"):
        apt += ["-o", option]
    _run([*apt, "update"])
    wanted = ["--simulate", "--reinstall", "--no-install-recommends", *packages]
    plan = _run([*apt, "install", *wanted])
    names = re.findall(r"^Inst (\S+) .*\[(?!all\])\w+\]\)", plan, re.MULTILINE)
    _run([*apt, "download", *names], scratch / "packages")
    return sorted(scratch.glob("packages/*.deb"))


def _run(command: Sequence[str], where: Path | None = None) -> str:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"code {done.returncode}"]
        raise PackagesMissing(f"Debian's packages cannot be had: {said[-1]}")
    return done.stdout


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{fetch(Path(sys.argv[1]).resolve(), sys.argv[2:])}\n")
    except PackagesMissing as reason:
        sys.exit(str(reason))
