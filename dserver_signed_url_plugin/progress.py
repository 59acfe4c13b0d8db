"""How work that takes long reports its progress to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

# Called with what was done since the last call, as in bytes; in any thread.
Progress = Callable[[int], None]
# Shows progress under a label towards a total; yields what advances it.
ProgressBar = Callable[[str, int], AbstractContextManager[Progress]]
