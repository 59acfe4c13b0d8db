"""Python programs in processes of their own, forked from one that has imported what takes long."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

# What the forked processes need, and would import in more than a second.
import dserver_signed_url_plugin.demo.app  # noqa: F401
import tests.support.proxy
import tests.support.s3_holdings  # noqa: F401

SECONDS = 120


def forking() -> ForkServerContext:
    """Return what starts processes; each worker of pytest has one server from which they fork."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__])
    return context


def run_forked(
    program: str, arguments: Sequence[str], directory: Path, environ: Mapping[str, str]
) -> CompletedProcess[str]:
    """Run a program as ``python -c`` does; return its exit code and what it printed."""
    with TemporaryDirectory() as scratch:
        paths = [Path(scratch, name) for name in ("stdout", "stderr")]
        process = forking().Process(
            target=_be, args=(program, arguments, directory, dict(environ), paths)
        )
        process.start()
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"It has not ended within {SECONDS} seconds.")
        output, errors = (path.read_text() for path in paths)
        return CompletedProcess(arguments, process.exitcode, output, errors)


def _be(
    program: str,
    arguments: Sequence[str],
    directory: Path,
    environ: Mapping[str, str],
    paths: Sequence[Path],
) -> None:
    """Run the program in this process."""
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environ)
    for descriptor, path in enumerate(paths, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.argv = ["-c", *arguments]
    sys.path[0] = ""
    exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - as python -c
