"""A real dserver for a test: SQL search and retrieve, one bucket or account in a real store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask_smorest import Api, Blueprint
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.demo.app import create_app, prepare, tokens
from dserver_signed_url_plugin.services import Services
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.uris import BaseURI


@dataclass(frozen=True)
class Bucket:
    """One bucket of the store, and the keys to it, which only dserver has."""

    name: str
    endpoint: str
    access_key: str
    secret_key: str

    @property
    def base_uri(self) -> str:
        return f"s3://{self.name}"

    def settings(self, endpoint: str | None = None) -> dict[str, str]:
        """dtool's variables for this bucket, as the environment has them."""
        return {
            f"DTOOL_S3_ENDPOINT_{self.name}": endpoint or self.endpoint,
            f"DTOOL_S3_ACCESS_KEY_ID_{self.name}": self.access_key,
            f"DTOOL_S3_SECRET_ACCESS_KEY_{self.name}": self.secret_key,
        }


@dataclass(frozen=True)
class Account:
    """One account of the Azure store, and the key to it, which only dserver has."""

    name: str
    endpoint: str
    key: str

    @property
    def base_uri(self) -> str:
        return f"azure://{self.name}"

    def settings(self, endpoint: str | None = None) -> dict[str, str]:
        """dtool's variable for this account, and where the plugin finds it."""
        return {
            f"DTOOL_AZURE_ACCOUNT_KEY_{self.name}": self.key,
            f"DTOOL_AZURE_BLOB_ENDPOINT_{self.name}": endpoint or self.endpoint,
        }


class Person:
    """Somebody with a token, who calls dserver; every answer is a Flask test response."""

    def __init__(self, app: Flask, token: str | None) -> None:
        self._client = app.test_client()
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **options: Any) -> TestResponse:
        return self._client.get(path, headers=self._headers, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        headers = {**self._headers, **options.pop("headers", {})}
        return self._client.post(path, headers=headers, json=json, **options)

    def put(self, path: str, json: Any) -> TestResponse:
        return self._client.put(path, headers=self._headers, json=json)

    def delete(self, path: str) -> TestResponse:
        return self._client.delete(path, headers=self._headers)

    def begin(self, base_uri: str, plan: Mapping[str, Any]) -> TestResponse:
        return self.post(f"/signed-urls/upload/{encoded(base_uri)}", plan)

    def complete(self, uri: str) -> TestResponse:
        return self.post("/signed-urls/upload-complete", {"uri": uri})

    def read(self, uri: str, **query: Any) -> TestResponse:
        return self.get(f"/signed-urls/dataset/{encoded(uri)}", query_string=query)

    def read_items(self, uri: str, **body: Any) -> TestResponse:
        return self.post(f"/signed-urls/items/{encoded(uri)}", body)

    def read_item(self, uri: str, identifier: str, **query: Any) -> TestResponse:
        return self.get(f"/signed-urls/item/{encoded(uri)}/{identifier}", query_string=query)


class Dserver:
    """The app, its people (alice, bob, carol, dave, admin, nobody) and its base URI.

    :param described: whether its OpenAPI document has routes, which is half the work of making one.
    :param prepared: whether its database has the people and the base URI already.
    """

    def __init__(
        self,
        place: Bucket | Account,
        config: Mapping[str, Any],
        known: Mapping[str, str] | None = None,
        *,
        described: bool = True,
        prepared: bool = False,
    ) -> None:
        self.place = place
        self.base_uri = place.base_uri
        with nullcontext() if described else without_openapi():
            self.app = create_app({**in_capitals(place.settings()), "TESTING": True, **config})
        if not prepared:
            prepare(self.app, self.base_uri)
        self.tokens = known or tokens(self.app, timedelta(hours=1))
        for name, token in self.tokens.items():
            setattr(self, name, Person(self.app, token))
        self.nobody = Person(self.app, None)

    alice: Person
    bob: Person
    carol: Person
    dave: Person
    admin: Person

    @property
    def bucket(self) -> Bucket:
        """Its place, where that is a bucket."""
        assert isinstance(self.place, Bucket)
        return self.place

    @property
    def services(self) -> Services:
        """What the extension put together."""
        return self.app.extensions["signed-url"]

    @property
    def storage(self) -> Storage:
        """The storage of the base URI."""
        return self.services.storages.of(BaseURI.parse(self.base_uri))


@contextmanager
def without_openapi() -> Iterator[None]:
    """Let an app that is made in the block describe no route, which is half the work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Blueprint, "register_views_in_doc", lambda *_, **__: None)
        patch.setattr(Api, "_register_responses", lambda _: None)
        yield


def in_capitals(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings as Flask's config keeps them."""
    return {name.upper(): value for name, value in settings.items()}


def encoded(uri: str) -> str:
    """URL-encode a URI once, as clients must."""
    return quote(uri, safe="")
