"""`flask temp_share list` and `end`: what was deposited, and ending it.

Parses options and sets exit codes. The report goes to stdout; remarks and errors go to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

import click
from flask.cli import with_appcontext

from dserver_signed_url_plugin.cli import deposit_output
from dserver_signed_url_plugin.cli.commands import json_option
from dserver_signed_url_plugin.deposits.temporary import TemporaryDeposit
from dserver_signed_url_plugin.errors import InvalidField, SignedURLError
from dserver_signed_url_plugin.log_filter import without_tokens
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uris import DatasetURI


@click.command("list")
@json_option
@with_appcontext
def list_deposits(*, as_json: bool) -> None:
    """List what `temp_share create` has deposited, newest first.

    Only what dserver still has, each with the shares whose links work, whoever created them. Files
    that the store has deleted are listed until `flask lifecycle sweep` has unregistered them.

    \b
    Example:
      flask temp_share list
    """  # noqa: D301 (click looks for the character itself, not for its name)
    deposits = services().temporary_deposits.listed()
    lines = deposit_output.json_lines(deposits) if as_json else deposit_output.lines(deposits)
    for line in lines:
        click.echo(line)


@click.command("end")
@click.argument("arguments", metavar="URI_OR_ID_OR_LINK...", nargs=-1, required=True)
@click.option(
    "--delete-storage",
    is_flag=True,
    help="Also delete the datasets: from the store, and from dserver.",
)
@click.option("--yes", "-y", is_flag=True, help="Delete without confirmation.")
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@json_option
@with_appcontext
def end(
    arguments: Sequence[str], *, delete_storage: bool, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Revoke all links to what `temp_share create` has deposited.

    A deposit is named by its URI, or by the ID or the link of one of its shares. Only with
    --delete-storage do URLs end that --urls or `temp_share url` has made, because the files are
    deleted then. A dataset that was deposited by other means is refused.

    If it is interrupted, run the same command again.

    Exit code: 0; 1 if one of them is unknown or could not be ended, the others are ended all the
    same; 2 if an argument cannot be used.

    \b
    Example:
      flask temp_share end s3://tempstore/550e8400-e29b-41d4-a716-446655440000 --delete-storage
    """  # noqa: D301 (click looks for the character itself, not for its name)
    found = {without_tokens(argument): _found(argument) for argument in arguments}
    deposits = _deposits(found.values())
    if delete_storage and deposits and not dry_run and not yes:
        _confirm(deposits)
    ended = [
        services().temporary_deposits.end(each, delete_storage=delete_storage, dry_run=dry_run)
        for each in deposits
    ]
    if as_json:
        click.echo(json.dumps(deposit_output.ended_json(ended, dry_run=dry_run), indent=2))
    else:
        for one in ended:
            click.echo(deposit_output.ended(one, dry_run=dry_run))
    problems = [(name, each) for name, each in found.items() if isinstance(each, str)]
    problems += [(str(one.deposit.uri), one.problem) for one in ended if one.problem]
    for name, problem in problems:
        click.echo(problem if name in problem else f"{name}: {problem}", err=True)
    if problems:
        sys.exit(1)


def _found(argument: str) -> TemporaryDeposit | str:
    """Return the deposit that an argument names, or why there is none."""
    deposits = services().temporary_deposits
    try:
        share_id = services().shares.id_of(argument)
        if "/" in share_id:
            return deposits.find(DatasetURI.parse(argument))
        return deposits.find_share(share_id)
    except InvalidField as error:
        raise click.BadParameter(error.reason, param_hint="URI_OR_ID_OR_LINK") from error
    except SignedURLError as error:
        return error.message


def _deposits(found: Iterable[TemporaryDeposit | str]) -> Sequence[TemporaryDeposit]:
    """Return each deposit once, which several arguments may name."""
    return [*{each.uri: each for each in found if isinstance(each, TemporaryDeposit)}.values()]


def _confirm(deposits: Sequence[TemporaryDeposit]) -> None:
    """Ask whether to delete; exit if not.

    :raises click.UsageError: if nobody can answer.
    """
    if not sys.stdin.isatty():
        raise click.UsageError("--delete-storage deletes the files: confirm it by --yes.")
    for deposit in deposits:
        click.echo(deposit_output.line(deposit), err=True)
    click.confirm(
        f"Delete {counted(len(deposits), 'dataset')} with all files?", abort=True, err=True
    )
