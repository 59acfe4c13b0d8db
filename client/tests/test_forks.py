"""A process that forks, such as one that loads data in several: parent and child share nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")

REQUESTS = """
import os, sys
from dserver_client.http import HTTP

http = HTTP()

def connection():
    return http.request("GET", sys.argv[1]).data.decode()

before = connection()
child = os.fork()
if child == 0:
    print("child", before, connection(), flush=True)
    http.close()
    os._exit(0)
os.waitpid(child, 0)
print("parent", before, connection())
"""

LOCK = """
import os, threading
from dserver_client.process_lock import ProcessLock

lock, is_held, is_over = ProcessLock(), threading.Event(), threading.Event()

def hold():
    with lock:
        is_held.set()
        is_over.wait()

threading.Thread(target=hold).start()
is_held.wait()
child = os.fork()
if child == 0:
    with lock:
        os._exit(0)
is_over.set()
os.waitpid(child, 0)
"""


class _Handler(BaseHTTPRequestHandler):
    """Answers with the port at the other end of the connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = str(self.client_address[1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(script, *arguments):
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_a_child_has_connections_of_its_own(url):
    child, parent = (line.split() for line in run(REQUESTS, url).splitlines())
    assert child[0] == "child"
    assert child[1] != child[2]
    assert parent[1] == parent[2]


def test_a_lock_that_another_thread_holds_is_free_in_a_child():
    run(LOCK)
