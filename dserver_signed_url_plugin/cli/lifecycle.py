"""`flask lifecycle …`: expiry rules of buckets, and unregistering what they have deleted.

Parses options and sets exit codes. The report goes to stdout; progress and errors go to stderr.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click

from dserver_signed_url_plugin.cli.commands import Commands, json_option
from dserver_signed_url_plugin.cli.durations import DAY, whole
from dserver_signed_url_plugin.cli.output import printable
from dserver_signed_url_plugin.cli.progress_bar import tracked
from dserver_signed_url_plugin.cli.usage_errors import usage_error
from dserver_signed_url_plugin.errors import InvalidField, SignedURLError
from dserver_signed_url_plugin.lifecycle.rules import Change, Retention, Rule
from dserver_signed_url_plugin.lifecycle.sweep import DatasetState, SweptDataset
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uris import BaseURI

lifecycle = Commands(
    "lifecycle",
    help="Let a bucket delete old objects, and unregister datasets.",
    reading={"show"},
)

_MAX_KEY_BYTES = 1024


def _base_uri_of(text: str) -> BaseURI:
    try:
        return BaseURI.parse(text)
    except InvalidField as error:
        raise click.BadParameter(error.reason) from error


def _prefix(_: click.Context, __: click.Parameter, value: str) -> str:
    if not value.isprintable() or len(value.encode()) > _MAX_KEY_BYTES:
        raise click.BadParameter(f"must be printable, and at most {_MAX_KEY_BYTES} bytes long.")
    return value


_base_uri = click.argument("base_uri", metavar="BASE_URI", type=_base_uri_of)
_dry_run = click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
_days = whole(DAY, least=1, most=2**31 - 1)


@lifecycle.command("show")
@_base_uri
@click.option("--xml", "as_xml", is_flag=True, help="Show the XML document of the store.")
@json_option
def show(base_uri: BaseURI, *, as_xml: bool, as_json: bool) -> None:
    """Show every lifecycle rule of a bucket in words.

    \b
    Example:
      flask lifecycle show s3://tempstore
      flask lifecycle show s3://tempstore --xml
    """  # noqa: D301 (click looks for the character itself, not for its name)
    if as_xml and as_json:
        raise click.UsageError("Choose --xml or --json.")
    with _exiting():
        if as_xml:
            click.echo(services().lifecycles.document(base_uri))
            return
        rules = services().lifecycles.rules(base_uri)
    if as_json:
        click.echo(json.dumps({"base_uri": str(base_uri), "rules": _facts(rules)}, indent=2))
    else:
        click.echo("\n".join(_lines(base_uri, rules)))


@lifecycle.command("set")
@_base_uri
@click.option(
    "--days",
    type=_days,
    metavar="DURATION",
    help="Delete objects this long after they were written, in whole days: 7 (days), 24h or 7d.",
)
@click.option(
    "--prefix", default="", callback=_prefix, help="Only objects whose key starts with this."
)
@click.option(
    "--abort-incomplete-days",
    type=_days,
    metavar="DURATION",
    help="Abort multipart uploads that were not completed within 7 (days), 24h or 7d. Without "
    "--days, nothing else is deleted.",
)
@click.option(
    "--ephemeral", is_flag=True, help="Proceed even if the rule deletes registered datasets."
)
@_dry_run
@json_option
def set_(
    base_uri: BaseURI, *, ephemeral: bool, dry_run: bool, as_json: bool, **lifetime: Any
) -> None:
    """Let a bucket delete old objects, or parts of unfinished uploads.

    Writes one rule, dserver-signed-url-expire, and replaces the one that an earlier `set` wrote;
    all other rules are left alone. In a bucket with versioning the rule also deletes old versions,
    a day after they were replaced. A rule that would delete registered datasets is refused unless
    --ephemeral is given, for example to change the lifetime of a bucket that already holds shares.

    S3 replaces all rules of a bucket at once, without any locking: do not change other rules at
    the same time.

    Exit code: 0; 1 if the rule was refused or the store does not keep it; 2 if an argument is not
    valid.

    \b
    Example:
      flask lifecycle set s3://tempstore --days 1
      flask lifecycle set s3://lab --abort-incomplete-days 7
    """  # noqa: D301 (click looks for the character itself, not for its name)
    if lifetime["days"] is None and lifetime["abort_incomplete_days"] is None:
        raise click.UsageError("Give --days, --abort-incomplete-days or both.")
    with _exiting():
        done = services().lifecycles.set(
            base_uri, Retention(**lifetime), ephemeral=ephemeral, dry_run=dry_run
        )
    number = done.registered_datasets
    _print_change(
        base_uri, done.change, dry_run=dry_run, as_json=as_json, registered_datasets=number
    )
    if number and not as_json:
        click.echo(
            f"It will delete {counted(number, 'registered dataset')}; let cron run "
            f"`flask lifecycle sweep {base_uri}`, so that dserver unregisters them."
        )


@lifecycle.command("remove")
@_base_uri
@_dry_run
@json_option
def remove(base_uri: BaseURI, *, dry_run: bool, as_json: bool) -> None:
    """Remove the rule that `set` wrote, and no other.

    \b
    Example:
      flask lifecycle remove s3://tempstore
    """  # noqa: D301 (click looks for the character itself, not for its name)
    with _exiting():
        change = services().lifecycles.remove(base_uri, dry_run=dry_run)
    _print_change(base_uri, change, dry_run=dry_run, as_json=as_json)


@lifecycle.command("sweep")
@_base_uri
@click.option(
    "--even-if-all",
    is_flag=True,
    help="Proceed even if every dataset is missing and no rule explains it.",
)
@_dry_run
@json_option
def sweep(base_uri: BaseURI, *, even_if_all: bool, dry_run: bool, as_json: bool) -> None:
    """Unregister datasets whose objects the store has deleted.

    A dataset is unregistered if the store answers and holds nothing of it any more. Its UUID can
    then be used again; on Azure the empty container remains, and has to be deleted first. Datasets
    that are partly gone are reported and kept, and so are all datasets while the store cannot be
    reached. A dataset that no known lifecycle rule can have deleted since it was frozen is kept as
    well, unless --even-if-all is given: the server may be configured for another store.

    Exit code: 0; 1 if any dataset could not be checked or unregistered, or is missing and no rule
    explains it; 2 if an argument is not valid.

    \b
    Example, for cron:
      flask lifecycle sweep s3://tempstore
    """  # noqa: D301 (click looks for the character itself, not for its name)
    with _exiting():
        registered = services().sweep.registered(base_uri)
        findings = services().sweep.findings(
            base_uri, registered, dry_run=dry_run, even_if_all=even_if_all
        )
        found = list(tracked(findings, "Sweeping", len(registered)))
    if as_json:
        click.echo(json.dumps(_sweep_facts(base_uri, found, dry_run=dry_run), indent=2))
    else:
        click.echo("\n".join(_sweep_lines(found, dry_run=dry_run)))
    if any(finding.state is DatasetState.FAILED for finding in found):
        sys.exit(1)


@contextmanager
def _exiting() -> Iterator[None]:
    """Turn errors into sentences: exit code 2 for those about arguments, otherwise 1."""
    try:
        yield
    except InvalidField as error:
        raise usage_error(error) from error
    except SignedURLError as error:
        raise click.ClickException(error.message) from error


# Text ---------------------------------------------------------------------------------------


def _facts(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    return [asdict(rule) for rule in rules]


def _lines(base_uri: BaseURI, rules: Sequence[Rule]) -> Iterator[str]:
    if not rules:
        yield f"{base_uri} has no lifecycle rules: its store deletes nothing by itself."
        return
    yield f"{base_uri} has {counted(len(rules), 'lifecycle rule')}:"
    yield from map(_sentence, rules)


def _sentence(rule: Rule) -> str:
    notes = ["written by `flask lifecycle set`"] if rule.is_ours else []
    notes += [] if rule.is_enabled else ["switched off"]
    noted = f" ({', '.join(notes)})" if notes else ""
    does = "; ".join(rule.does) or "nothing is done"
    return f"  {rule.name or 'without a name'}{noted}: {rule.applies_to}: {does}"


def _print_change(
    base_uri: BaseURI, change: Change, *, dry_run: bool, as_json: bool, **more: object
) -> None:
    for warning in change.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if not as_json:
        click.echo("\n".join(_change_lines(base_uri, change, dry_run=dry_run)))
        return
    facts = {
        "base_uri": str(base_uri),
        "dry_run": dry_run,
        "changed": change.differs,
        "rules": _facts(change.after),
        "warnings": list(change.warnings),
    }
    click.echo(json.dumps(facts | more, indent=2))


def _change_lines(base_uri: BaseURI, change: Change, *, dry_run: bool) -> Iterator[str]:
    if not change.differs:
        yield "Nothing to change."
    for sign, rules, others in (
        ("-", change.before, change.after),
        ("+", change.after, change.before),
    ):
        for rule in rules:
            if rule not in others:
                yield f"{sign}{_sentence(rule)}"
    if dry_run:
        yield "Dry run: nothing was changed."
    else:
        yield from _lines(base_uri, change.after)


def _sweep_facts(
    base_uri: BaseURI, found: Sequence[SweptDataset], *, dry_run: bool
) -> dict[str, Any]:
    return {
        "base_uri": str(base_uri),
        "dry_run": dry_run,
        "datasets": [
            {
                "uri": finding.dataset.uri_text,
                "name": finding.dataset.name,
                "state": finding.state.value,
                "reason": finding.reason,
            }
            for finding in found
        ],
    }


def _sweep_lines(found: Sequence[SweptDataset], *, dry_run: bool) -> Iterator[str]:
    for finding in found:
        if finding.state is not DatasetState.PRESENT:
            state = "would remove" if finding.state is DatasetState.GONE else finding.state.value
            reason = f": {finding.reason}" if finding.reason else ""
            yield f"{finding.dataset.uri_text} {printable(finding.dataset.name)}: {state}{reason}"
    counts = Counter(finding.state.value for finding in found)
    total = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    yield f"{'Dry run: ' if dry_run else ''}{total or 'no dataset is registered there'}."
