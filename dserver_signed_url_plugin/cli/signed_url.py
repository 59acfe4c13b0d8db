"""`flask signed_url …`: what operators ask of the plugin itself."""

from __future__ import annotations

from dserver_signed_url_plugin.cli.audit import audit
from dserver_signed_url_plugin.cli.commands import Commands
from dserver_signed_url_plugin.cli.doctor import doctor

signed_url = Commands(
    "signed_url", help="Ask about signed URLs: who got them, and whether they would work."
)
signed_url.add_command(audit)
signed_url.add_command(doctor)
