"""The entry point of dserver: registers the blueprint and builds the services from the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dservercore import ExtensionABC, sql_db
from flask import Flask
from flask.blueprints import BlueprintSetupState
from flask_smorest import Blueprint
from werkzeug.middleware.proxy_fix import ProxyFix

from dserver_signed_url_plugin import database, log_filter, tables
from dserver_signed_url_plugin.config import Settings, secrets_in
from dserver_signed_url_plugin.deposits import repository as deposit_repository
from dserver_signed_url_plugin.services import Services
from dserver_signed_url_plugin.shares import repository as share_repository
from dserver_signed_url_plugin.uploads import models, part_repository
from dserver_signed_url_plugin.web import links, monitoring, share_routes
from dserver_signed_url_plugin.web.routes import blueprint

# Imported for `flask db migrate` of the host, which needs models and tables, and for their routes.
__all__ = ["SignedURLExtension", "links", "models", "monitoring", "share_routes", "tables"]


class SignedURLExtension(ExtensionABC):
    """The extension that dserver loads by its entry point."""

    def init_app(self, app: Flask, *args: Any, **kwargs: Any) -> None:
        """Read the settings, and attach the services to the app.

        :raises ConfigurationError: if a setting is invalid; the message names it.
        """
        log_filter.install(app.name)
        database.add_defaults(app.config)
        # Runs after dserver's own handler, which may still return a connection to the pool.
        app.teardown_appcontext(database.end_request)
        settings = Settings.load(app.config, os.environ)
        _trust_proxies(app, settings.proxies)
        Services(settings).attach(app)
        # dserver shows its configuration to every user, except the settings in this list.
        # A new list, because the original one is shared by all apps of the process.
        known = app.config.get("CONFIG_SECRETS_TO_OBFUSCATE", [])
        app.config["CONFIG_SECRETS_TO_OBFUSCATE"] = [*known, *secrets_in(app.config)]

    def get_blueprint(self) -> Blueprint:
        """Return the routes."""
        return blueprint

    def get_config(self) -> Mapping[str, Any]:
        """Return nothing, because ``init_app`` reads the settings itself."""
        return {}

    def get_config_secrets_to_obfuscate(self) -> list[str]:
        """Return nothing, because the secrets depend on the buckets: ``init_app`` adds them."""
        return []

    def register_dataset(self, dataset_info: Mapping[str, Any]) -> None:
        """Do nothing: datasets registered by other means need nothing from this plugin."""

    def delete_dataset(self, uri: str) -> None:
        """End the shares of a dataset, and delete how it was deposited; dserver commits that.

        In its transaction, in which a search plugin may have locked the dataset until dserver's own
        row is deleted. If this fails, dserver goes on, and so must that transaction.
        """
        with sql_db.session.begin_nested():
            share_repository.end_shares_of_dataset(uri)
            deposit_repository.forget_dataset(uri)
            part_repository.forget_dataset(uri)


def _trust_proxies(app: Flask, count: int) -> None:
    """Take address, scheme and host from the headers of so many proxies, each of which adds one."""
    if count:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # as Flask documents it
            app.wsgi_app, x_for=count, x_proto=count, x_host=count
        )


def _limit_database_waits(state: BlueprintSetupState) -> None:
    """Limit how long statements wait; dserver's engines exist when blueprints are registered."""
    with state.app.app_context():
        for engine in sql_db.engines.values():
            database.limit_engine(engine)


blueprint.record(_limit_database_waits)
