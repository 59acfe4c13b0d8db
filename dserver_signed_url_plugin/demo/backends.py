"""The store behind a demo: an embedded one, or the one that the environment names.

Knows dtool's variables for a bucket and for an account. Never touches dserver.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from dserver_signed_url_plugin.addresses import blob_endpoint
from dserver_signed_url_plugin.demo.azurite import LocalAzure
from dserver_signed_url_plugin.demo.info import StoreInfo
from dserver_signed_url_plugin.demo.processes import LocalStorage
from dserver_signed_url_plugin.demo.settings import DataDirectory
from dserver_signed_url_plugin.demo.store import LocalStore, StoreUnavailable, ensure_bucket
from dserver_signed_url_plugin.environment import wrong_with
from dserver_signed_url_plugin.uris import BaseURI

DEFAULT_BASE_URI = BaseURI("s3", "dtool-demo")
ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")

Environment = Mapping[str, str]


class VariableMissing(RuntimeError):
    """A store of one's own needs all of its variables, and an endpoint that is one."""


@dataclass(frozen=True)
class Bucket:
    """Where a bucket is, and what opens it."""

    name: str
    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)

    def __str__(self) -> str:
        return f"S3 store: {self.endpoint}, bucket {self.name}"

    def variables(self) -> dict[str, str]:
        """Return dtool's variables."""
        values = (self.endpoint, self.access_key, self.secret_key)
        return dict(zip(_bucket_variables(self.name), values, strict=True))

    def info(self) -> StoreInfo:
        """Return what the info file says of it."""
        return StoreInfo(
            bucket=self.name,
            s3_endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
        )


@dataclass(frozen=True)
class Account:
    """Where an Azure account is (a URL to which containers are added), and what opens it."""

    name: str
    endpoint: str
    key: str = field(repr=False)

    def __str__(self) -> str:
        return f"Azure:    {self.endpoint}"

    def variables(self) -> dict[str, str]:
        """Return dtool's variable, and the plugin's."""
        return dict(zip(_account_variables(self.name), (self.key, self.endpoint), strict=True))

    def info(self) -> StoreInfo:
        """Return what the info file says of it."""
        return StoreInfo(account=self.name, blob_endpoint=self.endpoint, account_key=self.key)


@dataclass(frozen=True)
class Backend:
    """A store that answers."""

    place: Bucket | Account
    embedded: LocalStorage | None = None

    def environment(self) -> dict[str, str]:
        """Return the environment of a dserver that uses it."""
        if self.embedded is None:
            return dict(os.environ)
        # A profile or a token of the caller's would meet keys that they do not belong to.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        # No proxy leads to a store on this machine.
        for name in ("NO_PROXY", "no_proxy"):
            environment[name] = ",".join(filter(None, [environment.get(name), "127.0.0.1"]))
        return environment | self.place.variables()


def opened(
    base_uri: BaseURI | None, directory: DataDirectory, stop_requested: Callable[[], bool]
) -> AbstractContextManager[Backend]:
    """Provide the store of a base URI inside the block; of None, an embedded bucket.

    It is embedded where the environment names none for the base URI.

    :raises StoreUnavailable: with the reason, without the keys.
    :raises VariableMissing: where the environment names only a part of a store.
    """
    if base_uri is None:
        return _bucket(DEFAULT_BASE_URI.location, {}, directory, stop_requested)
    if base_uri.scheme == "s3":
        return _bucket(base_uri.location, os.environ, directory, stop_requested)
    if base_uri.scheme == "azure":
        return _account(base_uri.location, os.environ, directory, stop_requested)
    raise StoreUnavailable(f"The demo serves s3://BUCKET and azure://ACCOUNT, not {base_uri}.")


def external_bucket(name: str, environ: Environment) -> Bucket | None:
    """Return the bucket if the environment says where it is, None if it says nothing of it.

    :raises VariableMissing: where only a part is said, or the endpoint is none.
    """
    variables = _bucket_variables(name)
    values = [_value(variable, environ) for variable in variables]
    missing = [variable for variable, value in zip(variables, values, strict=True) if not value]
    if len(missing) == len(variables):
        return None
    if missing:
        raise VariableMissing(
            f"To use your own store for bucket {name}, set {' and '.join(missing)} too."
        )
    reason = wrong_with(variables[0], values[0])
    if reason is not None:
        raise VariableMissing(f"{variables[0]} {reason}")
    return Bucket(name, *values)


def external_account(name: str, environ: Environment) -> Account | None:
    """Return the account if the environment has its key, None if it says nothing of it.

    Without an endpoint it is Azure's own; an endpoint that is no URL is a sovereign cloud's suffix.

    :raises VariableMissing: where only the endpoint is said, or it is none.
    """
    key_variable, endpoint_variable = _account_variables(name)
    key, endpoint = _value(key_variable, environ), _value(endpoint_variable, environ)
    if not key:
        if endpoint:
            raise VariableMissing(f"To use your own account {name}, set {key_variable} too.")
        return None
    address = blob_endpoint(name, endpoint)
    if address is None:
        raise VariableMissing(f"{endpoint_variable} must be a URL, or the domain of a cloud.")
    return Account(name, address, key)


def _value(variable: str, environ: Environment) -> str:
    """Return a variable without the blanks around it, empty if it is not set."""
    return environ.get(variable, "").strip()


@contextmanager
def _bucket(
    name: str, environ: Environment, directory: DataDirectory, stop_requested: Callable[[], bool]
) -> Iterator[Backend]:
    place = external_bucket(name, environ)
    if place is not None:
        ensure_bucket(place.endpoint, place.access_key, place.secret_key, name)
        yield Backend(place)
        return
    with LocalStore(
        log_path=directory.log("store"), data_dir=directory.objects, stop_requested=stop_requested
    ) as store:
        store.create_bucket(name)
        yield Backend(Bucket(name, store.endpoint, store.access_key, store.secret_key), store)


@contextmanager
def _account(
    name: str, environ: Environment, directory: DataDirectory, stop_requested: Callable[[], bool]
) -> Iterator[Backend]:
    if not ACCOUNT_NAME.fullmatch(name):
        raise StoreUnavailable(f"No Azure account is named {name}: use 3 to 24 of a-z and 0-9.")
    place = external_account(name, environ)
    if place is not None:
        yield Backend(place)
        return
    with LocalAzure(
        [name],
        log_path=directory.log("store"),
        data_dir=directory.blobs,
        stop_requested=stop_requested,
    ) as store:
        store.allow_browsers(name)
        yield Backend(Account(name, store.endpoint(name), store.key), store)


def _bucket_variables(name: str) -> tuple[str, str, str]:
    return (
        f"DTOOL_S3_ENDPOINT_{name}",
        f"DTOOL_S3_ACCESS_KEY_ID_{name}",
        f"DTOOL_S3_SECRET_ACCESS_KEY_{name}",
    )


def _account_variables(name: str) -> tuple[str, str]:
    return f"DTOOL_AZURE_ACCOUNT_KEY_{name}", f"DTOOL_AZURE_BLOB_ENDPOINT_{name}"
