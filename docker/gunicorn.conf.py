"""Settings of gunicorn in a container; what differs between sites comes from the environment.

No token or signature is logged.
"""

import logging
import os
import re

bind = os.environ.get("DSERVER_LISTEN", "0.0.0.0:5000")
workers = int(os.environ.get("DSERVER_WORKERS", "2"))
threads = int(os.environ.get("DSERVER_THREADS", "8"))
worker_class = "gthread"
# Completing an upload of many staged items copies them one by one, which may take minutes.
timeout = int(os.environ.get("DSERVER_TIMEOUT", "900"))
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
# the place of a URI.
SECRETS = re.compile(
    r"((?:signature|credential|token|accesskeyid|\bsig)(?:=|%(?:25)*3D)"
    r"|signed-urls(?:/|%(?:25)*2F)+s(?:/|%(?:25)*2F)+)[^&\s\"']+"
    r"|(?<=/)[^/\s@\"']+:[^/\s@\"']+(?=@)"
    r"|\beyJ[\w-]{5,}\.[\w.-]+",
    re.IGNORECASE,
)


class OneLine(logging.Formatter):
    """Formats a record as one line without secrets: a path may hold a line break, or a token."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the entry with its line breaks escaped."""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry, with any traceback, without signatures and tokens."""
        return SECRETS.sub(lambda found: f"{found[1] or ''}…", super().format(record))


_STDOUT = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}

logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "entry": {"()": OneLine, "format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "access": {"()": OneLine, "format": "%(asctime)s %(message)s"},
        # The audit trail is JSON already, one object a line.
        "as it is": {"()": OneLine, "format": "%(message)s"},
    },
    "handlers": {
        "entries": {**_STDOUT, "formatter": "entry"},
        "access": {**_STDOUT, "formatter": "access"},
        "audit": {**_STDOUT, "formatter": "as it is"},
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
