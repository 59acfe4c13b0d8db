"""`flask pending_upload …`: uploads that are not registered yet."""

from __future__ import annotations

from flask.cli import AppGroup

pending_upload = AppGroup("pending_upload", help="List and clean up uploads not registered yet.")
