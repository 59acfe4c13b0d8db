"""Commands for a terminal that download all files of a share, and compare them with their MD5s."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.downloads.local_paths import local_path


@dataclass(frozen=True)
class Command:
    """What a program does, and the lines for a shell (POSIX) that do it."""

    program: str
    purpose: str
    text: str


def commands(link: str, name: str) -> Sequence[Command]:
    """Return the commands for a share.

    :param link: the link of the share.
    :param name: of the dataset, and of the directory in which the files are saved.
    """
    # A name may look like an option, and the last two characters of a path like a parent directory.
    directory = shlex.quote(f"./{local_path(name)}")

    def listed(list_format: str) -> str:
        return shlex.quote(f"{link}?format={list_format}")

    return (
        Command(
            "curl",
            "Keeps the folders. Part of macOS and most Linux systems.",
            f"mkdir -p {directory} && cd {directory} &&\n"
            f"  curl -sSf {listed('curl')} |\n"
            "  curl -K -",
        ),
        Command(
            "aria2",
            "Keeps the folders, downloads several files at a time, resumes, and checks every file.",
            f"curl -sSf {listed('aria2')} |\n"
            f"  aria2c --dir={directory} --continue --auto-file-renaming=false --input-file=-",
        ),
        Command(
            "md5sum",
            "Afterwards, in the folder of the files: prints nothing if all of them are intact.",
            f"curl -sSf {listed('md5sum')} |\n  md5sum -c --quiet -",
        ),
    )
