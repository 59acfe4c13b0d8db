"""The command that finds out why something does not work."""

from __future__ import annotations

from collections.abc import Iterator

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.session import Session
from dserver_client.doctor.examination import check_broker, examine
from dserver_client.doctor.findings import Finding, problem


@click.command()
@command_options
def doctor(session: Session) -> None:
    """Find out what is wrong.

    Checks the address and certificate of dserver, your token and permissions, clocks, whether the
    store is reached with a signed URL, and what dtool uses for dserver://. Nothing is changed.
    Exits with status 1 if there is a problem, with 0 if there are warnings only.
    """
    found = []
    for finding in _findings(session):
        found.append(finding)
        session.output.line(_text(finding))
    healthy = all(finding.status != "problem" for finding in found)
    if session.output.as_json:
        session.output.result({"healthy": healthy, "findings": found}, "")
    if not healthy:
        raise click.exceptions.Exit(1)


def _findings(session: Session) -> Iterator[Finding]:
    if session.settings.url is None:
        yield from check_broker()
        advice = "Log in with `dserver login URL`, or set DSERVER_URL."
        yield problem("server", "No dserver is known.", advice)
        return
    client = session.client()
    yield from examine(client.server, client.settings)


def _text(finding: Finding) -> str:
    line = f"{finding.status:8} {finding.check}: {finding.message}"
    return f"{line}\n         {finding.advice}" if finding.advice else line
