"""Measures how dserver grows: threads, workers and servers on one PostgreSQL, PgBouncer and Redis.

``python -m benchmarks.scaling`` prints JSON; docs/scaling.rst says what of. It needs the extra
``test``. PGBOUNCER and REDIS_SERVER name the programs, without which their parts are left out.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from dtoolcore.utils import generate_identifier
from sqlalchemy import make_url

from benchmarks.cluster import EMPTY, Act, Bench, Client, Cluster, Load, bench, running
from dserver_signed_url_plugin.demo.store import free_port

TURNS, CLIENTS = 3, 16
# Seconds that each request to the store takes.
LATENCY = 0.02
GROWTH = {
    "1 server, 1 worker": {"servers": 1, "workers": 1},
    "1 server, 2 workers": {"servers": 1, "workers": 2},
    "2 servers, 1 worker": {"servers": 2, "workers": 1},
    "3 servers, 1 worker": {"servers": 3, "workers": 1},
}
THREADS = (1, 4, 8, 16, 32)
PER_MINUTE = 60
_PGBOUNCER = """
[databases]
* = {where}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 8
max_client_conn = 1000
ignore_startup_parameters = options
log_connections = 0
log_disconnections = 0
"""


def main() -> None:
    """Measure the parts that the arguments name, or all."""
    parts = {"growth": growth, "threads": threads, "pgbouncer": pgbouncer, "redis": redis}
    with bench() as shared:
        for name in sys.argv[1:] or parts:
            started = time.monotonic()
            result = {name: parts[name](shared), "seconds": round(time.monotonic() - started)}
            sys.stdout.write(f"{json.dumps(result, indent=1)}\n")
            sys.stdout.flush()


def acts(cluster: Cluster) -> dict[str, Act]:
    """Return what clients do, once there is a dataset to read."""
    client = Client(cluster.front.endpoint.removeprefix("http://"), cluster.token)
    uri = quote(client.deposit(), safe="")
    item = f"/signed-urls/item/{uri}/{generate_identifier(EMPTY['relpath'])}"
    return {
        "GET item": lambda one: one.send("GET", item),
        "GET dataset": lambda one: one.send("GET", f"/signed-urls/dataset/{uri}"),
        "deposit": Client.deposit,
    }


def in_turns(clusters: Mapping[str, Cluster], clients: int = CLIENTS) -> dict[str, Any]:
    """Measure clusters in turns, so that disturbances affect all; return medians by act."""
    wanted = {name: acts(cluster) for name, cluster in clusters.items()}
    loads: dict[tuple[str, str], list[Load]] = {}
    for turn in range(TURNS + 1):
        for name, cluster in clusters.items():
            for act, function in wanted[name].items():
                load = cluster.run(function, 2.0, clients)
                # The first time, each worker compiles its statements.
                if turn:
                    loads.setdefault((act, name), []).append(load)
    found: dict[str, Any] = {}
    for (act, name), each in loads.items():
        found.setdefault(act, {})[name] = {
            "per second": median(load.per_second for load in each),
            "cpu ms": {
                program: round(median(load.cpu[program] for load in each), 2)
                for program in each[0].cpu
            },
            "connections": max(load.connections for load in each),
            "idle in transaction": max(load.idle_in_transaction for load in each),
            "refused": sum((load.refused for load in each), each[0].refused.__class__()),
        }
    return found


def growth(shared: Bench) -> Any:
    """Measure workers and servers."""
    with ExitStack() as stack:
        return in_turns(
            {name: stack.enter_context(shared.cluster(**each)) for name, each in GROWTH.items()}
        )


def threads(shared: Bench) -> Any:
    """Measure threads of one worker, on a store that is slow."""
    command = [sys.executable, "-m", "benchmarks.client.latency"]
    command += [str(shared.store_port), str(LATENCY)]
    with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as latency:
        port = int(latency.stdout.readline())  # type: ignore[union-attr]
        with ExitStack() as stack:
            clusters = {
                str(each): stack.enter_context(shared.cluster(threads=each, store_port=port))
                for each in THREADS
            }
            return in_turns(clusters, clients=max(THREADS))


def pgbouncer(shared: Bench) -> Any:
    """Measure two servers of two workers each, with and without PgBouncer."""
    program, size = os.environ.get("PGBOUNCER"), {"servers": 2, "workers": 2}
    if program is None:
        return None
    with ExitStack() as stack:
        url = stack.enter_context(bouncing(program, shared))
        clusters = {
            "without": stack.enter_context(shared.cluster(**size)),
            "with": stack.enter_context(shared.cluster(**size, SQLALCHEMY_DATABASE_URI=url)),
        }
        return in_turns(clusters, clients=2 * CLIENTS)


@contextmanager
def bouncing(program: str, shared: Bench) -> Iterator[str]:
    """Run PgBouncer; yield the URL of the database behind it."""
    port, database = free_port(), make_url(shared.database).database
    with TemporaryDirectory() as made:
        file = Path(made, "pgbouncer.ini")
        where = f"host={shared.postgresql.directory} port=5432 user=dserver"
        file.write_text(_PGBOUNCER.format(where=where, port=port))
        options: dict[str, Any] = {"stderr": subprocess.DEVNULL}
        if os.geteuid() == 0:
            # It refuses to be run by root.
            nobody = pwd.getpwnam("nobody")
            options |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (file.parent, file):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        with running([program, str(file)], **options):
            time.sleep(1)
            address = f"dserver@127.0.0.1:{port}/{database}"
            yield f"postgresql+psycopg://{address}?prepare_threshold=none"


def redis(shared: Bench) -> Any:
    """Count what three servers allow within a limit, and what counting costs."""
    program, limit = os.environ.get("REDIS_SERVER"), {"SIGNED_URL_RATE_LIMIT": "1000000 per hour"}
    if program is None:
        return None
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    address = {"SIGNED_URL_RATE_LIMIT_STORAGE": f"redis://127.0.0.1:{port}/0"}
    few = {"SIGNED_URL_RATE_LIMIT": f"{PER_MINUTE} per minute"}
    with ExitStack() as stack:
        server = stack.enter_context(
            running([program, *options], stdout=subprocess.DEVNULL, cwd=shared.directory)
        )
        clusters = {
            "no limit": stack.enter_context(shared.cluster()),
            "in memory": stack.enter_context(shared.cluster(**limit)),
            "in Redis": stack.enter_context(shared.cluster(**limit, **address)),
        }
        found = {"cost": in_turns(clusters)["GET item"]}
        for name, more in (("in memory", {}), ("in Redis", address)):
            with shared.cluster(servers=3, **few, **more) as cluster:
                found[f"allowed, {name}"] = allowed(cluster)
        with shared.cluster(**limit, **address) as cluster:
            act = acts(cluster)["GET item"]
            server.terminate()
            server.wait()
            found["when Redis has died"] = asdict(cluster.run(act, 2.0))
        return found


def allowed(cluster: Cluster) -> int:
    """Return how many of many requests are answered 200 within one minute."""
    # The windows that are counted begin with the minute, so this must not begin late in one.
    second = time.time() % 60
    if second > 40:
        time.sleep(61 - second)
    # Two requests of the deposit, and the others.
    return 2 + cluster.run(acts(cluster)["GET item"], 10.0).done


if __name__ == "__main__":
    main()
