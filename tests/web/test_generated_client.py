"""A client that openapi-python-client makes of dserver's OpenAPI document deposits and reads."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

import httpx
import pytest
import requests

from tests.support.dserver import Dserver

pytest.importorskip("openapi_python_client", reason="it needs Python 3.11")

PACKAGE = "generated_dserver_client"
UUID = "550e8400-e29b-41d4-a716-446655440000"
CONTENT = b"day,height\n1,3\n"


@pytest.fixture(scope="module")
def described() -> bool:
    """Let dserver describe its routes."""
    return True


@pytest.fixture
def client(lab: Dserver, tmp_path, monkeypatch) -> Any:
    """A client for alice, generated without a warning."""
    document = lab.nobody.get(f"{lab.app.config['OPENAPI_URL_PREFIX']}/openapi.json")
    (tmp_path / "openapi.json").write_text(json.dumps(document.json))
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    command = [
        *(sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"),
        *("--path", tmp_path / "openapi.json", "--config", tmp_path / "config.yml"),
        *("--meta", "none", "--output-path", tmp_path / PACKAGE),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    return generated("client").AuthenticatedClient(
        "http://dserver.example.org",
        token=lab.tokens["alice"],
        httpx_args={"transport": httpx.WSGITransport(lab.app)},
    )


def generated(module: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.{module}")


def call(operation: str, *arguments: Any, **named: Any) -> Any:
    """Call an operation by its name, and return what it answered."""
    return generated(f"api.signed_urls.{operation}").sync(*arguments, **named)


def test_a_generated_client_deposits_reads_and_is_refused_with_a_slug(lab, client):
    models = generated("models")
    plan = models.UploadPlan.from_dict(
        {"uuid": UUID, "name": "plant-heights", "items": [{"relpath": "heights.csv"}]}
    )
    grant = call("begin_upload", lab.base_uri, client=client, body=plan)
    assert str(grant.uuid) == UUID
    [(identifier, item)] = grant.upload_urls.items.additional_properties.items()
    assert call("upload_status", grant.uri, client=client).items.missing == 1
    headers = item.headers.to_dict()
    requests.put(item.url, CONTENT, headers=headers, timeout=30).raise_for_status()
    request = models.CompletionPlan(uri=grant.uri)
    assert call("complete_upload", client=client, body=request).name == "plant-heights"

    dataset = call("read_dataset", grant.uri, client=client, expiry_seconds=60)
    assert dataset.expiry_timestamp.tzinfo is not None
    url = dataset.item_urls.additional_properties[identifier]
    assert requests.get(url, timeout=30).content == CONTENT
    assert call("read_item", grant.uri, identifier, client=client).identifier == identifier
    [latest, *_] = call("read_audit", grant.uri, client=client).decisions
    assert latest.action == "read-item"

    refused = call("read_item", grant.uri, "0" * 40, client=client)
    assert (refused.code, refused.errors.slug) == (404, "item-not-found")
    again = call("begin_upload", lab.base_uri, client=client, body=plan)
    assert again.errors.slug == "already-registered"
    cancelled = call("cancel_upload", grant.uri, client=client)
    assert cancelled.errors.slug == "already-registered"
