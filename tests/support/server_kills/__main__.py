"""Kills a server as often as the first argument says, at random requests to the store.

The second argument is a seed, to repeat what was found.
"""

from __future__ import annotations

import os
import random
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from dserver_signed_url_plugin.demo.settings import DataDirectory
from dserver_signed_url_plugin.demo.store import LocalStore, s3_client
from tests.support import postgresql_server
from tests.support.databases import PostgreSQLDatabases
from tests.support.dserver import Bucket, Dserver
from tests.support.server_kills.lab import Lab
from tests.support.server_kills.losses import check

BUCKET = "kills"


def main() -> None:
    """Kill, look for what was lost, and print what happened."""
    kills = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()
    chance = random.Random(seed)  # noqa: S311 (not used for cryptography)
    sys.stdout.write(f"seed {seed}\n")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        # The client keeps its journals there.
        os.environ["XDG_STATE_HOME"] = str(directory)
        store = stack.enter_context(LocalStore())
        store.create_bucket(BUCKET)
        bucket = Bucket(BUCKET, store.endpoint, store.access_key, store.secret_key)
        database = PostgreSQLDatabases(stack.enter_context(postgresql_server.running()))
        settings = DataDirectory.create(directory / "keys").write_settings()
        dserver = Dserver(bucket, {**settings, "SQLALCHEMY_DATABASE_URI": database.create()})
        lab = Lab(dserver, directory)
        with lab.running():
            most = lab.round(0, lambda _request, _number: False, "before")
            while len(lab.outcome.kills) < kills:
                at = chance.randint(1, most)
                when = chance.choice(("before", "after"))
                lab.round(len(lab.outcome.kills), lambda _, number, at=at: number == at, when)
        check(
            dserver, s3_client(bucket.endpoint, bucket.access_key, bucket.secret_key), lab.outcome
        )
    sys.stdout.write(f"{lab.outcome.report()}\n")


if __name__ == "__main__":
    main()
