"""Which distribution has dserver://."""

from __future__ import annotations

from pathlib import Path

import dtoolcore
import pytest
from dserver_client.broker.entry_points import owners
from dserver_client.broker.storage_broker import DserverStorageBroker

BROKER = """
class StorageBroker:
    key = {key!r}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a distribution with a storage broker."""

    def install(name: str, source: str) -> None:
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        metadata = tmp_path / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(
            f"[dtool.storage_brokers]\nSomeBroker = {module}:StorageBroker\n"
        )

    monkeypatch.syspath_prepend(str(tmp_path))
    return install


def test_dtool_uses_this_one() -> None:
    assert [owner.is_this for owner in owners()] == [True]
    assert dtoolcore._generate_storage_broker_lookup()["dserver"] is DserverStorageBroker


def test_another_one_is_found_whatever_its_entry_point_is_called(install) -> None:
    install("some-dserver-broker", BROKER.format(key="dserver"))
    install("some-other-broker", BROKER.format(key="other"))
    install("some-broken-broker", "raise RuntimeError('broken')")
    found = {owner.distribution: owner.version for owner in owners()}
    assert found.keys() == {"dserver-client", "some-dserver-broker"}
    assert found["some-dserver-broker"] == "1.0"
