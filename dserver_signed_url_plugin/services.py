"""The services of one app, put together by the extension and found again by its doors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from dserver_signed_url_plugin.audit import Audit
from dserver_signed_url_plugin.cleanup import Cleanup
from dserver_signed_url_plugin.completion import Completions
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.deposits import Deposits
from dserver_signed_url_plugin.downloads import Downloads
from dserver_signed_url_plugin.lifecycle import Lifecycles
from dserver_signed_url_plugin.progress import Progresses
from dserver_signed_url_plugin.rates import Rates
from dserver_signed_url_plugin.removal import Removals
from dserver_signed_url_plugin.sharing import Sharing
from dserver_signed_url_plugin.storage import Storages
from dserver_signed_url_plugin.sweep import Sweep
from dserver_signed_url_plugin.uploads import Uploads

_NAME = "signed-url"


@dataclass(frozen=True)
class Services:
    """Everything that the doors may call."""

    settings: Settings
    storages: Storages
    uploads: Uploads
    completions: Completions
    downloads: Downloads
    progresses: Progresses
    removals: Removals
    cleanup: Cleanup
    deposits: Deposits
    sharing: Sharing
    lifecycles: Lifecycles
    sweep: Sweep
    audit: Audit
    rates: Rates

    @classmethod
    def of(cls, settings: Settings) -> Services:
        """Put the services together."""
        storages = Storages(settings)
        uploads = Uploads(settings, storages)
        progresses = Progresses(settings, storages)
        completions = Completions(settings, storages)
        removals = Removals(storages)
        lifecycles = Lifecycles(storages)
        downloads = Downloads(settings, storages, lifecycles)
        audit = Audit(settings)
        return cls(
            settings,
            storages,
            uploads,
            completions,
            downloads,
            progresses,
            removals,
            Cleanup(removals, completions, audit),
            Deposits(storages, uploads, progresses, completions, removals),
            Sharing(settings, downloads, lifecycles, audit),
            lifecycles,
            Sweep(storages, lifecycles, audit),
            audit,
            Rates(settings),
        )

    def attach(self, app: Flask) -> None:
        """Make them the services of this app."""
        app.extensions[_NAME] = self


def services() -> Services:
    """Return the services of the current app."""
    return cast(Services, current_app.extensions[_NAME])
