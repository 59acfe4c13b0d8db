"""The demo's dserver, with routes that tell what a request cost, and with the naive way beside it.

gunicorn loads it, in a process of its own; SETTINGS is the path of its Flask settings.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from dservercore import sql_db
from flask import Flask
from sqlalchemy import event

from benchmarks import naive
from benchmarks.store import BUCKET
from dserver_signed_url_plugin.demo.app import create_app
from dserver_signed_url_plugin.uris import BaseURI

SETTINGS = "BENCHMARK_SETTINGS"
COSTS, LISTING = "/-bench/costs", "/-bench/listing/"
_PROC = Path("/proc/self")


def create() -> Flask:
    """Return the app for a worker of gunicorn."""
    settings = json.loads(Path(os.environ[SETTINGS]).read_text(encoding="utf-8"))
    app = create_app(settings)
    statements = _counted_statements(app)
    app.register_blueprint(naive.blueprint)

    @app.get(COSTS)
    def costs() -> dict[str, Any]:
        """Return what this process has used since it started, and forget its peak of memory."""
        return {"statements": statements[0], "cpu": time.process_time(), **_memory()}

    @app.get(f"{LISTING}<uuid>")
    def listing(uuid: str) -> dict[str, int]:
        """List an upload as its completion does."""
        storage = app.extensions["signed-url"].storages.of(BaseURI.parse(f"s3://{BUCKET}"))
        return {"objects": storage.uploads.contents(uuid, "staging").objects}

    return app


def _counted_statements(app: Flask) -> list[int]:
    count, lock = [0], threading.Lock()

    def statement(*_: Any) -> None:
        # A lease shows by a clock that it is alive: how often depends on the machine.
        if "_heartbeat" not in threading.current_thread().name:
            with lock:
                count[0] += 1

    with app.app_context():
        event.listen(sql_db.engine, "before_cursor_execute", statement)
    return count


def _memory() -> dict[str, int | None]:
    """Return resident KiB: now, and the most since the last call. None where Linux's /proc is not.

    Source: proc(5), "/proc/[pid]/clear_refs" (since Linux 4.0) and "/proc/[pid]/status".
    """
    found: dict[str, int | None] = {"resident": None, "peak": None}
    with suppress(OSError):
        status = (_PROC / "status").read_text()
        for name, field in (("resident", "VmRSS"), ("peak", "VmHWM")):
            value = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
            found[name] = int(value[1]) if value else None
        (_PROC / "clear_refs").write_text("5")
    return found
