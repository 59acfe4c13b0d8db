"""What every command is given: settings, the dserver that is meant, and where its result goes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property

from dserver_client.cli.output import Output
from dserver_client.client import Client
from dserver_client.display.progress_bar import ProgressBar
from dserver_client.errors import UsageError
from dserver_client.links import is_link
from dserver_client.progress import NoProgress, Progress
from dserver_client.settings import Settings
from dserver_client.uris import parse


class Session:
    """The common options of a command, and what follows from them."""

    def __init__(self, *, server: str | None, as_json: bool) -> None:
        self._server = server
        self._clients = ExitStack()
        self.output = Output(as_json=as_json)

    @cached_property
    def settings(self) -> Settings:
        """The settings of this person."""
        return Settings.load(url=self._server)

    def client(self, uri: str | None = None) -> Client:
        """Return a client for the dserver that a URI names, or else for that of the settings.

        With the link of a share, there need not be one.
        """
        settings = self.settings
        if uri is not None and is_link(uri):
            return self._clients.enter_context(Client(settings=settings))
        if uri is not None:
            settings = replace(settings, url=parse(uri, settings).server_url)
        if settings.url is None:
            raise UsageError(
                "Which dserver? Log in to one with `dserver login URL`, or set DSERVER_URL."
            )
        return self._clients.enter_context(Client(settings=settings))

    def names_only_a_server(self, uri: str) -> bool:
        """Return whether a URI names a dserver, and nothing there."""
        address = parse(uri, self.settings)
        return address.uri is None and address.uuid is None

    def progress(self, *, quiet: bool) -> Progress:
        """Return what shows a transfer."""
        return NoProgress() if quiet else ProgressBar()

    def close(self) -> None:
        """Close the connections of its clients."""
        self._clients.close()
