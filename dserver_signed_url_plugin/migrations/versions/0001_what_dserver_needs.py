"""Create the tables of dserver that do not exist, as the installed dservercore declares them."""

from __future__ import annotations

from dserver_signed_url_plugin import tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of users, base URIs, permissions and datasets."""
    tables.complete_dserver_tables()


def downgrade() -> None:
    """Do nothing: the tables belong to dserver, not to this plugin."""
