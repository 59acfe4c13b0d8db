"""The services of an app, built by the extension and used by routes and commands."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app

from dserver_signed_url_plugin.audit.export import AuditExport
from dserver_signed_url_plugin.audit.report import AuditReport
from dserver_signed_url_plugin.audit.service import Audit
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.deposits.file_urls import FileURLs
from dserver_signed_url_plugin.deposits.service import Deposits
from dserver_signed_url_plugin.deposits.streams import StreamDeposits
from dserver_signed_url_plugin.deposits.temporary import TemporaryDeposits
from dserver_signed_url_plugin.downloads.service import Downloads
from dserver_signed_url_plugin.health.service import Health
from dserver_signed_url_plugin.lifecycle.rules import Lifecycles
from dserver_signed_url_plugin.lifecycle.sweep import Sweep
from dserver_signed_url_plugin.metrics.service import Metrics
from dserver_signed_url_plugin.rate_limits import RateLimits
from dserver_signed_url_plugin.shares.cleanup import ShareCleanup
from dserver_signed_url_plugin.shares.service import Shares
from dserver_signed_url_plugin.shares.visits import Visits
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.uploads.begin import Uploads
from dserver_signed_url_plugin.uploads.cancel import Cancellations
from dserver_signed_url_plugin.uploads.cleanup import Cleanup
from dserver_signed_url_plugin.uploads.complete import Completions
from dserver_signed_url_plugin.uploads.parts import PartSigner
from dserver_signed_url_plugin.uploads.status import UploadStatuses
from dserver_signed_url_plugin.uploads.streams import StreamedItems
from dserver_signed_url_plugin.uploads.tokens import UploadTokens
from dserver_signed_url_plugin.verification.service import Verifications

_NAME = "signed-url"


class Services:
    """The services that routes and commands may call."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rate_limits = RateLimits(settings)
        audit = self.audit = Audit(settings)
        self.audit_export = AuditExport(settings)
        self.audit_report = AuditReport(settings)
        self.metrics = Metrics(settings, audit)
        observer = self.metrics.observer
        storages = self.storages = Storages(settings, observer)
        self.health = Health(storages)
        lifecycles = self.lifecycles = Lifecycles(storages)
        self.sweep = Sweep(storages, lifecycles, audit)
        self.verifications = Verifications(settings, storages, audit)

        self.upload_tokens = UploadTokens(settings.secret_key)
        uploads = self.uploads = Uploads(settings, storages, self.upload_tokens)
        self.parts = PartSigner(settings, storages, lifecycles)
        self.statuses = UploadStatuses(settings, storages, self.upload_tokens)
        completions = self.completions = Completions(settings, storages, observer)
        cancellations = self.cancellations = Cancellations(storages)
        self.cleanup = Cleanup(storages, cancellations, completions, audit)

        downloads = self.downloads = Downloads(settings, storages, lifecycles)
        self.file_urls = FileURLs(settings, downloads, lifecycles, audit)
        self.shares = Shares(settings, downloads, lifecycles, audit)
        self.share_cleanup = ShareCleanup()
        self.visits = Visits(settings, downloads)

        self.deposits = Deposits(
            storages, uploads, self.parts, self.statuses, completions, cancellations, audit
        )
        items = StreamedItems(settings, storages)
        self.streams = StreamDeposits(
            settings, storages, uploads, items, completions, cancellations, audit
        )
        self.temporary_deposits = TemporaryDeposits(storages, completions, self.shares, audit)

    def attach(self, app: Flask) -> None:
        """Attach the services to an app."""
        app.extensions[_NAME] = self


def services() -> Services:
    """Return the services of the current app."""
    return cast(Services, current_app.extensions[_NAME])
