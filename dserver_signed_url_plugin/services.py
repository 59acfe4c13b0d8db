"""The services of an app, built by the extension and used by routes and commands."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services that routes and commands may call."""

    settings: Settings
    storages: Storages
    uploads: Uploads
    upload_tokens: UploadTokens
    parts: PartSigner
    completions: Completions
    statuses: UploadStatuses
    cancellations: Cancellations
    cleanup: Cleanup
    downloads: Downloads
    deposits: Deposits
    streams: StreamDeposits
    file_urls: FileURLs
    shares: Shares
    share_cleanup: ShareCleanup
    visits: Visits
    temporary_deposits: TemporaryDeposits
    lifecycles: Lifecycles
    sweep: Sweep
    verifications: Verifications
    audit: Audit
    audit_export: AuditExport
    audit_report: AuditReport
    rate_limits: RateLimits
    health: Health
    metrics: Metrics

    @classmethod
    def of(cls, settings: Settings) -> Services:
        """Build the services."""
        audit = Audit(settings)
        metrics = Metrics(settings, audit)
        storages = Storages(settings, metrics.observer)
        lifecycles = Lifecycles(storages)
        upload_tokens = UploadTokens(settings.secret_key)
        uploads = Uploads(settings, storages, upload_tokens)
        parts = PartSigner(settings, storages, lifecycles)
        completions = Completions(settings, storages, metrics.observer)
        statuses = UploadStatuses(settings, storages, upload_tokens)
        cancellations = Cancellations(storages)
        downloads = Downloads(settings, storages, lifecycles)
        streamed_items = StreamedItems(settings, storages)
        shares = Shares(settings, downloads, lifecycles, audit)
        return cls(
            settings=settings,
            storages=storages,
            uploads=uploads,
            upload_tokens=upload_tokens,
            parts=parts,
            completions=completions,
            statuses=statuses,
            cancellations=cancellations,
            cleanup=Cleanup(storages, cancellations, completions, audit),
            downloads=downloads,
            deposits=Deposits(
                storages, uploads, parts, statuses, completions, cancellations, audit
            ),
            streams=StreamDeposits(
                settings, storages, uploads, streamed_items, completions, cancellations, audit
            ),
            file_urls=FileURLs(settings, downloads, lifecycles, audit),
            shares=shares,
            visits=Visits(settings, downloads),
            temporary_deposits=TemporaryDeposits(storages, completions, shares, audit),
            share_cleanup=ShareCleanup(),
            lifecycles=lifecycles,
            sweep=Sweep(storages, lifecycles, audit),
            verifications=Verifications(settings, storages, audit),
            audit=audit,
            audit_export=AuditExport(settings),
            audit_report=AuditReport(settings),
            rate_limits=RateLimits(settings),
            health=Health(storages),
            metrics=metrics,
        )

    def attach(self, app: Flask) -> None:
        """Attach the services to an app."""
        app.extensions[_NAME] = self


def services() -> Services:
    """Return the services of the current app."""
    return cast(Services, current_app.extensions[_NAME])
