"""One dserver: all of its routes, and those of the signed-URL plugin, that the client uses."""

from __future__ import annotations

from dserver_client.server.capabilities import Capabilities
from dserver_client.server.downloads import Downloads
from dserver_client.server.shares import Shares
from dserver_client.server.uploads import Uploads

__all__ = ["Capabilities", "Server"]


class Server(Uploads, Downloads, Shares):
    """A dserver. Threads may share one."""
