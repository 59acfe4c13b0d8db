"""The storage broker, by dtoolcore, on a real dserver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dtoolcore
import pytest
from dserver_client.broker.errors import BrokerError, NoSuchEntry, NotADataset
from dserver_client.errors import ClientError
from dtoolcore.utils import generate_identifier
from werkzeug.test import run_wsgi_app

from dserver_signed_url_plugin.demo.store import s3_client
from tests.support.dserver import Dserver
from tests.support.http_server import serving

CONTENT = {"a.txt": b"first", "dir/b.csv": b"1,2\n", "empty": b""}

pytestmark = pytest.mark.usefixtures("as_alice")


class Counting:
    """A WSGI application that counts the requests to another one."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.paths: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.paths["/".join(environ["PATH_INFO"].split("/")[:3])] += 1
        return self._app(environ, start_response)


class Writable:
    """A dserver with routes that change datasets, as unreleased dservercore; notes what it gets."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.written: list[tuple[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] == "PUT":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            self.written.append((path, json.loads(body)))
            start_response("200 OK", [("Content-Type", "application/json")])
            return [b"{}"]
        if path != "/doc/openapi.json":
            return self._app(environ, start_response)
        answer, _, _ = run_wsgi_app(self._app, environ)
        document = json.loads(b"".join(answer))
        for route in ("/readmes/{uri}", "/tags/{uri}", "/annotations/{uri}/{name}"):
            document["paths"].setdefault(route, {})["put"] = {}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(document).encode()]


@pytest.fixture(scope="module")
def counting(lab: Dserver) -> Counting:
    return Counting(lab.app)


@pytest.fixture(scope="module")
def dserver_url(counting: Counting) -> Iterator[str]:
    with serving(counting) as url:
        yield url


@pytest.fixture
def create(tmp_path: Path) -> Callable[..., dtoolcore.ProtoDataSet]:
    """Make a proto-dataset with files."""
    return partial(create_in, tmp_path)


def create_in(
    directory: Path, base_uri: str, content: dict[str, bytes] = CONTENT
) -> dtoolcore.ProtoDataSet:
    proto = dtoolcore.create_proto_dataset("test", base_uri, "project: test\n")
    for relpath, data in content.items():
        file = directory / "file"
        file.write_bytes(data)
        proto.put_item(str(file), relpath)
        file.unlink()
    return proto


@pytest.fixture(scope="module")
def uri(lab: Dserver, base_uri: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URI of a frozen dataset, which the tests of this module share."""
    directory = tmp_path_factory.mktemp("deposit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSERVER_TOKEN", lab.tokens["alice"])
        patch.setenv("XDG_STATE_HOME", str(directory / "state"))
        proto = create_in(directory, base_uri)
        proto.put_tag("first")
        proto.put_annotation("answer", {"is": [42]})
        proto.add_item_metadata("a.txt", "colour", "red")
        proto.freeze()
    assert not any((directory / "state/dserver-client/proto-datasets").iterdir())
    return str(proto.uri)


def waiting() -> list[Path]:
    return list(Path(os.environ["XDG_STATE_HOME"]).glob("dserver-client/proto-datasets/*"))


def test_a_frozen_dataset_has_what_the_proto_dataset_had(uri: str) -> None:
    dataset = dtoolcore.DataSet.from_uri(uri)
    assert dataset.name == "test"
    assert dataset.get_readme_content() == "project: test\n"
    assert dataset.list_tags() == ["first"]
    assert dataset.list_annotation_names() == ["answer"]
    assert dataset.get_annotation("answer") == {"is": [42]}
    overlay = dataset.get_overlay("colour")
    assert overlay == {
        generate_identifier(relpath): "red" if relpath == "a.txt" else None for relpath in CONTENT
    }
    assert {
        dataset.item_properties(each)["relpath"]: Path(
            dataset.item_content_abspath(each)
        ).read_bytes()
        for each in dataset.identifiers
    } == CONTENT


