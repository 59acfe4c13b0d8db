"""The Flask app of the demo: dserver with this plugin, an index in SQL, and five users."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import dservercore
import dservercore.utils
from dservercore.config import Config
from flask import Flask
from flask_jwt_extended import create_access_token
from sqlalchemy import text

from dserver_signed_url_plugin.demo import front_page

SETTINGS_VARIABLE = "DSERVER_DEMO_SETTINGS"
SEARCHERS = ("alice", "bob", "carol")
DEPOSITORS = ("alice", "carol")
USERS = ("alice", "bob", "carol", "dave", "admin")

SEARCH = EntryPoint("SQLSearch", "dserver_sql_index:SQLSearch", "dservercore.search")
RETRIEVE = EntryPoint("SQLRetrieve", "dserver_sql_index:SQLRetrieve", "dservercore.retrieve")
EXTENSION = EntryPoint(
    "SignedURLExtension", "dserver_signed_url_plugin:SignedURLExtension", "dservercore.extension"
)


def create_app(config: Mapping[str, Any]) -> Flask:
    """Return a dserver with dservercore's own settings, overridden by ``config``."""
    # create_app reads these from dservercore, other functions read them from dservercore.utils.
    for module in (dservercore, dservercore.utils):
        module.search_entrypoints_iterator = (SEARCH,)
        module.retrieve_entrypoints_iterator = (RETRIEVE,)
        module.extension_entrypoints_iterator = _extensions()
    app: Flask = dservercore.create_app({**_defaults(config), **config})
    app.config["CONFIG_SECRETS_TO_OBFUSCATE"] = _secrets(app)
    if front_page.BASE_URI_SETTING in app.config:
        app.register_blueprint(front_page.blueprint)
    return app


def create_app_from_environment() -> Flask:
    """Return the app for a gunicorn worker, from the settings file that the parent has written."""
    settings = Path(os.environ[SETTINGS_VARIABLE]).read_text(encoding="utf-8")
    return create_app(json.loads(settings))


def prepare(app: Flask, base_uri: str) -> None:
    """Create the tables, users, base URI and permissions that do not exist yet."""
    with app.app_context():
        _enable_write_ahead_log()
        dservercore.sql_db.create_all()
        for name in USERS:
            dservercore.utils.register_user(name, {"is_admin": name == "admin"})
        if not dservercore.utils.base_uri_exists(base_uri):
            dservercore.utils.register_base_uri(base_uri)
        dservercore.utils.register_permissions(
            base_uri,
            {
                "users_with_search_permissions": SEARCHERS,
                "users_with_register_permissions": DEPOSITORS,
            },
        )


def tokens(app: Flask, lifetime: timedelta) -> dict[str, str]:
    """Return a token for each user, by name."""
    with app.app_context():
        return {name: create_access_token(name, expires_delta=lifetime) for name in USERS}


@cache
def _extensions() -> tuple[EntryPoint, ...]:
    """Return the entry points of all extensions; this plugin's even if it is not installed."""
    installed = {point.value: point for point in entry_points(group=EXTENSION.group)}
    return tuple({EXTENSION.value: EXTENSION, **installed}.values())


def _secrets(app: Any) -> list[str]:
    """Return the names of the settings that /config/info has to hide.

    dservercore collects those of plugins only if ``create_app`` gets no configuration.
    """
    names = list(app.config["CONFIG_SECRETS_TO_OBFUSCATE"])
    for plugin in (app.search, app.retrieve, *app.custom_extensions):
        names += getattr(plugin, "get_config_secrets_to_obfuscate", list)()
    return names


def _defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {name: getattr(Config, name) for name in dir(Config) if name.isupper()}
    database = config.get("SQLALCHEMY_DATABASE_URI", defaults["SQLALCHEMY_DATABASE_URI"])
    if str(database).startswith("sqlite"):
        defaults["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": {"timeout": 6}}
    return defaults


def _enable_write_ahead_log() -> None:
    engine = dservercore.sql_db.engine
    if engine.dialect.name == "sqlite":
        # The mode is stored in the database file and applies to all later connections.
        with engine.connect() as connection:
            connection.execute(text("PRAGMA journal_mode=WAL"))
