"""The store that a demo uses: one that it starts itself, or one named by dtool's variables."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from dserver_signed_url_plugin.addresses import blob_endpoint
from dserver_signed_url_plugin.demo.azurite import LocalAzure
from dserver_signed_url_plugin.demo.info import StoreInfo
from dserver_signed_url_plugin.demo.processes import StoreProcess
from dserver_signed_url_plugin.demo.settings import DataDirectory
from dserver_signed_url_plugin.demo.store import LocalStore, StoreUnavailable, ensure_bucket
from dserver_signed_url_plugin.environment import wrong_with
from dserver_signed_url_plugin.uris import BaseURI

DEFAULT_BASE_URI = BaseURI("s3", "dtool-demo")
ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")

Environment = Mapping[str, str]


class VariableMissing(RuntimeError):
    """The variables of a store are incomplete, or its endpoint is not a URL."""


@dataclass(frozen=True)
class Bucket:
    """The location of an S3 bucket, and its keys."""

    name: str
    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)

    def __str__(self) -> str:
        return f"S3 store: {self.endpoint}, bucket {self.name}"

    def variables(self) -> dict[str, str]:
        """Return the dtool variables that select and open it."""
        values = (self.endpoint, self.access_key, self.secret_key)
        return dict(zip(_bucket_variables(self.name), values, strict=True))

    def info(self) -> StoreInfo:
        """Return its fields of the info file."""
        return StoreInfo(
            bucket=self.name,
            s3_endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
        )


@dataclass(frozen=True)
class Account:
    """The location of an Azure account (its URL without a container), and its key."""

    name: str
    endpoint: str
    key: str = field(repr=False)

    def __str__(self) -> str:
        return f"Azure:    {self.endpoint}"

    def variables(self) -> dict[str, str]:
        """Return the variables of dtool and of this plugin that select and open it."""
        return dict(zip(_account_variables(self.name), (self.key, self.endpoint), strict=True))

    def info(self) -> StoreInfo:
        """Return its fields of the info file."""
        return StoreInfo(account=self.name, blob_endpoint=self.endpoint, account_key=self.key)


@dataclass(frozen=True)
class Backend:
    """A store that is ready for requests; ``process`` is set if the demo has started it."""

    store: Bucket | Account
    process: StoreProcess | None = None

    def environment(self) -> dict[str, str]:
        """Return the environment for a dserver that uses the store."""
        if self.process is None:
            return dict(os.environ)
        # A profile or session token from the environment does not belong to the local store's keys.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        # Never use a proxy for this machine.
        for name in ("NO_PROXY", "no_proxy"):
            environment[name] = ",".join(filter(None, [environment.get(name), "127.0.0.1"]))
        return environment | self.store.variables()


def open_store(
    base_uri: BaseURI | None, directory: DataDirectory, stop_requested: Callable[[], bool]
) -> AbstractContextManager[Backend]:
    """Return a context manager that provides the store of a base URI.

    A local store is started if the environment has no variables for the base URI, and for None,
    which stands for ``DEFAULT_BASE_URI``.

    :raises StoreUnavailable: with the reason, but without the keys.
    :raises VariableMissing: if some but not all variables of the store are set.
    """
    if base_uri is None:
        return _bucket(DEFAULT_BASE_URI.location, {}, directory, stop_requested)
    if base_uri.scheme == "s3":
        return _bucket(base_uri.location, os.environ, directory, stop_requested)
    if base_uri.scheme == "azure":
        return _account(base_uri.location, os.environ, directory, stop_requested)
    raise StoreUnavailable(f"The demo serves s3://BUCKET and azure://ACCOUNT, not {base_uri}.")


def external_bucket(name: str, environ: Environment) -> Bucket | None:
    """Return the bucket that dtool's variables describe, or None if none of them is set.

    :raises VariableMissing: if only some are set, or the endpoint is not a URL.
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
    """Return the account that the variables describe, or None if none of them is set.

    The endpoint may be a URL, or the domain of a sovereign cloud; it defaults to the public cloud.

    :raises VariableMissing: if only the endpoint is set, or it is invalid.
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
    """Return the value of a variable without surrounding whitespace, or an empty string."""
    return environ.get(variable, "").strip()


@contextmanager
def _bucket(
    name: str, environ: Environment, directory: DataDirectory, stop_requested: Callable[[], bool]
) -> Iterator[Backend]:
    external = external_bucket(name, environ)
    if external is not None:
        ensure_bucket(external.endpoint, external.access_key, external.secret_key, name)
        yield Backend(external)
        return
    with LocalStore(
        log_path=directory.log("store"), data_dir=directory.objects, stop_requested=stop_requested
    ) as local:
        local.create_bucket(name)
        yield Backend(Bucket(name, local.endpoint, local.access_key, local.secret_key), local)


@contextmanager
def _account(
    name: str, environ: Environment, directory: DataDirectory, stop_requested: Callable[[], bool]
) -> Iterator[Backend]:
    if not ACCOUNT_NAME.fullmatch(name):
        raise StoreUnavailable(
            f"{name} is not a valid name of an Azure account: use 3 to 24 of a-z and 0-9."
        )
    external = external_account(name, environ)
    if external is not None:
        yield Backend(external)
        return
    with LocalAzure(
        [name],
        log_path=directory.log("store"),
        data_dir=directory.blobs,
        stop_requested=stop_requested,
    ) as local:
        local.allow_browsers(name)
        yield Backend(Account(name, local.endpoint(name), local.key), local)


def _bucket_variables(name: str) -> tuple[str, str, str]:
    return (
        f"DTOOL_S3_ENDPOINT_{name}",
        f"DTOOL_S3_ACCESS_KEY_ID_{name}",
        f"DTOOL_S3_SECRET_ACCESS_KEY_{name}",
    )


def _account_variables(name: str) -> tuple[str, str]:
    return f"DTOOL_AZURE_ACCOUNT_KEY_{name}", f"DTOOL_AZURE_BLOB_ENDPOINT_{name}"
