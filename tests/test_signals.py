"""Tests that interrupt a process do not depend on how they were started themselves."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

WAITS = "import sys; print(flush=True); sys.stdin.read()"


def test_a_child_can_be_interrupted():
    command = [sys.executable, "-c", WAITS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as child:  # fmt: skip
        assert child.stdout.readline() == b"\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == -signal.SIGINT


def test_a_child_can_be_interrupted_where_our_caller_ignores_it():
    test = f"{__file__}::test_a_child_can_be_interrupted"
    ran = subprocess.run(
        ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-m", "pytest", "-q", test],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout
