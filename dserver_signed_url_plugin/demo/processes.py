"""Child processes of the demo: start one, wait until it is ready, and end it with its children."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from typing_extensions import Self

POLL_SECONDS = 0.05
SECONDS_TO_START = 30
SECONDS_TO_END = 10
TAIL_LINES = 15


class ChildFailed(RuntimeError):
    """A child process ended, or was not ready in time; the message quotes its log."""


class Interrupted(RuntimeError):
    """The demo was asked to stop while a child process was starting."""


def never() -> bool:
    """Return False: the default for ``stop_requested``."""
    return False


class Child:
    """A child process that runs as long as the ``with`` block.

    :param name: what messages call it, at the beginning of a sentence.
    :param log_path: the file that receives its output.
    :param pass_fds: file descriptors that it inherits.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_path: Path,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._command = list(command)
        self._environment = dict(environment)
        self._pass_fds = tuple(pass_fds)
        self._resources = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Child:
        with ExitStack() as starting, self.log_path.open("wb") as log:
            # Python imports modules from the working directory first, so that has to be empty.
            empty = starting.enter_context(tempfile.TemporaryDirectory(prefix="child-"))
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=empty,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=self._pass_fds,
                # Ctrl-C signals every process of the session: in its own, the child keeps running
                # until the parent ends it.
                start_new_session=True,
            )
            self._resources = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._resources:
            self._end()

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS_TO_END)
        # End what remains of the session, such as workers whose master is gone.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def check(self) -> None:
        """Raise ChildFailed if the process has ended."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            raise ChildFailed(f"{self.name} ended with code {code}.{self._end_of_log()}")

    def wait_until(
        self, ready: Callable[[], bool], seconds: float, stop_requested: Callable[[], bool] = never
    ) -> None:
        """Wait until ``ready`` returns True.

        :raises ChildFailed: if the process ended, or was not ready within ``seconds``.
        :raises Interrupted: if ``stop_requested`` returned True.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if stop_requested():
                raise Interrupted(f"Stopped while {self.name} was starting.")
            if time.monotonic() > deadline:
                raise ChildFailed(
                    f"{self.name} was not ready after {seconds:.0f} s.{self._end_of_log()}"
                )
            time.sleep(POLL_SECONDS)
        # If the child has ended, another server has answered at the same address.
        self.check()

    def _end_of_log(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "".join(f"\n  | {line}" for line in lines) or " Its log is empty."


class StoreProcess(ABC):
    """A store in a child process, ready for requests inside the ``with`` block."""

    name: ClassVar[str]

    def __init__(self, log_path: Path | None, stop_requested: Callable[[], bool]) -> None:
        self._log_path = log_path
        self._stop_requested = stop_requested
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            scratch = Path(starting.enter_context(tempfile.TemporaryDirectory(prefix="store-")))
            log_path = self._log_path or scratch / "store.log"
            child = Child(self.name, self._command(), self._environment(scratch), log_path)
            self._child = starting.enter_context(child)
            self._child.wait_until(self._is_ready, SECONDS_TO_START, self._stop_requested)
            self._resources = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def check(self) -> None:
        """Raise ChildFailed if the store has ended."""
        self._child.check()

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the program and its arguments."""

    @abstractmethod
    def _environment(self, scratch: Path) -> dict[str, str]:
        """Return its environment; ``scratch`` is a directory that is removed when it ends."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Return whether it responds, and is not another store on the same port."""
