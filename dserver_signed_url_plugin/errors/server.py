"""The server itself: its settings, its database, and the index of dserver."""

from __future__ import annotations

from dataclasses import dataclass

from dserver_signed_url_plugin.errors.base import SignedURLError


class InternalError(SignedURLError):
    """The server failed unexpectedly."""

    slug = "internal-error"
    sentence = "The server failed; give its administrator the X-Request-ID of this answer."


@dataclass(eq=False)
class ConfigurationError(SignedURLError):
    """A setting is missing or wrong; the server does not start."""

    slug = "configuration"
    sentence = "{self.variable} {self.problem}"

    variable: str
    problem: str


@dataclass(eq=False)
class RegistrationFailed(SignedURLError):
    """The dataset is complete in storage, but dserver's index did not take it."""

    status, slug = 502, "registration-failed"
    sentence = (
        "The dataset is complete in storage, but dserver's index did not take it ({self.cause}); "
        "call again later, nothing is lost."
    )
    retry_after = 5

    cause: str


@dataclass(eq=False)
class StillRegistered(SignedURLError):
    """Storage no longer holds the dataset, but dserver's index did not remove it."""

    status, slug = 502, "still-registered"
    sentence = (
        "dserver's index did not remove the dataset ({self.cause}); the next run tries again."
    )
    retry_after = 5

    cause: str


@dataclass(eq=False)
class DatabaseBusy(SignedURLError):
    """The database did not answer in time, or refused."""

    status, slug = 503, "database-busy"
    sentence = (
        "The server's database refused; call again in a moment, or tell the server's "
        "administrator: {self.advice}."
    )
    retry_after = 2

    advice: str


@dataclass(eq=False)
class MigrationsBehind(SignedURLError):
    """The tables of the database are older than the installed version of a package."""

    status, slug = 503, "migrations-behind"
    sentence = (
        "The server's tables are older than the installed version of {self.package}: run `flask db "
        "upgrade --directory {self.package}:migrations`."
    )
    retry_after = 10

    package: str


@dataclass(eq=False)
class TokenKeyUnusable(SignedURLError):
    """The server has no key that verifies tokens."""

    status, slug = 503, "token-key-unusable"
    sentence = (
        "The server can verify no token; tell its administrator: {self.setting} {self.problem}."
    )
    retry_after = 10

    setting: str
    problem: str


class AuditOff(SignedURLError):
    """This server keeps no table of decisions."""

    status, slug = 404, "audit-off"
    sentence = "This server keeps no table of decisions: SIGNED_URL_AUDIT_DAYS is 0."
