"""Runs a command and writes what it used, as JSON, to a file.

It is small, because Linux counts the memory of the process that starts a command as the command's.
Started by ``python -S -m benchmarks.client.launcher RESULT COMMAND…``.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Run the command of the arguments."""
    result, *command = sys.argv[1:]
    started = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    # Bytes on macOS, KiB elsewhere (getrusage(2)).
    unit = 1 if sys.platform == "darwin" else 1024
    used = {
        "seconds": time.perf_counter() - started,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * unit,
    }
    with open(result, "w", encoding="utf-8") as file:
        json.dump(used, file)
    sys.exit(os.waitstatus_to_exitcode(status) and 1)


if __name__ == "__main__":
    main()
