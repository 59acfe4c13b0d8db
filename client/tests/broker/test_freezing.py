"""What `dtool freeze` takes for frozen: what is registered as it waits here, and nothing else."""

from __future__ import annotations

from pathlib import Path

import dtoolcore
import pytest
from dserver_client.broker.errors import BrokerError
from dserver_client.client import Client

from client.tests.support.deposits import contents, one_at_a_time
from tests.support.dserver import Dserver

pytestmark = pytest.mark.usefixtures("as_alice")


@pytest.fixture
def registered(base_uri: str, dserver_url: str, lab: Dserver, folder: Path) -> str:
    """Return the URI of a proto-dataset whose freeze was killed when it was registered."""
    admin_metadata = dtoolcore.generate_admin_metadata(folder.name, "alice")
    proto = dtoolcore.generate_proto_dataset(admin_metadata, base_uri)
    proto.create()
    proto.put_readme("---\ndescription: Leaves of cress\n")
    for relpath in ("heights.csv", "leaves/größe 1.txt", "empty.txt"):
        proto.put_item(str(folder / relpath), relpath)
    with Client(dserver_url, lab.tokens["alice"]) as client:
        one_at_a_time(client, folder, lab.base_uri, uuid=admin_metadata["uuid"])
    return str(proto.uri)


def test_an_item_that_was_added_after_the_registration_is_not_lost(
    registered: str, lab: Dserver, folder: Path
) -> None:
    (folder / "more.txt").write_text("more")
    dtoolcore.ProtoDataSet.from_uri(registered).put_item(str(folder / "more.txt"), "more.txt")

    for _ in range(2):
        with pytest.raises(BrokerError, match=r"'more\.txt' is not in it") as raised:
            dtoolcore.ProtoDataSet.from_uri(registered).freeze()
        assert raised.value.exit_code == 6

    waiting = dtoolcore.ProtoDataSet.from_uri(registered)
    assert len(list(waiting._identifiers())) == 4
    assert "more.txt" not in contents(lab, f"{lab.base_uri}/{waiting.uuid}")


def test_what_is_registered_as_it_waits_is_frozen(
    registered: str, lab: Dserver, folder: Path
) -> None:
    dtoolcore.ProtoDataSet.from_uri(registered).freeze()

    assert len(dtoolcore.DataSet.from_uri(registered).identifiers) == 3
