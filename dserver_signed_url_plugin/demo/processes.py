"""Child processes: started in their own session, waited for, ended by their own handle.

Knows when a child died and what it said last. Never ends a process that it did not start.
"""

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
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from typing_extensions import Self

POLL_SECONDS = 0.05
SECONDS_TO_START = 30
SECONDS_TO_END = 10
TAIL_LINES = 15


class ChildFailed(RuntimeError):
    """A child process died, or never became ready."""


class Interrupted(RuntimeError):
    """Somebody asked to stop while a child was starting."""


def never() -> bool:
    """Nobody asks to stop."""
    return False


class Child:
    """A process of ours, from ``with`` to the end of the block."""

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
            # Python looks for modules where it is started: in a place where there are none.
            nowhere = starting.enter_context(tempfile.TemporaryDirectory(prefix="child-"))
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=nowhere,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=self._pass_fds,
                # Ctrl-C reaches the whole foreground group: in a session of its own, the child
                # lives until its parent has finished with it.
                start_new_session=True,
            )
            self._resources = starting.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._resources:
            self._end()

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS_TO_END)
        # The session is ours: whatever is left in it, workers without a master included, goes too.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def check(self) -> None:
        """Raise ChildFailed if the process has ended."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            raise ChildFailed(f"{self.name} ended with code {code}.{self._last_words()}")

    def wait_until(
        self, ready: Callable[[], bool], seconds: float, stop_requested: Callable[[], bool] = never
    ) -> None:
        """Return when ``ready`` says so.

        :raises ChildFailed: when the process died, or was not ready in time.
        :raises Interrupted: when somebody asked to stop.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if stop_requested():
                raise Interrupted(f"Stopped while {self.name} was starting.")
            if time.monotonic() > deadline:
                raise ChildFailed(
                    f"{self.name} was not ready after {seconds:.0f} s.{self._last_words()}"
                )
            time.sleep(POLL_SECONDS)
        # Another server may have answered at the same address.
        self.check()

    def _last_words(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "".join(f"\n  | {line}" for line in lines) or " It said nothing."


class LocalStorage(ABC):
    """A store of ours as a child process, which answers from ``with`` to the end of the block."""

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
            self._child.wait_until(self._answers, SECONDS_TO_START, self._stop_requested)
            self._resources = starting.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resources.close()

    def check(self) -> None:
        """Raise ChildFailed if the store has ended."""
        self._child.check()

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the program and its arguments."""

    @abstractmethod
    def _environment(self, scratch: Path) -> dict[str, str]:
        """Return its variables; ``scratch`` is a directory that lives as long as it does."""

    @abstractmethod
    def _answers(self) -> bool:
        """Tell whether it serves, and it is this one that does."""
