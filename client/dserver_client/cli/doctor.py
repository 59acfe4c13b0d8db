"""The command that finds out why something does not work."""

from __future__ import annotations

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.session import Session
from dserver_client.doctor.examination import examine
from dserver_client.doctor.findings import Finding


@click.command()
@command_options
def doctor(session: Session) -> None:
    """Find out what is wrong.

    Checks the address and certificate of dserver, your token and permissions, clocks, whether the
    store is reached with a signed URL, and what dtool uses for dserver://. Nothing is changed. Ends
    with 1 if there is a problem, with 0 if there are warnings only.
    """
    client = session.client()
    found = []
    for finding in examine(client.server, client.settings):
        found.append(finding)
        session.output.line(_text(finding))
    healthy = all(finding.status != "problem" for finding in found)
    if session.output.as_json:
        session.output.result({"healthy": healthy, "findings": found}, "")
    if not healthy:
        raise click.exceptions.Exit(1)


def _text(finding: Finding) -> str:
    line = f"{finding.status:8} {finding.check}: {finding.message}"
    return f"{line}\n         {finding.advice}" if finding.advice else line
