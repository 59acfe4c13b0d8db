"""What the storage brokers of a process that use the same dserver share."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import dtoolcore.utils

from dserver_client.broker.errors import CopiedAlready, NotADataset, is_resuming
from dserver_client.broker.frozen_dataset import FrozenDataset
from dserver_client.broker.proto_dataset import ProtoDataset, ProtoDatasets
from dserver_client.client import Client
from dserver_client.errors import Refused, UsageError
from dserver_client.private_files import state_directory
from dserver_client.server import Server
from dserver_client.server.refusals import not_permitted
from dserver_client.settings import Settings
from dserver_client.uris import Address, dserver_uri, parse
from dserver_client.values import DatasetEntry

_MAX_DATASETS = 8
# dtool asks for the admin metadata of each dataset right after it has listed them.
_LISTED_SECONDS = 60.0


class Connection:
    """One dserver with its datasets, and the proto-datasets that wait for it."""

    def __init__(self, server_url: str, settings: Settings) -> None:
        self.server_url = server_url
        self.settings = settings
        self.cache_directory = _cache_directory(settings)
        self._client = Client(settings=settings)
        # By process: a child of a fork has no threads that work for its parent's datasets.
        self._datasets: OrderedDict[tuple[int, str], FrozenDataset] = OrderedDict()
        # What dserver's index says of datasets that were just listed.
        self._listed: dict[str, dict[str, Any]] = {}
        self._listed_at = 0.0
        # The URIs of datasets that dtool is about to make, as far as it has asked for them.
        self._new: set[str] = set()

    @property
    def server(self) -> Server:
        return self._client.server

    @property
    def _waiting(self) -> ProtoDatasets:
        return ProtoDatasets(state_directory() / "proto-datasets")

    # Proto-datasets

    def proto_dataset(self, address: Address) -> ProtoDataset | None:
        """Return the proto-dataset of a URI, which may not exist; None if there cannot be one."""
        if address.uuid is None:
            return None
        if address.uri is not None:
            return self._waiting.at(str(address))
        return next((proto for proto in self._waiting if self._is(proto, address)), None)

    def check_may_create(self, address: Address) -> None:
        """Raise Refused if this person may not deposit datasets at the base URI of a dataset."""
        self._new.discard(str(address))
        user = self.server.whoami()
        if address.base_uri not in user.register_base_uris:
            raise not_permitted(user, "deposit", str(address.base_uri))

    def _is(self, proto: ProtoDataset, address: Address) -> bool:
        other = parse(proto.uri, self.settings)
        return (other.server_url, other.uuid) == (address.server_url, address.uuid)

    # Frozen datasets

    def frozen_dataset(self, address: Address) -> FrozenDataset:
        """Return the frozen dataset of a URI, which may not exist.

        :raises Refused: with status 404 if dserver has to look it up, and does not find it.
        """
        shown = str(address)
        key = (os.getpid(), shown)
        if key not in self._datasets:
            uri = self._client.dataset_uri(shown)
            self._datasets[key] = FrozenDataset(self.server, uri, shown, self.cache_directory)
            if len(self._datasets) > _MAX_DATASETS:
                self._datasets.popitem(last=False)
        return self._datasets[key]

    def has(self, address: Address) -> bool:
        """Return whether a dataset is registered.

        False is an answer for a dataset that dtool is about to make. Somebody who thinks that there
        is one gets dserver's sentence.

        :raises NotADataset: if there is none.
        :raises CopiedAlready: if there is nothing left to do for ``dtool cp --resume``.
        """
        uri = str(address)
        if self._from_index(address) is not None:
            return True
        is_new, resumes = uri in self._new, is_resuming()
        self._new.discard(uri)
        try:
            self.frozen_dataset(address).check()
        except Refused as error:
            if error.status != 404:
                raise
            if is_new and not resumes:
                return False
            advice = " Nothing was begun: copy it without --resume." if is_new else ""
            raise NotADataset(f"{error}{advice}", error) from error
        if is_new and resumes:
            raise CopiedAlready(f"{uri} is registered: nothing is left to be copied.")
        return True

    def admin_metadata(self, address: Address) -> dict[str, Any]:
        """Return the admin metadata of a frozen dataset: once from the index, if it was listed."""
        listed = self._from_index(address)
        if listed is None:
            return self.frozen_dataset(address).admin_metadata()
        del self._listed[str(address)]
        return listed

    def _from_index(self, address: Address) -> dict[str, Any] | None:
        if time.monotonic() - self._listed_at > _LISTED_SECONDS:
            self._listed.clear()
        return self._listed.get(str(address))

    # URIs

    def dataset_uris(self, address: Address) -> list[str]:
        """Return the URIs of the datasets at a base URI, or at a dserver; first those that wait."""
        waiting = [proto.uri for proto in self._waiting if self._is_at(proto, address)]
        self._listed = {
            dserver_uri(self.server_url, entry.uri): _admin_metadata(entry)
            for entry in self.server.datasets(base_uri=address.base_uri)
        }
        self._listed_at = time.monotonic()
        if not self._listed and address.base_uri is not None:
            user = self.server.whoami()
            if address.base_uri not in user.search_base_uris:
                raise not_permitted(user, "read", address.base_uri)
        return [*waiting, *(uri for uri in self._listed if uri not in waiting)]

    def new_uri(self, address: Address, uuid: str) -> str:
        """Return the URI for a dataset that is to be made at a base URI."""
        if address.uuid is not None:
            raise UsageError(f"{address} is a dataset, not a base URI.")
        base_uri = self._client.base_uri(str(address))
        uri = f"{dserver_uri(self.server_url, base_uri)}/{uuid}"
        self._new.add(uri)
        return uri

    def base_uri(self, address: Address) -> str:
        """Return the base URI of a dataset."""
        uri = self._client.dataset_uri(str(address))
        return dserver_uri(self.server_url, uri.rpartition("/")[0])

    def _is_at(self, proto: ProtoDataset, address: Address) -> bool:
        other = parse(proto.uri, self.settings)
        is_there = address.uri is None or other.base_uri == address.uri
        return other.server_url == address.server_url and is_there


def _admin_metadata(entry: DatasetEntry) -> dict[str, Any]:
    """Return what the index knows of a dataset as dtool's admin metadata."""
    metadata: dict[str, Any] = {
        "uuid": entry.uuid,
        "name": entry.name,
        "type": "dataset",
        "creator_username": entry.creator_username,
    }
    times = {"created_at": entry.created_at, "frozen_at": entry.frozen_at}
    metadata.update({name: each.timestamp() for name, each in times.items() if each is not None})
    return metadata


def _cache_directory(settings: Settings) -> Path:
    """Return the directory of dserver's settings, else dtool's."""
    if settings.cache_directory is not None:
        return settings.cache_directory
    return Path(
        dtoolcore.utils.get_config_value(
            "DTOOL_CACHE_DIRECTORY", default=dtoolcore.utils.DEFAULT_CACHE_PATH
        )
    ).expanduser()


_connections: dict[str, Connection] = {}


def connect(uri: str) -> tuple[Connection, Address]:
    """Return the connection to the dserver of a URI, and what the URI means there."""
    address = parse(uri, Settings.load())
    settings = Settings.load(url=address.server_url)
    known = _connections.get(address.server_url)
    if known is None or known.settings != settings:
        known = _connections[address.server_url] = Connection(address.server_url, settings)
    return known, address
