"""What dserver expects of every plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dserver_sql_index.tables import NAMES, VERSION_TABLE

if TYPE_CHECKING:
    from flask import Flask


class Plugin:
    """A plugin without configuration."""

    def init_app(self, app: Flask, *args: Any, **kwargs: Any) -> None:
        """Register the tables, which are in dserver's database, for whoever checks that."""
        migrations = app.extensions.setdefault("dserver-migrations", {})
        migrations["dserver_sql_index"] = VERSION_TABLE, NAMES

    def get_config(self) -> dict[str, Any]:
        return {}

    def get_config_secrets_to_obfuscate(self) -> list[str]:
        return []
