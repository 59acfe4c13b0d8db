"""`flask pending_upload …`: uploads that are not registered yet.

Knows options and words. The report goes to stdout; progress and errors go to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from dserver_signed_url_plugin.cli import output
from dserver_signed_url_plugin.cli.commands import Commands
from dserver_signed_url_plugin.cli.progress_bar import watched
from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uploads.cleanup import FAILED, CleanupOptions, CleanupResult

pending_upload = Commands("pending_upload", help="List and clean up uploads not registered yet.")

Command = TypeVar("Command", bound=Callable[..., None])

_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_hours = click.FloatRange(min=0)


def _removing(command: Command) -> Command:
    """Give a command the options of removal."""
    for option in (
        _json,
        click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing."),
        click.option(
            "--force", is_flag=True, help="Remove uploads although their URLs can still write."
        ),
        click.option(
            "--delete-storage", is_flag=True, help="Delete the proto-datasets from storage too."
        ),
    ):
        command = option(command)
    return command


@pending_upload.command("list")
@click.option(
    "--older-than",
    type=_hours,
    metavar="HOURS",
    help="Only those on which nobody has worked for so long.",
)
@click.option("--by-person", is_flag=True, help="Only who has how many, and how many bytes.")
@_json
def list_uploads(older_than: float | None, by_person: bool, as_json: bool) -> None:
    """List pending uploads, oldest first; or who has how much pending, most bytes first.

    \b
    Example:
      flask pending_upload list --older-than 24
    """  # noqa: D301 (click looks for the character itself, not for its name)
    if by_person:
        if older_than is not None:
            raise click.UsageError("--by-person counts all: leave --older-than out.")
        uses = services().cleanup.by_person()
        click.echo(output.people_json(uses) if as_json else output.people(uses))
        return
    uploads = services().cleanup.older_than(older_than)
    click.echo(output.listing_json(uploads) if as_json else output.listing(uploads))


@pending_upload.command("cleanup")
@click.option(
    "--older-than",
    type=_hours,
    metavar="HOURS",
    required=True,
    help="Those on which nobody has worked for so long.",
)
@_removing
def cleanup(older_than: float, as_json: bool, **wished: bool) -> None:
    """Remove uploads that were given up, and decisions that were kept long enough.

    Age is the time since somebody announced the upload, asked for its URLs or tried to complete it.

    Left alone are uploads whose URLs can still write (unless --force) and those that somebody is
    completing; what is frozen already is registered, never removed. Without --delete-storage the
    proto-dataset stays in storage, and its uploader may announce the same upload again.

    Decisions older than SIGNED_URL_AUDIT_DAYS are deleted from the audit's table.

    Exit code: 0, or 1 if any upload could not be dealt with; the next run tries it again.

    \b
    Example, for cron:
      flask pending_upload cleanup --older-than 48 --delete-storage
    """  # noqa: D301 (click looks for the character itself, not for its name)
    wish = CleanupOptions(older_than, **wished)
    uploads = services().cleanup.older_than(older_than)
    waiting = watched(uploads, "Cleaning up", len(uploads))
    outcomes = [services().cleanup.treat(upload, wish) for upload in waiting]
    outcomes += services().cleanup.forget_removed(wish)
    _purge_audit(wish)
    _finish(outcomes, wish, as_json)


@pending_upload.command("delete")
@click.argument("uuid")
@_removing
def delete(uuid: str, as_json: bool, **wished: bool) -> None:
    """Remove one pending upload, by the rules of cleanup.

    Exit code: 0 if it is gone or registered now; 1 if it is kept, unknown or could not be removed.

    \b
    Example:
      flask pending_upload delete 550e8400-e29b-41d4-a716-446655440000 --delete-storage
    """  # noqa: D301 (click looks for the character itself, not for its name)
    upload = services().cleanup.find(uuid)
    if upload is None:
        raise click.ClickException(f"There is no pending upload {uuid}.")
    wish = CleanupOptions(**wished)
    outcome = services().cleanup.treat(upload, wish)
    _finish([outcome], wish, as_json)
    if outcome.is_kept:
        sys.exit(1)


def _purge_audit(wish: CleanupOptions) -> None:
    if wish.dry_run:
        return
    try:
        purged = services().audit.purge()
    except SignedURLError as error:
        # What became of the uploads is said all the same; the next run deletes these too.
        click.echo(error.message, err=True)
        return
    if purged:
        click.echo(f"Deleted {purged:,} decision(s) that were kept long enough.", err=True)


def _finish(outcomes: Sequence[CleanupResult], wish: CleanupOptions, as_json: bool) -> None:
    say = output.outcomes_json if as_json else output.outcomes
    click.echo(say(outcomes, wish))
    if any(outcome.result == FAILED for outcome in outcomes):
        sys.exit(1)
