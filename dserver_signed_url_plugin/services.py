"""The services of one app, put together by the extension and found again by its doors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from dserver_signed_url_plugin.audit import Audit
from dserver_signed_url_plugin.cleanup import Cleanup
from dserver_signed_url_plugin.completion import Completions
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.downloads import Downloads
from dserver_signed_url_plugin.progress import Progresses
from dserver_signed_url_plugin.removal import Removals
from dserver_signed_url_plugin.storage import Storages
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
    audit: Audit

    @classmethod
    def of(cls, settings: Settings) -> Services:
        """Put the services together."""
        storages = Storages(settings)
        completions = Completions(settings, storages)
        removals = Removals(storages)
        audit = Audit(settings)
        return cls(
            settings,
            storages,
            Uploads(settings, storages),
            completions,
            Downloads(settings, storages),
            Progresses(settings, storages),
            removals,
            Cleanup(removals, completions, audit),
            audit,
        )

    def attach(self, app: Flask) -> None:
        """Make them the services of this app."""
        app.extensions[_NAME] = self


def services() -> Services:
    """Return the services of the current app."""
    return cast(Services, current_app.extensions[_NAME])
