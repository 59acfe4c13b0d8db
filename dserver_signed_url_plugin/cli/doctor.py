"""The command `flask signed_url doctor`: its options, exit codes and output."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import click
from flask.cli import with_appcontext

from dserver_signed_url_plugin.cli.commands import json_option
from dserver_signed_url_plugin.cli.interruptions import (
    Terminated,
    explained_interruption,
    interruptible,
)
from dserver_signed_url_plugin.doctor import Doctor, Purpose, Report, Status
from dserver_signed_url_plugin.errors import InvalidField, SignedURLError
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uris import BaseURI

_WIDTH = 100
_INDENT = " " * 10
_NOT_FOR_UPLOADING, _NOT_FOR_READING, _NOT_CHECKED = 3, 4, 5
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")


class _Unusable(click.ClickException):
    """Nothing was checked, because the URI or a setting is wrong."""

    exit_code = 2


@click.command("doctor")
@click.argument("base_uri", metavar="BASE_URI")
@click.option("--origin", metavar="ORIGIN", help="Also check CORS for web pages of this origin.")
@json_option
@with_appcontext
def doctor(base_uri: str, origin: str | None, *, as_json: bool) -> None:
    """Check whether signed URLs of BASE_URI work.

    Signs URLs and follows them through the public endpoint: PUT, GET and HEAD, and requests that
    the store must refuse. Also checks clocks, credentials, permissions, CORS, versioning and
    lifecycle rules. Writes only objects below dserver-signed-url-doctor…, and removes them. Prints
    no keys and no signatures.

    \b
    Exit code:
      0  fit for reading and for uploading (there may be warnings)
      2  nothing was checked: BASE_URI, an option or a setting is wrong
      3  fit for reading, not for uploading
      4  not fit for reading, and so not for uploading
      5  nothing was checked: there are no checks for the storage of BASE_URI

    \b
    Example:
      flask signed_url doctor s3://my-bucket --origin https://data.example.org
    """  # noqa: D301 (click looks for the character itself, not for its name)
    if origin is not None and not _ORIGIN.fullmatch(origin):
        raise click.BadParameter("must be like https://data.example.org", param_hint="--origin")
    try:
        uri = BaseURI.parse(base_uri)
        report = _checked(uri, origin)
        signed_by = services().storages.signed_by(uri)
    except InvalidField as error:
        raise _Unusable(f"BASE_URI {error.reason}") from error
    except SignedURLError as error:
        raise _Unusable(error.message) from error
    if report is None:
        click.echo(_not_checked(str(uri), signed_by, as_json=as_json))
        sys.exit(_NOT_CHECKED)
    if as_json:
        click.echo(json.dumps({"signed_by": signed_by, **_facts(report)}, indent=2))
    else:
        click.echo("\n".join(_lines(report, signed_by)))
    sys.exit(_exit_code(report))


def _checked(uri: BaseURI, origin: str | None) -> Report | None:
    """Check a base URI; if a signal ends that, exit when the scratch objects are removed."""
    try:
        with interruptible(), explained_interruption(""):
            report = Doctor(services().settings, services().storages).check(uri, origin)
    except Terminated as signal:
        sys.exit(signal.exit_code)
    return report


def _exit_code(report: Report) -> int:
    if not report.is_fit_for(Purpose.READING):
        return _NOT_FOR_READING
    return 0 if report.is_fit_for(Purpose.UPLOADING) else _NOT_FOR_UPLOADING


def _not_checked(base_uri: str, signed_by: str, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(
            {
                "signed_by": signed_by,
                "base_uri": base_uri,
                "reading": None,
                "uploading": None,
                "findings": [],
                "cures": [],
            }
        )
    return (
        f"{base_uri}: not checked. URLs are signed by {signed_by}, for which there are no checks; "
        "try a deposit."
    )


def _facts(report: Report) -> dict[str, Any]:
    return {
        "base_uri": report.base_uri,
        "endpoint": report.endpoint,
        "public_endpoint": report.public_endpoint,
        "reading": report.is_fit_for(Purpose.READING),
        "uploading": report.is_fit_for(Purpose.UPLOADING),
        "findings": [
            {
                "name": found.name,
                "status": found.result.status.value,
                "tried": found.tried,
                "answered": found.result.answered,
                "means": found.result.means,
                "advice": found.result.advice,
            }
            for found in report.findings
        ],
        "cures": [{"title": fix.title, "text": fix.text} for fix in report.fixes],
    }


def _lines(report: Report, signed_by: str) -> Iterator[str]:
    """Yield the report for people: each finding with what it means and what to do, then fixes."""
    yield (
        f"{report.base_uri}, for people at {report.public_endpoint}, "
        f"for the server at {report.endpoint}"
    )
    yield f"URLs are signed by {signed_by}."
    yield f"Scratch objects: {report.scratch}…"
    yield ""
    not_reached = [found.name for found in report.findings if found.unmet]
    shown = [found for found in report.findings if not found.unmet]
    width = max(len(found.tried) for found in shown)
    for found in shown:
        result = found.result
        yield f"{result.status.value:<8}  {found.tried:<{width}}  {result.answered}".rstrip()
        yield from _wrapped(result.means)
        if result.advice:
            yield from _wrapped(f"To do: {result.advice}")
    if not_reached:
        yield f"{Status.SKIPPED.value:<8}  until this is fixed:"
        yield from _wrapped(", ".join(not_reached))
    for fix in report.fixes:
        yield from ("", f"{fix.title}:", "", *(f"    {line}" for line in fix.text.splitlines()))
    yield ""
    yield from _verdict(report)


def _verdict(report: Report) -> Sequence[str]:
    return [
        f"Fit for {purpose.value}: {'yes' if report.is_fit_for(purpose) else 'no'}."
        for purpose in (Purpose.READING, Purpose.UPLOADING)
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
    )
