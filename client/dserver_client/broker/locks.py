"""Locks that keep the changes of a proto-dataset out of its freeze, in whichever process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dserver_client.errors import ClientError
from dserver_client.file_lock import FileLock, Locked
from dserver_client.private_files import make_private_directory

# Changes hold the lock for milliseconds.
_LONGEST_WAIT = 30.0


class FreezeRunning(ClientError):
    """Another command freezes the proto-dataset at this moment."""

    exit_code = 6
    slug = "freeze-running"


class ChangeRunning(ClientError):
    """Another command has been changing the proto-dataset for too long."""

    exit_code = 6
    slug = "change-running"


class Locks:
    """The locks of one proto-dataset, two files beside its directory.

    One is held while a freeze lasts, the other for the moment in which a change or a freeze begins.
    """

    def __init__(self, uri: str, directory: Path) -> None:
        self._uri = uri
        self._moment = directory.with_name(f"{directory.name}.change.lock")
        self._freeze = directory.with_name(f"{directory.name}.freeze.lock")

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Make a change in this context, one at a time, and no freeze begins meanwhile.

        :raises FreezeRunning: if there is a freeze.
        """
        with self._one_at_a_time(), self._freeze_lock():
            yield

    @contextmanager
    def freezing(self) -> Iterator[None]:
        """Freeze in this context: what was begun is done, and changes are refused.

        :raises FreezeRunning: if there is another freeze.
        """
        with ExitStack() as stack:
            with self._one_at_a_time():
                stack.enter_context(self._freeze_lock())
            yield

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        make_private_directory(self._moment.parent)
        with ExitStack() as stack:
            try:
                stack.enter_context(FileLock(self._moment, _LONGEST_WAIT))
            except Locked:
                raise ChangeRunning(
                    f"Another command is changing {self._uri}; try again when it has ended."
                ) from None
            yield

    @contextmanager
    def _freeze_lock(self) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                stack.enter_context(FileLock(self._freeze))
            except Locked:
                raise FreezeRunning(
                    f"{self._uri} is being frozen by another command: it cannot be changed, or "
                    "frozen once more, until that has ended."
                ) from None
            yield
