"""Several worker processes share a directory, and any of them tells what all have counted."""

from __future__ import annotations

import os
import sys

import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import ConfigurationError
from dserver_signed_url_plugin.services import Services
from tests.metrics.conftest import Scrape
from tests.support.forked_python import run_forked

# Two workers, of which one dies; a command; and the answer of a third worker.
WORKERS = """
import os
from prometheus_client import multiprocess
from dserver_signed_url_plugin.metrics.counting import Counting
from dserver_signed_url_plugin.observer import Answer

counting = Counting()
counting.store_called("s3://of-a-command", "ok", 1, is_open=True)
assert os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"]) == []

def work():
    counting.request_began()
    counting.answered(Answer(route="read-item", status=200, slug=None, seconds=0.2))
    counting.store_called("s3://lab", "failed", 1, is_open=True)

workers = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    workers.append(pid)
    os.waitpid(pid, 0)
multiprocess.mark_process_dead(workers[0])
print(counting.metrics().exposition([], os.environ["PROMETHEUS_MULTIPROC_DIR"]).decode())
"""


def loaded(**config: str) -> Services:
    return Services(Settings.load({"SIGNED_URL_METRICS": "1", **config}, {}))


def test_each_worker_tells_what_all_have_counted(tmp_path):
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = run_forked(WORKERS, [], tmp_path, environment)
    assert done.returncode == 0, done.stderr
    seen = Scrape(done.stdout)
    assert seen("requests_total", route="read-item", status="2xx", slug="") == 2
    assert seen("request_seconds_count", route="read-item", status="2xx") == 2
    assert seen("store_calls_total", store="s3://lab", result="failed") == 2
    # Of one that has ended, no breaker is open.
    assert seen("store_breakers_open", store="s3://lab") == 1
    assert seen.labels("", "store") == {"s3://lab"}


def test_a_server_without_the_extra_says_what_to_install(monkeypatch):
    monkeypatch.delitem(
        sys.modules, "dserver_signed_url_plugin.metrics.process_metrics", raising=False
    )
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match="SIGNED_URL_METRICS .* the extra `metrics`"):
        loaded()


@pytest.mark.parametrize("directory", ["/gone", "", sys.executable])
def test_a_directory_that_is_none_is_named_at_the_start(monkeypatch, directory):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", directory)
    with pytest.raises(ConfigurationError, match=f"PROMETHEUS_MULTIPROC_DIR .*{directory}'"):
        loaded()


def test_the_old_name_of_the_directory_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("prometheus_multiproc_dir", str(tmp_path))
    with pytest.raises(ConfigurationError, match="is spelled PROMETHEUS_MULTIPROC_DIR"):
        loaded()


def test_gunicorn_without_a_directory_leaves_a_warning(monkeypatch, caplog):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    loaded()
    assert caplog.messages == []
    monkeypatch.setenv("SERVER_SOFTWARE", "gunicorn/23.0.0")
    loaded()
    [message] = caplog.messages
    assert "PROMETHEUS_MULTIPROC_DIR is not set" in message


@pytest.mark.parametrize("value", ["yes", "2", "-1"])
def test_the_setting_is_0_or_1(value):
    with pytest.raises(ConfigurationError, match="SIGNED_URL_METRICS must be 0 or 1"):
        loaded(SIGNED_URL_METRICS=value)
