"""Code blocks of README and docs/, and a shell that runs them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Also the table of the demo's index, for which there is no migration.
ALL_TABLES = """python -c '
from dserver_signed_url_plugin.demo.app import create_app_from_environment
from dservercore import sql_db
with create_app_from_environment().app_context():
    sql_db.create_all()
'"""
# What `flask` does, for one line after the other.
FLASK = """
import shlex, sys
from flask.cli import main
for line in sys.argv[1:]:
    sys.argv = shlex.split(line, comments=True)
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""
# A line in which the shell has nothing to do.
PLAIN = re.compile(r"flask [^$|<>&;`\\'()*]*")
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]


def text_of(page: str, section: str | None = None) -> str:
    """Return a page, or what is below one of its headings."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if section is None:
        return text
    _, *parts = re.split(r"(?m)^([^\n]+)\n-{4,}\n", text)
    return dict(zip(parts[::2], parts[1::2], strict=True))[section]


def code_blocks(language: str, page: str, section: str | None = None) -> list[str]:
    """Return the code of one language on a page, or below one of its headings."""
    pattern = rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)"
    found = re.findall(pattern, text_of(page, section))
    return [textwrap.dedent(block).rstrip("\n") + "\n" for block in found]


def flask_lines(page: str, section: str | None = None) -> list[str]:
    """Return the lines of the shell's code blocks that call `flask`."""
    lines = "".join(code_blocks("bash", page, section)).split("\n")
    return [line for line in lines if line.startswith("flask ")]


def run(lines: list[str], directory: Path, **environ: str) -> str:
    """Run lines in one shell, which stops at the first that fails; return its output."""
    done = subprocess.run(
        ["bash", "-c", "\n".join(["set -e", *_together("\n".join(lines).split("\n"))])],
        cwd=directory,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _together(lines: list[str]) -> Iterator[str]:
    """Let neighbouring `flask` lines share a process, whose start takes longer than they do."""
    for is_plain, neighbours in groupby(lines, lambda line: bool(PLAIN.fullmatch(line))):
        if is_plain:
            yield shlex.join(["python", "-c", FLASK, *neighbours])
        else:
            yield from neighbours