def test_a_uuid_is_enough_to_read(uri: str, base_uri: str) -> None:
    short = f"{base_uri.rsplit('/', 2)[0]}/{uri.rpartition('/')[2]}"
    dataset = dtoolcore.DataSet.from_uri(short)
    assert dataset.name == "test"
    assert dataset.base_uri == base_uri


def test_a_list_of_datasets_costs_no_request_for_each(
    uri: str, base_uri: str, counting: Counting
) -> None:
    counting.paths.clear()
    broker = dtoolcore._get_storage_broker(base_uri, None)
    uris = broker.list_dataset_uris(base_uri, None)
    assert uri in uris
    names = {dtoolcore._admin_metadata_from_uri(each, None)["name"] for each in uris}
    assert names == {"test"}
    assert counting.paths == {"/uris": 1}


def test_item_properties_cost_no_request_for_each(uri: str, counting: Counting) -> None:
    counting.paths.clear()
    dataset = dtoolcore.DataSet.from_uri(uri)
    for identifier in dataset.identifiers:
        assert len(dataset.item_properties(identifier)["hash"]) == 32
    assert counting.paths["/signed-urls/dataset"] <= 1
    assert counting.paths["/signed-urls/items"] == counting.paths["/signed-urls/item"] == 0


def test_items_that_are_cached_are_not_fetched_again(uri: str, counting: Counting) -> None:
    dataset = dtoolcore.DataSet.from_uri(uri)
    paths = [dataset.item_content_abspath(each) for each in dataset.identifiers]
    counting.paths.clear()
    assert [dataset.item_content_abspath(each) for each in dataset.identifiers] == paths
    assert counting.paths["/signed-urls/items"] == 0


