"""dtool's released commands, in processes of their own and in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import dserver_client

from tests.support import linked_packages

COMMANDS = ["dtool-annotation", "dtool-create", "dtool-info", "dtool-overlay", "dtool-tag"]
_MAIN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from dtool_cli.cli import dtool; dtool()"


def install(site: Path) -> None:
    """Link what ``pip install dserver-client dtool-create ...`` installs, and nothing else.

    Other storage brokers of this environment would double the time of each command.
    """
    linked_packages.link([*COMMANDS, "dserver-client", "setuptools"], site)
    (site / "dserver_client").symlink_to(Path(dserver_client.__file__).parent)


@dataclass
class Dtool:
    """Somebody at a shell, with a home and a token."""

    site: Path
    home: Path
    token: str
    environment: dict[str, str] = field(default_factory=dict)

    def run(
        self, *arguments: str | Path, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, and return what it printed and its exit code."""
        return subprocess.run(
            [sys.executable, "-S", "-c", _MAIN, str(self.site), *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.variables(),
            check=False,
            timeout=120,
        )

    def __call__(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run a command that succeeds, and return what it printed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def variables(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "DSERVER_TOKEN": self.token,
            # Modules are compiled once for all commands.
            "PYTHONPYCACHEPREFIX": str(self.site.parent / "bytecode"),
            **self.environment,
        }
