"""Some of the packages of this environment, linked or copied into a directory of their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from re import findall, match


def link(names: Iterable[str], site: Path) -> None:
    """Link packages and all that they require, and nothing else, into a directory.

    It has what pip would install into an empty environment; extras are left out.
    """
    waiting, seen = list(names), set()
    while waiting:
        name = waiting.pop()
        try:
            found = distribution(name)
        except PackageNotFoundError:
            # For an extra, or another version of Python.
            continue
        if found.name in seen:
            continue
        seen.add(found.name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            if not (site / top).exists():
                (site / top).symlink_to(str(found.locate_file(top)))
        waiting += requirements(found.requires)


def copy_pinned(pins: str, site: Path, besides: str) -> None:
    """Copy what is here in its pinned version into a directory, so that pip need not unpack it.

    A copy, because through a link pip would write into this environment.

    :param besides: a package that pip is to install, with its script.
    """
    for name, version in findall(r"(?m)^([\w.-]+)==([^\s;]+)", pins):
        with suppress(PackageNotFoundError):
            found = distribution(name)
            if found.version != version or name == besides:
                continue
            for file in found.files or ():
                if file.parts[0] != ".." and file.suffix != ".pyc":
                    (site / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(str(found.locate_file(file)), site / file)


def requirements(stated: Iterable[str] | None) -> list[str]:
    """Return the names of requirements without those of extras."""
    found = [match(r"[\w.-]+", each) for each in stated or () if "extra" not in each]
    return [each[0] for each in found if each]
