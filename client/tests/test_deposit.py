"""Depositing directories and files: what arrives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from dserver_client import state
from dserver_client.client import Client
from dserver_client.deposit import Description, deposit
from dserver_client.errors import NotSupported, UsageError
from dserver_client.local_files import LocalFile, Source, find_files

from client.tests.support.deposits import (
    README,
    Counts,
    contents,
    local_contents,
    one_at_a_time,
)
from tests.support.dserver import Dserver


@pytest.fixture
def client(dserver_url: str, lab: Dserver) -> Iterator[Client]:
    with Client(dserver_url, lab.tokens["alice"]) as client:
        yield client


def test_a_directory_becomes_a_dataset(client: Client, lab: Dserver, folder: Path) -> None:
    counts = Counts()

    done = client.deposit(
        folder,
        lab.base_uri,
        readme=README,
        tags=["2026"],
        annotations={"project": "cress"},
        progress=counts,
    )

    assert done.name == "cress"
    assert (done.items, done.size_in_bytes, done.sent_in_bytes) == (3, 2018, 2018)
    assert contents(lab, done.uri) == local_contents(folder)
    urls = lab.alice.read(done.uri).json
    assert requests.get(urls["readme_url"]).text == README
    assert urls["tags"] == ["2026"]
    assert requests.get(urls["annotation_urls"]["project"]).json() == "cress"
    assert counts.phases == {"hash": [2018, 3], "send": [2018, 3], "complete": [0, 0]}
    assert state.unfinished() == []


def test_a_directory_becomes_a_dataset_in_azure(
    azure_lab: Dserver, connect: Callable[[Dserver], Client], folder: Path
) -> None:
    done = connect(azure_lab).deposit(folder, azure_lab.base_uri, readme=README)

    assert contents(azure_lab, done.uri) == local_contents(folder)
    assert requests.get(azure_lab.alice.read(done.uri).json["readme_url"]).text == README


def test_a_directory_becomes_a_dataset_at_a_dserver_with_the_reference_routes(
    reference_url: str, lab: Dserver, folder: Path
) -> None:
    with Client(reference_url, lab.tokens["alice"]) as client:
        done = client.deposit(folder, lab.base_uri, readme=README)

    assert contents(lab, done.uri) == local_contents(folder)
    assert requests.get(lab.alice.read(done.uri).json["readme_url"]).text == README


def test_overlays_and_times_are_deposited(client: Client, lab: Dserver, folder: Path) -> None:
    identifiers = [file.identifier for file in find_files([folder]).files]
    overlays = {"genus": dict.fromkeys(identifiers, "Lepidium")}

    done = one_at_a_time(
        client, folder, lab.base_uri, overlays=overlays, creator_username="carol", frozen_at=1e9
    )

    urls = lab.alice.read(done.uri).json
    assert requests.get(urls["overlay_urls"]["genus"]).json() == overlays["genus"]
    admin = requests.get(urls["admin_metadata_url"]).json()
    assert (admin["creator_username"], float(admin["frozen_at"])) == ("carol", 1e9)
    items = requests.get(urls["manifest_url"]).json()["items"].values()
    times = {item["relpath"]: item["utc_timestamp"] for item in items}
    assert times["heights.csv"] == pytest.approx((folder / "heights.csv").stat().st_mtime)


def test_the_same_again_is_another_dataset(client: Client, lab: Dserver, folder: Path) -> None:
    first = client.deposit(folder, lab.base_uri)
    second = client.deposit(folder, lab.base_uri)

    assert first.uri != second.uri


def test_a_directory_without_files_is_refused(client: Client, lab: Dserver, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()

    with pytest.raises(UsageError, match="no files to deposit"):
        client.deposit(tmp_path / "nothing", lab.base_uri)


def test_files_of_any_place_are_deposited_under_a_given_uuid(
    client: Client, lab: Dserver, folder: Path
) -> None:
    uuid = "0d3b3d6c-0e0a-4b0e-9a52-6f2d4e6f9a10"
    files = [LocalFile.of(str(folder / "heights.csv"), "some/where.csv")]

    done = deposit(
        client.server, Source([f"proto:{uuid}"], files), lab.base_uri, Description("a", uuid=uuid)
    )

    assert done.uuid == uuid
    assert list(contents(lab, done.uri)) == ["some/where.csv"]


def test_a_dserver_without_parts_takes_no_file_above_one_put(
    reference_url: str, lab: Dserver
) -> None:
    md5 = hashlib.md5(b"").hexdigest()
    source = Source(["x"], [LocalFile("x", "/nowhere/x", 5 * 1024**3 + 1, 0, 0, md5)])

    with (
        Client(reference_url, lab.tokens["alice"]) as client,
        pytest.raises(NotSupported, match="/nowhere/x has 5368709121 bytes.*up to 5368709120"),
    ):
        deposit(client.server, source, lab.base_uri, Description("a"))