def test_a_cached_file_that_is_not_the_item_is_fetched_again(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSERVER_CACHE_DIR", str(tmp_path / "cache"))
    dataset = dtoolcore.DataSet.from_uri(uri)
    cached = tmp_path / "cache" / dataset.uuid / f"{generate_identifier('a.txt')}.txt"
    cached.parent.mkdir(parents=True)
    # As a power cut may leave it.
    cached.write_bytes(bytes(len(CONTENT["a.txt"])))
    (tmp_path / "copy").mkdir()
    copied = dtoolcore.DataSet.from_uri(dtoolcore.copy(uri, str(tmp_path / "copy")))
    assert {
        Path(copied.item_content_abspath(each)).read_bytes() for each in copied.identifiers
    } == set(CONTENT.values())
    assert cached.read_bytes() == CONTENT["a.txt"]
    # The same process sees what happens to it later, whatever its time says.
    found = cached.stat()
    other = tmp_path / "other"
    other.write_bytes(b"FIRST")
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.replace(cached)
    assert Path(dataset.item_content_abspath(generate_identifier("a.txt"))) == cached
    assert cached.read_bytes() == CONTENT["a.txt"]


FORKED = """
import os, sys, threading, urllib.request
from dserver_client.broker.storage_broker import DserverStorageBroker

url, uri, identifier = sys.argv[1:]
broker = DserverStorageBroker(uri)
asking = threading.Thread(target=broker.get_item_abspath, args=(identifier,))
asking.start()
urllib.request.urlopen(url + "/is-asked").close()
child = os.fork()
if child == 0:
    path = broker.get_item_abspath(identifier)
    print(open(path).read(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
asking.join()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_child_does_not_wait_for_a_thread_of_its_parent(
    uri: str, lab: Dserver, tmp_path: Path
) -> None:
    is_asked, both = threading.Event(), threading.Barrier(2)

    def slow(environ: dict[str, Any], start_response: Any) -> Any:
        """Be dserver, which signs for the parent when the child asks, too."""
        if environ["PATH_INFO"] == "/is-asked":
            assert is_asked.wait(timeout=60)
            start_response("204 No Content", [])
            return []
        if environ["PATH_INFO"].startswith("/signed-urls/items"):
            is_asked.set()
            both.wait(timeout=60)
        return lab.app(environ, start_response)

    with serving(slow) as url:
        theirs = f"dserver://{url.partition('://')[2]}/s3/{uri.partition('/s3/')[2]}"
        done = subprocess.run(
            [sys.executable, "-c", FORKED, url, theirs, generate_identifier("a.txt")],
            env={**os.environ, "DSERVER_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    assert done.stdout == "first\n"


def test_verification_sees_what_the_store_has(
    create: Callable[..., dtoolcore.ProtoDataSet],
    base_uri: str,
    lab: Dserver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proto = create(base_uri)
    proto.freeze()
    uri = proto.uri
    s3 = s3_client(lab.bucket.endpoint, lab.bucket.access_key, lab.bucket.secret_key)

    def key(relpath: str) -> dict[str, str]:
        path = f"{uri.rpartition('/')[2]}/data/{generate_identifier(relpath)}"
        return {"Bucket": lab.bucket.name, "Key": path}

    dataset = dtoolcore.DataSet.from_uri(uri)
    # What is cached says nothing of the store.
    for identifier in dataset.identifiers:
        dataset.item_content_abspath(identifier)
    s3.put_object(**key("a.txt"), Body=b"FIRST")
    s3.put_object(**key("dir/b.csv"), Body=b"longer than it was")
    s3.delete_object(**key("empty"))
    broker = dtoolcore.DataSet.from_uri(uri)._storage_broker
    sizes = {each: broker.get_size_in_bytes(each) for each in broker.iter_item_handles()}
    assert sizes == {"a.txt": 5, "dir/b.csv": 18}
    assert broker.get_hash("a.txt") == "2c2624a5059934a947d6e25fe8332ade"
    assert broker.get_hash("dir/b.csv") is None
    monkeypatch.setenv("DSERVER_CACHE_DIR", str(tmp_path / "another"))
    broker = dtoolcore.DataSet.from_uri(uri)._storage_broker
    with pytest.raises(BrokerError, match="differs from the manifest.*a.txt") as raised:
        broker.get_item_abspath(generate_identifier("a.txt"))
    assert raised.value.exit_code == 8


def test_copies_to_and_from_disk_are_the_same(
    create: Callable[..., dtoolcore.ProtoDataSet], base_uri: str, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    local = create(str(tmp_path / "one"))
    local.freeze()
    remote = dtoolcore.copy(local.uri, base_uri)
    again = dtoolcore.DataSet.from_uri(dtoolcore.copy(remote, str(tmp_path / "two")))
    before = dtoolcore.DataSet.from_uri(local.uri)
    assert again.admin_metadata["frozen_at"] == before.admin_metadata["frozen_at"]
    assert {before.item_properties(each)["hash"] for each in before.identifiers} == {
        again.item_properties(each)["hash"] for each in again.identifiers
    }
    assert waiting() == []


def test_a_freeze_that_fails_goes_on_where_it_was(
    create: Callable[..., dtoolcore.ProtoDataSet],
    base_uri: str,
    lab: Dserver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proto = create(base_uri)
    monkeypatch.setenv("DSERVER_TOKEN", "no.token.atall")
    with pytest.raises(BrokerError, match=f"dtool freeze {proto.uri}") as raised:
        dtoolcore.ProtoDataSet.from_uri(proto.uri).freeze()
    assert raised.value.exit_code == 3
    with pytest.raises(dtoolcore.DtoolCoreTypeError):
        dtoolcore.DataSet.from_uri(proto.uri)
    monkeypatch.setenv("DSERVER_TOKEN", lab.tokens["alice"])
    dtoolcore.ProtoDataSet.from_uri(proto.uri).freeze()
    assert dtoolcore.DataSet.from_uri(proto.uri).uuid == proto.uuid
    assert waiting() == []


@pytest.fixture
def linked(
    create: Callable[..., dtoolcore.ProtoDataSet], base_uri: str, tmp_path: Path
) -> tuple[dtoolcore.ProtoDataSet, Path]:
    """Return a proto-dataset, and the file of a frozen dataset on disk that is its only item."""
    (tmp_path / "disk").mkdir()
    local = create(str(tmp_path / "disk"))
    local.freeze()
    proto = create(base_uri, {})
    file = tmp_path / "disk" / "test" / "data" / "a.txt"
    proto.put_item(str(file), "a.txt")
    return proto, file


def test_a_linked_file_that_changes_before_the_freeze_is_an_error(
    linked: tuple[dtoolcore.ProtoDataSet, Path],
) -> None:
    proto, file = linked
    with file.open("ab") as opened:
        opened.write(b"more")
    with pytest.raises(BrokerError, match="'a.txt' has changed since it was added") as raised:
        proto.freeze()
    assert raised.value.exit_code == 8


def test_what_is_added_during_a_freeze_is_refused(
    create: Callable[..., dtoolcore.ProtoDataSet], base_uri: str, lab: Dserver
) -> None:
    refused: list[Exception] = []

    def adding(environ: dict[str, Any], start_response: Any) -> Any:
        """Be dserver, at which something happens when the upload is announced."""
        if environ["REQUEST_METHOD"] == "POST":
            other = dtoolcore.ProtoDataSet.from_uri(proto.uri)
            for change in (
                lambda: other.put_item(__file__, "late"),
                lambda: other.put_annotation("late", 1),
                other.freeze,
            ):
                with pytest.raises(BrokerError, match="is being frozen") as raised:
                    change()
                refused.append(raised.value)
        return lab.app(environ, start_response)

    with serving(adding) as url:
        proto = create(f"dserver://{url.partition('://')[2]}/s3/{lab.bucket.name}", {"a": b"a"})
        proto.freeze()
        dataset = dtoolcore.DataSet.from_uri(proto.uri)
        assert dataset.list_annotation_names() == []
    assert {error.exit_code for error in refused if isinstance(error, BrokerError)} == {6}
    assert waiting() == []


def test_a_change_that_no_lock_has_kept_out_is_kept(
    create: Callable[..., dtoolcore.ProtoDataSet], base_uri: str, lab: Dserver
) -> None:
    def changing(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] == "POST":
            (directory,) = (path for path in waiting() if path.is_dir())
            (directory / "README.yml").write_text("changed: true\n")
        return lab.app(environ, start_response)

    with serving(changing) as url:
        proto = create(f"dserver://{url.partition('://')[2]}/s3/{lab.bucket.name}", {"a": b"a"})
        with pytest.raises(BrokerError, match="was changed while it was frozen") as raised:
            proto.freeze()
    assert raised.value.exit_code == 8
    (directory,) = waiting()
    assert (directory / "README.yml").read_text() == "changed: true\n"


def test_an_item_whose_line_was_lost_is_not_left_out(
    create: Callable[..., dtoolcore.ProtoDataSet], base_uri: str
) -> None:
    proto = create(base_uri, {"a": b"a"})
    (directory,) = waiting()
    (directory / "data" / generate_identifier("b")).write_bytes(b"b")
    with pytest.raises(BrokerError, match=f"add it again.*{generate_identifier('b')}"):
        proto.freeze()


def test_a_linked_file_that_changes_and_keeps_its_time_is_an_error(
    linked: tuple[dtoolcore.ProtoDataSet, Path],
) -> None:
    proto, file = linked
    found = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"other")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.raises(BrokerError, match="has changed") as raised:
        proto.freeze()
    assert raised.value.exit_code == 8
    assert [path for path in waiting() if path.is_dir()]


def test_a_program_may_ask_for_a_uri_as_often_as_it_likes(
    uri: str, base_uri: str, tmp_path: Path
) -> None:
    dataset = dtoolcore.DataSet.from_uri(uri)
    for _ in range(3):
        assert dtoolcore._generate_uri(dataset.admin_metadata, base_uri) == uri
    assert dtoolcore.DataSet.from_uri(uri).uuid == dataset.uuid
    new = {**dataset.admin_metadata, "uuid": "af6727bf-29c7-43dd-b42f-a5d7ede28337"}
    for _ in range(3):
        other = dtoolcore._generate_uri(new, base_uri)
    assert not dtoolcore._is_dataset(other, None)


@pytest.mark.parametrize(
    "change",
    [
        lambda dataset: dataset.put_tag("late"),
        lambda dataset: dataset.delete_tag("first"),
        lambda dataset: dataset.put_annotation("late", 1),
        lambda dataset: dataset.delete_annotation("answer"),
        lambda dataset: dataset.put_overlay("late", dict.fromkeys(dataset.identifiers)),
        lambda dataset: dataset.put_readme("late: true\n"),
        lambda dataset: dataset.update_name("late"),
        lambda dataset: dataset._storage_broker.put_item(__file__, "late"),
    ],
)
def test_a_change_that_dserver_has_no_route_for_is_an_error(
    uri: str, change: Callable[[dtoolcore.DataSet], None]
) -> None:
    dataset = dtoolcore.DataSet.from_uri(uri)
    with pytest.raises(ClientError, match="is frozen") as raised:
        change(dataset)
    assert isinstance(raised.value, BrokerError)
    assert raised.value.slug == "not-supported"


def test_a_change_goes_through_dservers_own_routes_where_it_has_them(
    uri: str, base_uri: str, lab: Dserver
) -> None:
    dserver = Writable(lab.app)
    with serving(dserver) as url:
        theirs = f"dserver://{url.partition('://')[2]}/s3/{uri.partition('/s3/')[2]}"
        dataset = dtoolcore.DataSet.from_uri(theirs)
        dataset.put_tag("late")
        dataset.delete_tag("first")
        dataset.put_annotation("late", [1])
        dataset.put_readme("late: true\n")
        with pytest.raises(BrokerError, match="is frozen"):
            dataset.delete_annotation("answer")
    stored = f"s3://{uri.partition('/s3/')[2]}"
    assert dserver.written == [
        (f"/tags/{stored}", {"tags": ["first", "late"]}),
        (f"/tags/{stored}", {"tags": []}),
        (f"/annotations/{stored}/late", {"value": [1]}),
        (f"/readmes/{stored}", {"readme": "late: true\n"}),
    ]


def test_what_a_dataset_has_not_is_an_error(uri: str) -> None:
    dataset = dtoolcore.DataSet.from_uri(uri)
    for ask in (
        lambda: dataset.delete_tag("other"),
        lambda: dataset.item_content_abspath("other"),
        lambda: dataset._storage_broker.get_annotation("other"),
    ):
        with pytest.raises(NoSuchEntry, match="'other'"):
            ask()


def test_a_dataset_that_is_not_there_is_an_error_with_the_reason(base_uri: str) -> None:
    uri = f"{base_uri}/af6727bf-29c7-43dd-b42f-a5d7ede28337"
    with pytest.raises(NotADataset, match="dserver has no dataset") as raised:
        dtoolcore.DataSet.from_uri(uri)
    assert raised.value.exit_code == 5


# The released dservercore does not count the datasets of people who may see none.
@pytest.mark.filterwarnings("ignore:item_count not set")
def test_a_person_without_permission_is_told_so(
    uri: str, base_uri: str, lab: Dserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSERVER_TOKEN", lab.tokens["dave"])
    for ask in (
        lambda: dtoolcore.DataSet.from_uri(uri),
        lambda: dtoolcore._get_storage_broker(base_uri, None).list_dataset_uris(base_uri, None),
        lambda: dtoolcore.create_proto_dataset("test", base_uri),
    ):
        with pytest.raises(BrokerError, match="dave") as raised:
            ask()
        assert raised.value.exit_code == 4
    assert waiting() == []


def test_the_references_routes_are_enough(
    create: Callable[..., dtoolcore.ProtoDataSet], reference_url: str, lab: Dserver
) -> None:
    base_uri = f"dserver://{reference_url.partition('://')[2]}/s3/{lab.bucket.name}"
    proto = create(base_uri)
    proto.freeze()
    dataset = dtoolcore.DataSet.from_uri(proto.uri)
    assert {
        Path(dataset.item_content_abspath(each)).read_bytes() for each in dataset.identifiers
    } == set(CONTENT.values())
    broker = dataset._storage_broker
    assert {each: broker.get_size_in_bytes(each) for each in broker.iter_item_handles()} == {
        relpath: len(content) for relpath, content in CONTENT.items()
    }
    with pytest.raises(BrokerError, match="is frozen"):
        dataset.put_tag("late")
