"""`flask` for a shell, run in the process of the tests: a start takes longer."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import FlaskGroup

# Sends its arguments and its process ID; gets the exit code and three files of output.
_SCRIPT = r"""#!/bin/sh
answer=$(mktemp -d)
printf '%s\0' "$$" "$answer" "$@" | curl -sS --data-binary @- "{address}" || exit 99
cat "$answer/stderr" >&2
cat "$answer/stdout"
exit "$(cat "$answer/code")"
"""


@contextmanager
def flask_shell(app: Flask, directory: Path) -> Iterator[Callable[[str], str]]:
    """Yield what runs lines in a shell whose `flask` runs commands of this app, one at a time.

    It stops at the first line that fails, and returns the output. The working directory is that of
    the tests' process. What `flask` writes to standard output and standard error arrives when it
    has ended, in its order if both are the same.

    :param directory: for the program `flask`.
    """
    one_at_a_time, runner = threading.Lock(), CliRunner()
    commands = FlaskGroup(create_app=lambda: app, set_debug_flag=False)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            process, answer, *arguments = body.split("\0")[:-1]
            with one_at_a_time, open(f"/proc/{process}/fd/0", "rb") as stdin:
                result = runner.invoke(commands, arguments, input=stdin)
            _write(Path(answer), result, is_one=_is_one(process))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing of requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    script = directory / "flask"
    script.write_text(_SCRIPT.format(address=f"http://127.0.0.1:{server.server_address[1]}/"))
    script.chmod(0o755)
    try:
        yield partial(_run, directory)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        shutil.rmtree(directory)


def _run(programs: Path, lines: str) -> str:
    done = subprocess.run(
        ["bash", "-ec", lines],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _is_one(process: str) -> bool:
    return len({os.readlink(f"/proc/{process}/fd/{number}") for number in (1, 2)}) == 1


def _write(answer: Path, result: Result, *, is_one: bool) -> None:
    (answer / "stdout").write_bytes(result.output_bytes if is_one else result.stdout_bytes)
    (answer / "stderr").write_bytes(b"" if is_one else result.stderr_bytes or b"")
    (answer / "code").write_text(str(result.exit_code))
