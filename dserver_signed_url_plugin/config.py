"""The settings of the plugin, parsed and validated once, when the app starts.

A setting in Flask's config takes precedence over the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dserver_signed_url_plugin.config_sources import ConfigSources, HostRewrite, Source
from dserver_signed_url_plugin.errors import ConfigurationError, LifetimeTooLong

LONGEST_LIFE = 604_800  # seconds; the limit of SigV4 for presigned URLs
MAX_AUDIT_DAYS = 36_500  # a date further back might be out of range
MAX_SHARE_DAYS = 36_500
MAX_PROXIES = 10
MAX_STORAGE_SECONDS = 3600
# Bytes; every store takes parts of this range.
MIN_PART_BYTES, MAX_PART_BYTES = 5 * 1024**2, 5 * 1024**3
WRITES = "SIGNED_URL_WRITES_"
RATE_LIMIT_STORAGE = "SIGNED_URL_RATE_LIMIT_STORAGE"
PINNED, STAGED = "pinned", "staged"
STORAGE = "SIGNED_URL_STORAGE_"
BROKER = "broker"
# The schemes for which the plugin has its own storage.
OWN_SCHEMES = ("s3", "azure")
# dservercore's SECRET_KEY where the operator sets none: everybody knows it.
_WELL_KNOWN_KEY = "you-will-never-guess"


@dataclass(frozen=True)
class Settings:
    """Every setting of the plugin; expiries in seconds, sizes in bytes."""

    read_expiry: int = 3600
    write_expiry: int = 14_400
    max_read_expiry: int = LONGEST_LIFE
    max_write_expiry: int = LONGEST_LIFE
    max_items: int = 100_000
    max_body_bytes: int = 64 * 1024 * 1024
    part_bytes: int = 64 * 1024 * 1024
    max_pending: int = 1000
    max_pending_bytes: int | None = None
    max_share_days: int = 90
    max_shares: int = 1000
    public_url: str | None = None
    proxies: int = 0
    rate_limit: str | None = None
    rate_limit_storage: str | None = field(default=None, repr=False)
    audit_days: int = 365
    metrics: bool = False
    storage_seconds: int = 30
    cache_bytes: int = 64 * 1024 * 1024
    config_path: str | None = None
    host_rewrite: HostRewrite | None = None
    brokered: frozenset[str] = frozenset()
    writes_by_bucket: Mapping[str, str] = field(default_factory=dict)
    dtool: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_key: str | bytes | None = field(default=None, repr=False)

    @classmethod
    def load(cls, config: Source, environ: Source) -> Settings:
        """Read Flask's config and the environment, and warn of names that are no settings.

        :raises ConfigurationError: if a variable is invalid; the message names it.
        """
        look = ConfigSources(config, environ)
        settings = cls(
            read_expiry=look.number("SIGNED_URL_READ_EXPIRY_SECONDS", cls.read_expiry),
            write_expiry=look.number("SIGNED_URL_WRITE_EXPIRY_SECONDS", cls.write_expiry),
            max_read_expiry=look.number(
                "SIGNED_URL_MAX_READ_EXPIRY_SECONDS", LONGEST_LIFE, most=LONGEST_LIFE
            ),
            max_write_expiry=look.number(
                "SIGNED_URL_MAX_WRITE_EXPIRY_SECONDS", LONGEST_LIFE, most=LONGEST_LIFE
            ),
            max_items=look.number("SIGNED_URL_MAX_ITEMS", cls.max_items),
            max_body_bytes=look.number("SIGNED_URL_MAX_BODY_BYTES", cls.max_body_bytes),
            part_bytes=look.number(
                "SIGNED_URL_PART_BYTES", cls.part_bytes, MIN_PART_BYTES, MAX_PART_BYTES
            ),
            max_pending=look.number("SIGNED_URL_MAX_PENDING", cls.max_pending),
            max_pending_bytes=look.number("SIGNED_URL_MAX_PENDING_BYTES", 0, least=0) or None,
            max_share_days=look.number(
                "SIGNED_URL_MAX_SHARE_DAYS", cls.max_share_days, most=MAX_SHARE_DAYS
            ),
            max_shares=look.number("SIGNED_URL_MAX_SHARES", cls.max_shares),
            public_url=look.public_url(),
            proxies=look.number("SIGNED_URL_PROXIES", cls.proxies, 0, MAX_PROXIES),
            rate_limit=look.text("SIGNED_URL_RATE_LIMIT"),
            rate_limit_storage=look.text(RATE_LIMIT_STORAGE),
            audit_days=look.number("SIGNED_URL_AUDIT_DAYS", cls.audit_days, 0, MAX_AUDIT_DAYS),
            metrics=look.choice("SIGNED_URL_METRICS", ("0", "1")) == "1",
            storage_seconds=look.number(
                "SIGNED_URL_STORAGE_SECONDS", cls.storage_seconds, most=MAX_STORAGE_SECONDS
            ),
            cache_bytes=look.number("SIGNED_URL_CACHE_BYTES", cls.cache_bytes, least=0),
            config_path=look.config_path(),
            host_rewrite=look.host_rewrite(),
            brokered=frozenset(
                scheme for scheme in OWN_SCHEMES if look.choice(STORAGE + scheme, (BROKER,))
            ),
            writes_by_bucket=look.choices(WRITES, (PINNED, STAGED)),
            dtool=look.dtool_settings(),
            secret_key=_secret_key(config),
        )
        settings._check_writes()
        settings._check_expiries()
        look.warn_of_unknown("SIGNED_URL_")
        return settings

    def dtool_setting(self, name: str) -> str | None:
        """Return one of dtool's variables from Flask's config, or None.

        Also in upper case, because Flask ignores other names when it loads a file or a mapping.
        """
        return self.dtool.get(name) or self.dtool.get(name.upper()) or None

    def writes(self, bucket: str) -> str:
        """Return how items of a bucket are written: ``pinned`` or ``staged``."""
        found = self.writes_by_bucket
        return found.get(bucket) or found.get(bucket.upper()) or PINNED

    def _check_writes(self) -> None:
        for bucket, writes in self.writes_by_bucket.items():
            if writes == STAGED and "s3" in self.brokered:
                raise ConfigurationError(
                    f"{WRITES}{bucket}",
                    f"cannot be {STAGED} where {STORAGE}s3 is {BROKER}: a "
                    "storage broker has no way to copy what was staged.",
                )

    def _check_expiries(self) -> None:
        for kind, default, maximum in (
            ("READ", self.read_expiry, self.max_read_expiry),
            ("WRITE", self.write_expiry, self.max_write_expiry),
        ):
            if default > maximum:
                raise ConfigurationError(
                    f"SIGNED_URL_{kind}_EXPIRY_SECONDS",
                    f"must be at most {maximum}, which is SIGNED_URL_MAX_{kind}_EXPIRY_SECONDS.",
                )


def _secret_key(config: Source) -> str | bytes | None:
    """Return Flask's key if nobody else knows it."""
    key: str | bytes | None = config.get("SECRET_KEY")
    return None if key == _WELL_KNOWN_KEY else key or None


def secrets_in(config: Source) -> list[str]:
    """Return the names of the settings in Flask's config that contain credentials."""
    return [
        name
        for name in config
        if name == RATE_LIMIT_STORAGE
        or (name.startswith("DTOOL_") and any(word in name for word in ("KEY", "SECRET", "TOKEN")))
    ]


def chosen_life(
    requested: int | None, default: int, maximum: int, *, field: str = "expiry_seconds"
) -> int:
    """Return the lifetime of signed URLs, or of a share, in seconds: as requested, or the default.

    :param field: where it was requested.
    :raises LifetimeTooLong: if more than the maximum is requested.
    """
    if requested is not None and requested > maximum:
        raise LifetimeTooLong(maximum, field)
    return default if requested is None else requested
