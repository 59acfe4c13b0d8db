"""`flask signed_url …`: the audit, the report, the doctor, and the verification of datasets."""

from __future__ import annotations

from dserver_signed_url_plugin.cli.audit import audit
from dserver_signed_url_plugin.cli.commands import Commands
from dserver_signed_url_plugin.cli.doctor import doctor
from dserver_signed_url_plugin.cli.report import report
from dserver_signed_url_plugin.cli.verify import verify

signed_url = Commands(
    "signed_url",
    help="Check base URIs, verify datasets, and show who did what.",
    # The doctor removes what it writes, and its URLs are given to nobody.
    reading={"audit", "doctor", "report"},
)
signed_url.add_command(audit)
signed_url.add_command(doctor)
signed_url.add_command(report)
signed_url.add_command(verify)
