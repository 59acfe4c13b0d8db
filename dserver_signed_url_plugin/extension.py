"""The plug: what dserver asks an extension for, and the wiring of the services.

The only place where real parts are chosen; it decides nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dservercore import ExtensionABC, sql_db
from flask import Flask
from flask.blueprints import BlueprintSetupState
from flask_smorest import Blueprint

from dserver_signed_url_plugin import database, tables
from dserver_signed_url_plugin.config import Settings, secrets_in
from dserver_signed_url_plugin.services import Services
from dserver_signed_url_plugin.uploads import models
from dserver_signed_url_plugin.web.routes import blueprint

# A host's own `flask db migrate` needs both.
__all__ = ["SignedURLExtension", "models", "tables"]


class SignedURLExtension(ExtensionABC):
    """dserver's extension for signed URLs."""

    def init_app(self, app: Flask, *args: Any, **kwargs: Any) -> None:
        """Read the settings and attach the services.

        :raises ConfigurationError: naming the variable that is wrong.
        """
        database.add_defaults(app.config)
        # Called after dserver's own, which may still have to give a connection back.
        app.teardown_appcontext(database.end_request)
        Services.of(Settings.load(app.config, os.environ)).attach(app)
        # dserver shows its config to every user, secrets of a Flask config included.
        # The list is that of dservercore's own class, and of every other app of this process.
        known = app.config.get("CONFIG_SECRETS_TO_OBFUSCATE", [])
        app.config["CONFIG_SECRETS_TO_OBFUSCATE"] = [*known, *secrets_in(app.config)]

    def get_blueprint(self) -> Blueprint:
        """Return the doors."""
        return blueprint

    def get_config(self) -> Mapping[str, Any]:
        """Add nothing to Flask's config: settings are read where they are used, by init_app."""
        return {}

    def get_config_secrets_to_obfuscate(self) -> list[str]:
        """Name no secrets here: which there are depends on the buckets, so init_app adds them."""
        return []

    def register_dataset(self, dataset_info: Mapping[str, Any]) -> None:
        """Do nothing: what is registered elsewhere needs nothing from here."""

    def delete_dataset(self, uri: str) -> None:
        """Do nothing: nothing is kept here about registered datasets."""


def _bound(state: BlueprintSetupState) -> None:
    """Let nobody wait for dserver's database for long, which has its engines by now."""
    with state.app.app_context():
        for engine in sql_db.engines.values():
            database.bound(engine)


blueprint.record(_bound)
