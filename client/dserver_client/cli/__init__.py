"""The command ``dserver``: one module for each subcommand, or for a few that belong together."""

from __future__ import annotations

import click

from dserver_client import __version__
from dserver_client.cli.command import CommandGroup
from dserver_client.cli.datasets import info, ls
from dserver_client.cli.doctor import doctor
from dserver_client.cli.get import get
from dserver_client.cli.login import login, logout, whoami
from dserver_client.cli.put import put
from dserver_client.cli.share import share, shares, unshare
from dserver_client.cli.uploads import cancel, status
from dserver_client.cli.verify import verify

_EPILOG = """\
\b
Exit codes:
    0  done
    1  something failed, such as reading a local file
    2  a URI, a setting, an option or a name that cannot be used
    3  not logged in, or the token has expired
    4  no permission
    5  not found
    6  a conflict: a deposit that somebody else has begun, or local files that differ
    7  dserver or the store cannot be reached, or fails: try again
    8  bytes that differ from what was announced
  130  interrupted with Ctrl-C

\b
Completion of commands and options with the tab key, in bash (or zsh, fish):
  eval "$(_DSERVER_COMPLETE=bash_source dserver)"
"""


@click.group(
    cls=CommandGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="dserver", message="%(prog)s %(version)s")
def main() -> None:
    """Deposit and fetch datasets through dserver, without bucket credentials.

    Results go to standard output, progress and errors to standard error.
    """


for command in (
    login,
    logout,
    whoami,
    ls,
    info,
    put,
    get,
    verify,
    status,
    cancel,
    share,
    shares,
    unshare,
    doctor,
):
    main.add_command(command)
