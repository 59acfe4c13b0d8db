"""dserver behind a real HTTP server, for clients that are not Flask's test client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.serving import make_server

from tests.support.dserver import Dserver


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an app of Flask or WSGI on this machine; yield http://host:port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def at_public_address(
    make_dserver: Callable[..., Dserver], **settings: Any
) -> Iterator[tuple[Dserver, str]]:
    """Serve a dserver that knows the address at which it is served; yield both."""
    made: list[Dserver] = []

    def app(*request: Any) -> Any:
        return made[0].app(*request)

    # Its address has to be known before it is made.
    with serving(app) as address:
        made.append(make_dserver(SIGNED_URL_PUBLIC_URL=address, **settings))
        yield made[0], address
