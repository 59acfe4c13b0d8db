"""`flask signed_url …`: what operators ask of the plugin itself."""

from __future__ import annotations

from flask.cli import AppGroup

signed_url = AppGroup(
    "signed_url", help="Ask about signed URLs: who got them, and whether they would work."
)
