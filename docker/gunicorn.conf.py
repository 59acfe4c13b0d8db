"""Settings of gunicorn in a container; what differs between sites comes from the environment.

No token or signature is logged.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any


def whole_number(name: str, default: int) -> int:
    """Return the value of a variable; end with a sentence if it is less than 1, or no number."""
    text = os.environ.get(name) or str(default)
    if re.fullmatch("0*[1-9][0-9]{0,8}", text) is None:
        sys.exit(f"{name} must be a whole number of at least 1, not {text!r}.")
    return int(text)


bind = os.environ.get("DSERVER_LISTEN", "0.0.0.0:5000")
workers = whole_number("DSERVER_WORKERS", 2)
threads = whole_number("DSERVER_THREADS", 8)
worker_class = "gthread"
# Completing an upload of many staged items copies them one by one, which may take minutes.
timeout = whole_number("DSERVER_TIMEOUT", 900)
# Below Compose's stop_grace_period. A request that is interrupted can be repeated.
graceful_timeout = 20
# The heartbeat files of workers, in memory: a busy disk would delay heartbeats.
worker_tmp_dir = "/dev/shm"
# Newer versions of gunicorn would open a socket in the home directory, which is read-only.
control_socket_disable = True
# For percent-encoded URIs of 1,024 characters.
limit_request_line = 8190

accesslog = "-"
# Method and path, without query and headers.
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(b)s bytes %(L)s s'


# The link of a share has its token in the path; and a signed URL or a token may be pasted there, in
# the place of a URI. What was copied from several lines has line breaks before or within a secret.
SECRETS = re.compile(
    r"((?:signature|credential|token|accesskeyid|sig)(?:=|%(?:25)*3D)"
    r"|signed-urls(?:/|%(?:25)*2F)+s(?:/|%(?:25)*2F)+"
    r"|(?-i:eyJ))[^& \"']+"
    r"|(?<=/)[^/ :@\"']+:[^/ @\"']+(?=@)",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """Return a text without signatures and tokens."""
    return SECRETS.sub(lambda found: f"{found[1] or ''}…", text)


def printable(text: str) -> str:
    """Return a text with escapes of what breaks a line, or would control a terminal."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def json_line(fields: Mapping[str, Any]) -> str:
    """Return a JSON object on a line, whose texts are without secrets."""
    hidden = {
        name: without_secrets(value) if isinstance(value, str) else value
        for name, value in fields.items()
    }
    return json.dumps(hidden)


class OneLine(logging.Formatter):
    """Formats a record as one line without secrets: a path may hold a line break, or a token."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the entry without secrets, with its line breaks escaped."""
        return printable(without_secrets(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:
        """Return the traceback without secrets."""
        return without_secrets(super().formatException(ei))

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry, with any traceback, printable."""
        return "\n".join(map(printable, super().format(record).split("\n")))


class JSONMessage(logging.Formatter):
    """Formats a record whose message is a JSON object already."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object, without secrets."""
        return json_line(json.loads(record.getMessage()))


class JSONLine(logging.Formatter):
    """Formats a record as one JSON object on a line, without secrets."""

    request_id: Callable[[], str | None] = staticmethod(lambda: None)

    def format(self, record: logging.LogRecord) -> str:
        """Return time, level, logger, request ID and message, and any traceback."""
        fields = {
            "level": record.levelname,
            "logger": record.name,
            "request_id": JSONLine.request_id(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return self.dumped(record, fields)

    def dumped(self, record: logging.LogRecord, fields: Mapping[str, Any]) -> str:
        """Return the line, beginning with the time of the record."""
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat()
        return json_line({"time": time, **fields})


class JSONAccess(JSONLine):
    """Formats a request as one JSON object on a line, without query, headers and secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return what gunicorn knows of the request."""
        atoms: Any = record.args
        # Routes of dserver itself return no ID. gunicorn has a dash for a missing header.
        ids = [atoms["{x-request-id}o"], atoms["{x-request-id}i"]]
        return self.dumped(
            record,
            {
                "address": atoms["h"],
                "method": atoms["m"],
                "path": atoms["U"],
                "status": int(atoms["s"]),
                "bytes": atoms["B"],
                "seconds": float(atoms["L"]),
                "request_id": next((found for found in ids if found != "-"), None),
            },
        )


def post_worker_init(worker: Any) -> None:
    """Let log entries have the ID of the request; not imported before the worker exists."""
    from dserver_signed_url_plugin import request_ids  # noqa: PLC0415

    JSONLine.request_id = staticmethod(request_ids.current)


def child_exit(_server: Any, worker: Any) -> None:
    """Remove the gauges of a worker that has ended from the metrics."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess  # noqa: PLC0415 (only with the extra)

        multiprocess.mark_process_dead(worker.pid)


_FORMAT = os.environ.get("DSERVER_LOG_FORMAT") or "plain"
if _FORMAT not in ("plain", "json"):
    sys.exit(f"DSERVER_LOG_FORMAT must be plain or json, not {_FORMAT!r}.")
_JSON = _FORMAT == "json"
_STDOUT = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}

logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "entry": {
            "()": JSONLine if _JSON else OneLine,
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        },
        "access": {"()": JSONAccess if _JSON else OneLine, "format": "%(asctime)s %(message)s"},
        "audit": {"()": JSONMessage},
    },
    "handlers": {
        "entries": {**_STDOUT, "formatter": "entry"},
        "access": {**_STDOUT, "formatter": "access"},
        "audit": {**_STDOUT, "formatter": "audit"},
    },
    # Never lower than INFO: at DEBUG, dserver logs every request's headers, tokens included.
    "root": {"level": "INFO", "handlers": ["entries"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["entries"], "propagate": False},
        "gunicorn.access": {"level": "INFO", "handlers": ["access"], "propagate": False},
        "dserver_signed_url_plugin.audit": {
            "level": "INFO",
            "handlers": ["audit"],
            "propagate": False,
        },
    },
}
