"""`flask signed_url doctor`: would signed URLs of this base URI work, and if not, why.

Knows options, exit codes and how findings are written down; what they mean is the doctor's.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import click
from flask.cli import with_appcontext

from dserver_signed_url_plugin.doctor import Doctor, Purpose, Report, Status
from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uris import BaseURI

_WIDTH = 100
_INDENT = " " * 10
_NOT_FOR_UPLOADING, _NOT_FOR_READING, _NOT_EXAMINED = 3, 4, 5
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")


class _Unusable(click.ClickException):
    """Nothing could be examined, because of the URI or of the settings."""

    exit_code = 2


@click.command("doctor")
@click.argument("base_uri", metavar="BASE_URI")
@click.option("--origin", metavar="ORIGIN", help="Also ask as a web page of this origin would.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@with_appcontext
def doctor(base_uri: str, origin: str | None, as_json: bool) -> None:
    """Try whether signed URLs of BASE_URI work, through the public endpoint.

    Signs, and really performs PUT, GET and HEAD, as well as what the store must refuse; looks at
    clocks, credentials, permissions, CORS, and what the store keeps or deletes by itself. Writes
    in a place dserver-signed-url-doctor… alone, and removes it. No URL is printed with its
    signature.

    \b
    Exit code:
      0  fit for reading and for uploading (look at the warnings, if there are any)
      2  nothing was examined: BASE_URI, an option or a setting is wrong
      3  fit for reading, not for uploading
      4  not fit for reading, and so not for uploading
      5  nothing was examined: the storage of BASE_URI has no examination

    \b
    Example:
      flask signed_url doctor s3://my-bucket --origin https://data.example.org
    """  # noqa: D301 (click looks for the character itself, not for its name)
    if origin is not None and not _ORIGIN.fullmatch(origin):
        raise click.BadParameter("must be like https://data.example.org", param_hint="--origin")
    try:
        uri = BaseURI.parse(base_uri)
        report = Doctor(services().settings, services().storages).examine(uri, origin)
        signed_by = services().storages.signed_by(uri)
    except SignedURLError as error:
        raise _Unusable(error.message) from error
    if report is None:
        click.echo(_not_examined(str(uri), signed_by, as_json))
        sys.exit(_NOT_EXAMINED)
    if as_json:
        click.echo(json.dumps({"signed_by": signed_by, **_facts(report)}, indent=2))
    else:
        click.echo("\n".join(_lines(report, signed_by)))
    sys.exit(_exit_code(report))


def _exit_code(report: Report) -> int:
    if not report.is_fit_for(Purpose.READING):
        return _NOT_FOR_READING
    return 0 if report.is_fit_for(Purpose.UPLOADING) else _NOT_FOR_UPLOADING


def _not_examined(base_uri: str, signed_by: str, as_json: bool) -> str:
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
        f"{base_uri}: not examined. URLs are signed by {signed_by}, which has no scratch place "
        "outside datasets; try a deposit."
    )


def _facts(report: Report) -> dict[str, Any]:
    return {
        "base_uri": report.base_uri,
        "endpoint": report.inside,
        "public_endpoint": report.outside,
        "reading": report.is_fit_for(Purpose.READING),
        "uploading": report.is_fit_for(Purpose.UPLOADING),
        "findings": [
            {
                "name": found.name,
                "status": found.outcome.status.value,
                "tried": found.tried,
                "answered": found.outcome.answered,
                "means": found.outcome.means,
                "advice": found.outcome.advice,
            }
            for found in report.findings
        ],
        "cures": [{"title": cure.title, "text": cure.text} for cure in report.cures],
    }


def _lines(report: Report, signed_by: str) -> Iterator[str]:
    """Yield a table with a line for each finding, and below it what it means and what to do."""
    yield f"{report.base_uri}, for people at {report.outside}, for the server at {report.inside}"
    yield f"URLs are signed by {signed_by}."
    yield f"Scratch objects: {report.scratch}…"
    yield ""
    waiting = [found.name for found in report.findings if found.waits_for]
    shown = [found for found in report.findings if not found.waits_for]
    width = max(len(found.tried) for found in shown)
    for found in shown:
        status, outcome = found.outcome.status.value, found.outcome
        yield f"{status:<8}  {found.tried:<{width}}  {outcome.answered}".rstrip()
        yield from _wrapped(outcome.means)
        if outcome.advice:
            yield from _wrapped(f"To do: {outcome.advice}")
    if waiting:
        yield f"{Status.SKIPPED.value:<8}  until that is mended:"
        yield from _wrapped(", ".join(waiting))
    for cure in report.cures:
        yield from ("", f"{cure.title}:", "", *(f"    {line}" for line in cure.text.splitlines()))
    yield ""
    yield from _verdict(report)


def _verdict(report: Report) -> Sequence[str]:
    return [
        f"Fit for {use.value}: {'yes' if report.is_fit_for(use) else 'no'}."
        for use in (Purpose.READING, Purpose.UPLOADING)
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
    )
