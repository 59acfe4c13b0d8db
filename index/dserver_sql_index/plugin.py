"""What dserver expects of every plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask


class Plugin:
    """A plugin without configuration."""

    def init_app(self, app: Flask, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the tables are in dserver's own database."""

    def get_config(self) -> dict[str, Any]:
        return {}

    def get_config_secrets_to_obfuscate(self) -> list[str]:
        return []
