"""A private file of JSON objects, one per line, to which several processes append.

A line costs microseconds however long the file is, and a process that is killed while it writes
harms none but its own last line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dserver_client.errors import LocalFileError, reason_of

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class JSONLines:
    """The objects of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0

    def append(self, value: dict[str, Any]) -> None:
        """Add an object; what was written of it counts for nothing if this raises an error.

        :raises LocalFileError: if it cannot be written to its end.
        """
        # The first line break ends a line of which the rest was never written.
        line = f"\n{json.dumps(value)}\n".encode()
        descriptor = os.open(self._path, _APPEND, 0o600)
        try:
            written = os.write(descriptor, line)
        except OSError as error:
            raise LocalFileError(f"{self._path} cannot be written: {reason_of(error)}.") from error
        finally:
            os.close(descriptor)
        if written < len(line):
            raise LocalFileError(f"{self._path} cannot be written to its end: is the disk full?")

    def read_new(self) -> Iterator[dict[str, Any]]:
        """Yield the objects that were added since the last call, in their order."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_to)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text.rpartition(b"\n")[0]
        self._read_to += len(whole)
        for line in whole.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue
