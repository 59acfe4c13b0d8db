"""dserver's own tables, as the installed dservercore declares them, as far as they are missing."""

from __future__ import annotations

from dserver_signed_url_plugin import tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create people, base URIs, permissions and the register."""
    tables.complete_dservers()


def downgrade() -> None:
    """Leave everything: people, permissions and the register are dserver's, not this plugin's."""
