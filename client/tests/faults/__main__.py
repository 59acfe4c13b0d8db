"""Kills the client or dserver at random moments, as often as the first argument says.

The second argument is a seed, to repeat what was found.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from client.tests.faults.kills import file_in_parts, laboratory, some_files, survive
from dserver_signed_url_plugin.demo.settings import DataDirectory
from dserver_signed_url_plugin.demo.store import LocalStore


def main() -> None:
    """Do so, and print how often who was killed."""
    kills = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()
    sys.stdout.write(f"seed {seed}\n")
    with TemporaryDirectory() as made, LocalStore() as store:
        directory = Path(made)
        settings = DataDirectory.create(directory / "keys").write_settings()
        with laboratory(directory, store, settings) as lab:
            outcome = survive(lab, directory, kills, seed, some_files() | file_in_parts())
    sys.stdout.write(f"{outcome}\n")


if __name__ == "__main__":
    main()
