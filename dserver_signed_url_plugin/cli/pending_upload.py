"""`flask pending_upload …`: lists and removes uploads that are not registered yet.

Parses options and sets exit codes. The report goes to stdout; progress and errors go to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from dserver_signed_url_plugin.cli import pending_upload_output as output
from dserver_signed_url_plugin.cli.commands import Commands, database_sentence, json_option
from dserver_signed_url_plugin.cli.durations import HOUR, fractional
from dserver_signed_url_plugin.cli.progress_bar import tracked
from dserver_signed_url_plugin.errors import DatabaseBusy
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uploads.cleanup import (
    CleanupOptions,
    CleanupOutcome,
    CleanupResult,
    OrphanedParts,
)

pending_upload = Commands(
    "pending_upload",
    help="List and clean up uploads that are not registered yet.",
    reading={"list"},
)

Command = TypeVar("Command", bound=Callable[..., None])

_age = fractional(HOUR)


def _removal_options(command: Command) -> Command:
    """Add the options that `cleanup` and `delete` have in common."""
    for option in (
        json_option,
        click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing."),
        click.option(
            "--force",
            is_flag=True,
            help="Also remove uploads whose URLs have not expired and can still write.",
        ),
        click.option(
            "--delete-storage", is_flag=True, help="Also delete the proto-datasets from storage."
        ),
    ):
        command = option(command)
    return command


@pending_upload.command("list")
@click.option(
    "--older-than",
    type=_age,
    metavar="DURATION",
    help="Only uploads without activity for this long: 24 (hours), 90m, 24h or 7d.",
)
@click.option(
    "--by-person", is_flag=True, help="Only the number of uploads and bytes of each person."
)
@json_option
def list_uploads(older_than: float | None, *, by_person: bool, as_json: bool) -> None:
    """List pending uploads, oldest first.

    With --by-person, how much each person has pending, most bytes first.

    \b
    Example:
      flask pending_upload list --older-than 24h
    """  # noqa: D301 (click looks for the character itself, not for its name)
    if by_person:
        if older_than is not None:
            raise click.UsageError("--by-person counts all uploads: omit --older-than.")
        usages = services().cleanup.by_person()
        click.echo(output.people_json(usages) if as_json else output.people(usages))
        return
    uploads = services().cleanup.older_than(older_than)
    click.echo(output.listing_json(uploads) if as_json else output.listing(uploads))


@pending_upload.command("cleanup")
@click.option(
    "--older-than",
    type=_age,
    metavar="DURATION",
    required=True,
    help="Uploads without activity for this long: 48 (hours), 90m, 48h or 7d.",
)
@_removal_options
def cleanup(older_than: float, *, as_json: bool, **options: bool) -> None:
    """Remove abandoned uploads, and old decisions of the audit.

    The age of an upload is the time since somebody announced it, requested its URLs or tried to
    complete it.

    Uploads whose URLs have not expired are kept (unless --force is given), and so are uploads that
    are being completed. An upload that is frozen already is registered, never removed. Without
    --delete-storage the proto-dataset stays in storage, and its uploader may announce the same
    upload again. With it, parts of items in storage that belong to no upload are aborted, too, if
    they were begun that long ago.

    Decisions older than SIGNED_URL_AUDIT_DAYS are deleted from the audit's table.

    Exit code: 0, or 1 if any upload could not be processed; the next run tries it again.

    \b
    Example, for cron:
      flask pending_upload cleanup --older-than 48h --delete-storage
    """  # noqa: D301 (click looks for the character itself, not for its name)
    chosen = CleanupOptions(older_than, **options)
    uploads = services().cleanup.older_than(older_than)
    remaining = tracked(uploads, "Cleaning up", len(uploads))
    results = [services().cleanup.treat(upload, chosen) for upload in remaining]
    results += services().cleanup.forget_removed(chosen)
    orphans = list(services().cleanup.abort_orphans(chosen))
    _purge_audit(chosen)
    _finish(results, chosen, orphans, as_json=as_json)


@pending_upload.command("delete")
@click.argument("uuid")
@_removal_options
def delete(uuid: str, *, as_json: bool, **options: bool) -> None:
    """Remove one pending upload, by the same rules as cleanup.

    Exit code: 0 if it was removed or registered; 1 if it was kept, is unknown or could not be
    removed.

    \b
    Example:
      flask pending_upload delete 550e8400-e29b-41d4-a716-446655440000 --delete-storage
    """  # noqa: D301 (click looks for the character itself, not for its name)
    upload = services().cleanup.find(uuid)
    if upload is None:
        raise click.ClickException(f"There is no pending upload {uuid}.")
    chosen = CleanupOptions(**options)
    result = services().cleanup.treat(upload, chosen)
    _finish([result], chosen, as_json=as_json)
    if result.is_kept:
        sys.exit(1)


def _purge_audit(options: CleanupOptions) -> None:
    if options.dry_run:
        return
    try:
        purged = services().audit.purge()
    except DatabaseBusy as error:
        # The results are printed all the same; the next run deletes these decisions, too.
        click.echo(database_sentence(error), err=True)
        return
    if purged:
        click.echo(
            f"Deleted {counted(purged, 'decision')} older than SIGNED_URL_AUDIT_DAYS.", err=True
        )


def _finish(
    results: Sequence[CleanupResult],
    options: CleanupOptions,
    orphans: Sequence[OrphanedParts] = (),
    *,
    as_json: bool,
) -> None:
    report = output.results_json if as_json else output.results
    click.echo(report(results, options, orphans))
    has_failed = any(result.outcome is CleanupOutcome.FAILED for result in results)
    if has_failed or any(orphan.failure for orphan in orphans):
        sys.exit(1)
