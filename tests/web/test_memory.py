"""What a worker's memory is before, while and after somebody sends it large bodies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from uuid import uuid4

import pytest
import requests

from dserver_signed_url_plugin.demo.app import SETTINGS_VARIABLE
from dserver_signed_url_plugin.demo.store import free_port
from tests.support.compose_container import Container
from tests.support.compose_files import DOCKER
from tests.support.dserver import Dserver, encoded, in_capitals

# Bytes of a body; up to 64 MiB are read.
SIZE = 16_000_000
MB = 1_000_000
PATIENCE = 20  # seconds, on a busy machine
FACTORY = "dserver_signed_url_plugin.demo.app:create_app_from_environment()"


class Worker:
    """gunicorn's one worker, its memory looked at from outside."""

    def __init__(self, address: str, pid: int, dserver: Dserver) -> None:
        self._address, self._pid, self._dserver = address, pid, dserver

    def post(self, name: str, body: bytes) -> requests.Response:
        """Announce something as somebody."""
        return requests.post(
            f"{self._address}/signed-urls/upload/{encoded(self._dserver.base_uri)}",
            data=body,
            headers={
                "Authorization": f"Bearer {self._dserver.tokens[name]}",
                "Content-Type": "application/json",
            },
            timeout=120,
        )

    def forget_peak(self) -> None:
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")

    def megabytes(self) -> float:
        return self._said("VmRSS")

    def settled(self, limit: float) -> float:
        """Return its memory as soon as that is below a limit: an answer ends before its thread."""
        deadline = monotonic() + PATIENCE
        while (now := self.megabytes()) >= limit and monotonic() < deadline:
            sleep(0.05)
        return now

    def peak(self) -> float:
        return self._said("VmHWM")

    def _said(self, name: str) -> float:
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(name))


@pytest.fixture(scope="module")
def worker(lab: Dserver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One, as the image runs it."""
    tmp_path = tmp_path_factory.mktemp("worker")
    listen = f"127.0.0.1:{free_port()}"
    names = ("SQLALCHEMY_DATABASE_URI", "SECRET_KEY", "JWT_ALGORITHM", "JWT_PUBLIC_KEY")
    config = {name: lab.app.config[name] for name in names}
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({**config, **in_capitals(lab.bucket.settings())}))
    variables = {
        "DSERVER_LISTEN": listen,
        "DSERVER_WORKERS": "1",
        "DSERVER_THREADS": "4",
        "FLASK_APP": FACTORY,
        SETTINGS_VARIABLE: str(settings),
    }
    with Container([DOCKER / "entrypoint.sh", "serve"], variables, tmp_path) as gunicorn:
        gunicorn.wait_until(lambda: gunicorn.answers(f"http://{listen}/config/versions"))
        master = gunicorn.process.pid
        [pid] = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        made = Worker(f"http://{listen}", int(pid), lab)
        # What is imported and connected at the first request stays.
        assert made.post("alice", plan(items=[{"relpath": "a"}])).status_code == 200
        yield made


def plan(**fields: object) -> bytes:
    return json.dumps({"uuid": str(uuid4()), "name": "n", **fields}).encode()


def filled(start: str, unit: str, end: str) -> bytes:
    """An announcement of this size, in which something comes again and again."""
    body = plan()[:-1].decode()
    number = SIZE // (len(unit.encode()) + 1)
    return f"{body}, {start}{','.join([unit] * number)}{end}}}".encode()


def test_whoever_may_nothing_takes_no_memory(worker):
    body = filled('"annotations": {"a": [', "[]", "]}")
    before = worker.megabytes()
    worker.forget_peak()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: worker.post("dave", body).status_code, range(4)))
    figures = f"{before:.0f} MB before, {worker.peak():.0f} at most, {worker.megabytes():.0f} after"
    print(figures)  # noqa: T201
    assert answers == [403] * 4
    # What four threads and their connections take; bodies that were read would be 64 MB.
    assert worker.peak() < before + 40, figures


SHAPES = {
    "items": ('"items": [', '{"relpath":"ab"}', "]"),
    "items of four bytes": ('"items": [', '{"relpath":"😀"}', "]"),
    "nothings for items": ('"items": [', "{}", "]"),
    "lists in annotations": ('"annotations": {"a": [', "[]", "]}"),
    "objects in overlays": ('"overlays": {"a": {"b": [', "{}", "]}}"),
    "names of overlays": ('"overlays": {', '"ab": {}', "}"),
    "tags": ('"tags": [', '"ab"', "]"),
    "an unknown field": ('"surprise": [', "[]", "]"),
    "a text": ('"name": "', "😀é", '"'),
    "numbers": ('"tags": [', "1.5", "]"),
    "escapes": ('"creator_username": "', "\\u00e9", '"'),
}


@pytest.mark.parametrize("parts", SHAPES.values(), ids=SHAPES)
def test_no_body_takes_ten_times_its_size(worker, parts):
    body = filled(*parts)
    before = worker.megabytes()
    worker.forget_peak()
    assert worker.post("alice", body).status_code in {400, 422}
    after = worker.settled(before + 30)
    figures = f"{before:.0f} MB before, {worker.peak():.0f} at most, {after:.0f} after"
    print(figures)  # noqa: T201
    assert worker.peak() < before + 10 * len(body) / MB, figures
    assert after < before + 30, figures


def test_nesting_takes_nothing(worker):
    before = worker.megabytes()
    worker.forget_peak()
    overlays = plan()[:-1] + b', "overlays": ' + b"[" * SIZE
    for body in (b"[" * SIZE, b'{"a":' * (SIZE // 5), overlays):
        assert worker.post("alice", body).status_code in {400, 422}
    assert worker.peak() < before + 3 * SIZE / MB
    assert worker.settled(before + 30) < before + 30


def test_large_announcements_take_little_memory_which_comes_back(worker):
    """An announcement of 100,000 items is 10 MB, and its answer 65 MB."""
    items = [
        {"relpath": f"images/{n:06d}.tif", "size_in_bytes": n, "hash": f"{n:032x}"}
        for n in range(100_000)
    ]
    rest = json.dumps({"items": items, "hash_function": "md5sum_hexdigest"})[1:].encode()
    before, after = worker.megabytes(), []
    worker.forget_peak()
    for _ in range(2):
        answer = worker.post("alice", plan()[:-1] + b", " + rest)
        assert answer.content.count(b'"url"') == len(items)
        after.append(worker.megabytes())
    figures = f"{before:.0f} MB before, {worker.peak():.0f} at most, {after} after each"
    print(figures)  # noqa: T201
    assert worker.peak() < before + 125, figures
    assert worker.settled(before + 80) < before + 80, figures
