"""Both kinds of stores: a test that asks for ``place`` runs on a bucket and on an account."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import azure_holdings, s3_holdings
from tests.support.blob_client import as_azure, blob_service
from tests.support.clients import CLIENTS, Deposit, DtoolDserver
from tests.support.databases import Database
from tests.support.dserver import Account, Bucket, Dserver
from tests.support.proxy import StoreProxy

# What asks the store the same of every client is tried with one of them on an account.
each_client_and_store = pytest.mark.parametrize(
    ("place", "client"),
    [*[("bucket", client) for client in CLIENTS], ("account", DtoolDserver())],
    indirect=["place"],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)


class Holdings(ABC):
    """What a place holds of datasets, looked at past dserver."""

    @abstractmethod
    def of(self, uuid: str) -> Any:
        """Return all that is held of a dataset, to be compared; it is empty if that is nothing."""

    @abstractmethod
    def sizes(self, uuid: str) -> list[int]:
        """Return the bytes of each object or blob that removing an upload counts."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Return whether the place holds nothing at all."""

    @abstractmethod
    def delete(self, uuid: str) -> None:
        """Delete all of a dataset."""

    @abstractmethod
    def check_dataset(self, dserver: Dserver, deposit: Deposit) -> None:
        """Fail unless the dataset is registered, readable, and all that dtool needs is there."""

    @abstractmethod
    def dtool(self, *, writes: bool = False) -> AbstractContextManager[None]:
        """Let dtool itself use the place, as a person with its keys would."""

    def verifies(self, dserver: Dserver, deposit: Deposit) -> bool:
        """Return whether dtool itself finds what the manifest says, hashes included."""
        with self.dtool():
            return s3_holdings.verifies(dserver, deposit)


class _S3Holdings(Holdings):
    def __init__(self, bucket: Bucket, s3: Any, cache: Path) -> None:
        self._bucket, self._s3, self._cache = bucket, s3, cache

    def of(self, uuid: str) -> Any:
        return s3_holdings.holdings(self._s3, self._bucket, uuid)

    def sizes(self, uuid: str) -> list[int]:
        """All but the registration key are below the UUID."""
        found = self._s3.list_objects_v2(Bucket=self._bucket.name, Prefix=f"{uuid}/")
        return [entry["Size"] for entry in found.get("Contents", [])]

    def is_empty(self) -> bool:
        return bool(self._s3.list_objects_v2(Bucket=self._bucket.name)["KeyCount"] == 0)

    def delete(self, uuid: str) -> None:
        for found in self._s3.list_objects_v2(Bucket=self._bucket.name)["Contents"]:
            if uuid in found["Key"]:
                self._s3.delete_object(Bucket=self._bucket.name, Key=found["Key"])

    def check_dataset(self, dserver: Dserver, deposit: Deposit) -> None:
        s3_holdings.check_dataset(dserver, self._s3, deposit)

    @contextmanager
    def dtool(self, *, writes: bool = False) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._bucket.settings().items():
                patch.setenv(name, value)
            patch.setenv("DTOOL_CACHE_DIRECTORY", str(self._cache))
            yield


class _AzureHoldings(Holdings):
    def __init__(self, account: Account, blobs: Any, cache: Path) -> None:
        self._account, self._blobs, self._cache = account, blobs, cache

    def of(self, uuid: str) -> Any:
        return azure_holdings.containers(self._blobs, uuid)

    def sizes(self, uuid: str) -> list[int]:
        return [
            blob.properties.content_length
            for container in self.of(uuid)
            for blob in self._blobs.list_blobs(container)
        ]

    def is_empty(self) -> bool:
        return not list(self._blobs.list_containers())

    def delete(self, uuid: str) -> None:
        for container in self.of(uuid):
            self._blobs.delete_container(container)

    def check_dataset(self, dserver: Dserver, deposit: Deposit) -> None:
        azure_holdings.check_dataset(dserver, self._blobs, deposit)

    def dtool(self, *, writes: bool = False) -> AbstractContextManager[None]:
        service = as_azure if writes else blob_service
        return azure_holdings.dtool_at(self._account, self._cache, service)


@pytest.fixture(params=["bucket", "account"])
def place(request: pytest.FixtureRequest) -> Bucket | Account:
    """A bucket of S3, and an account of Azure, where nothing is written twice."""
    found: Bucket | Account = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module", params=["lab", "azure_lab"], ids=["bucket", "account"])
def each_lab(request: pytest.FixtureRequest, database: Database) -> Dserver:
    """A dserver on a bucket, and one on an account, that the tests of one module share."""
    found: Dserver = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def holdings(request: pytest.FixtureRequest, place: Bucket | Account, tmp_path: Path) -> Holdings:
    """What the place holds."""
    cache = tmp_path / "dtool-cache"
    if isinstance(place, Bucket):
        return _S3Holdings(place, request.getfixturevalue("s3"), cache)
    return _AzureHoldings(place, request.getfixturevalue("blobs"), cache)


@pytest.fixture
def place_proxy(place: Bucket | Account) -> Iterator[StoreProxy]:
    """What dserver asks of the place can be counted, hindered and overtaken here."""
    with StoreProxy(place) as running:
        yield running


@pytest.fixture
def placed(
    make_dserver_on: Callable[..., Dserver], place: Bucket | Account, place_proxy: StoreProxy
) -> Dserver:
    """A dserver that keeps its datasets there, and asks through the proxy."""
    return make_dserver_on(place, **place_proxy.settings())
