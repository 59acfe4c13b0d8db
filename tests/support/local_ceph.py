"""A Ceph RGW store for the tests: one monitor, one OSD in memory, one gateway, all on 127.0.0.1.

Knows how Ceph is set up from an unpacked root, as anybody, without a service or a container.
Source: Ceph, "Manual Deployment" and "Ceph Object Gateway Config Reference".
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from dserver_signed_url_plugin.demo.processes import SECONDS_TO_START, Child
from dserver_signed_url_plugin.demo.store import HOST, allow_browsers, ensure_bucket, free_port

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v2:{host}:{monitor_port}
public addr = {host}
run dir = {directory}
admin socket =
log file =
plugin dir = {libraries}/ceph
erasure code dir = {libraries}/ceph/erasure-code
osd class dir = {libraries}/rados-classes

# One machine, one user, nothing that has to last: no keys, no copies, no waiting for more changes.
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
osd pool default size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
paxos propose interval = 0.01
paxos min wait = 0.01

[mon]
mon data = {directory}/mon

[osd]
osd data = {directory}/osd
osd objectstore = memstore
memstore device bytes = 4294967296

[client]
rgw data = {directory}/rgw
rgw frontends = beast endpoint={host}:{port}
rgw thread pool size = 64
rgw multipart min part size = 1000
"""


class LocalCeph:
    """The store, from ``with`` to the end of the block.

    :param root: where Ceph's packages are unpacked.
    """

    def __init__(self, root: Path) -> None:
        self._programs = root / "usr" / "bin"
        self._libraries = next(root.glob("usr/lib/*-linux-gnu*"))
        searched = [self._libraries, self._libraries / "ceph", *root.glob("lib/*-linux-gnu*")]
        self._environment = {"LD_LIBRARY_PATH": os.pathsep.join(map(str, searched))}
        self.port = free_port()
        self.endpoint = f"http://{HOST}:{self.port}"
        self.access_key = f"AK{secrets.token_hex(9).upper()}"
        self.secret_key = secrets.token_hex(20)
        self._resources = ExitStack()

    def __enter__(self) -> LocalCeph:
        with ExitStack() as starting:
            scratch = starting.enter_context(TemporaryDirectory(prefix="ceph-"))
            self._directory = Path(scratch)
            self._found_cluster()
            starting.enter_context(self._running("ceph-mon", "--id", "a"))
            # What makes the OSD's data asks the monitor, and waits until it answers.
            self._run("ceph-osd", "--id", "0", "--mkfs", "--osd-uuid", str(uuid4()))
            starting.enter_context(self._running("ceph-osd", "--id", "0"))
            gateway = starting.enter_context(self._running("radosgw", "--name", "client.admin"))
            gateway.wait_until(self._answers, SECONDS_TO_START)
            keys = ("--access-key", self.access_key, "--secret-key", self.secret_key)
            self.admin("user", "create", "--uid", "lab", "--display-name", "lab", *keys)
            self._resources = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def create_bucket(self, name: str) -> None:
        """Create the bucket if it is missing, and let browsers use it."""
        ensure_bucket(self.endpoint, self.access_key, self.secret_key, name)
        allow_browsers(self.endpoint, self.access_key, self.secret_key, name)

    def admin(self, *arguments: str) -> Any:
        """Say something to radosgw-admin; return what it answers."""
        answer = self._run("radosgw-admin", "--name", "client.admin", *arguments)
        return json.loads(answer or "null")

    def write_only_key(self, name: str) -> tuple[str, str]:
        """Make keys that can write, and read nothing; return the access key ID and secret."""
        pair = f"ONLYWRITES{name.upper()}", f"secret-that-only-writes-{name}"
        subuser = ("--subuser", f"lab:{name}")
        self.admin("subuser", "create", "--uid", "lab", *subuser, "--access", "write")
        keys = ("--access-key", pair[0], "--secret-key", pair[1])
        self.admin("key", "create", *subuser, "--key-type", "s3", *keys)
        return pair

    def shell(self, commands: str) -> str:
        """Run commands as an administrator types them; return what they say."""
        programs = self._file("bin")
        programs.mkdir(exist_ok=True)
        admin = shlex.join(self._command("radosgw-admin", ["--name", "client.admin"]))
        (programs / "radosgw-admin").write_text(f'#!/bin/sh\nexec {admin} "$@"\n')
        (programs / "radosgw-admin").chmod(0o755)
        path = f"{programs}{os.pathsep}{os.defpath}"
        done = subprocess.run(
            ["sh", "-ec", commands],
            env={**self._environment, "PATH": path},
            capture_output=True,
            text=True,
            timeout=SECONDS_TO_START,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _found_cluster(self) -> None:
        """Write the configuration, and the first maps of a cluster of one monitor and one OSD."""
        fsid, monitor_port = str(uuid4()), free_port()
        for name in ("mon", "osd", "rgw"):
            (self._directory / name).mkdir()
        self._file("ceph.conf").write_text(
            CONFIGURATION.format(
                fsid=fsid,
                host=HOST,
                port=self.port,
                monitor_port=monitor_port,
                directory=self._directory,
                libraries=self._libraries,
            )
        )
        monitors, osds = str(self._file("monmap")), str(self._file("osdmap"))
        address = f"[v2:{HOST}:{monitor_port}]"
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monitors)
        self._run("osdmaptool", "--createsimple", "1", osds)
        self._run("ceph-mon", "--id", "a", "--mkfs", "--monmap", monitors, "--osdmap", osds)

    def _file(self, name: str) -> Path:
        return self._directory / name

    def _command(self, program: str, arguments: Sequence[str]) -> list[str]:
        return [str(self._programs / program), "--conf", str(self._file("ceph.conf")), *arguments]

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            self._command(program, arguments),
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_TO_START,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"
        return done.stdout

    def _running(self, program: str, *arguments: str) -> Child:
        command = self._command(program, [*arguments, "--foreground"])
        return Child(program, command, self._environment, self._file(f"{program}.log"))

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=5).close()
        except OSError:
            return False
        return True
