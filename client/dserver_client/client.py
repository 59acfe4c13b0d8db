"""The class ``Client``: deposit, find, fetch, read and share datasets through one dserver."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BufferedReader
from typing import Any

from dserver_client.announcement import Description, default_name
from dserver_client.deposit import deposit
from dserver_client.errors import Refused, UsageError
from dserver_client.fetch import fetch
from dserver_client.http import HTTP
from dserver_client.links import is_link, parse_link
from dserver_client.local_files import find_files, refuse_empty
from dserver_client.local_names import Names
from dserver_client.manifest import select
from dserver_client.progress import Progress
from dserver_client.readable import RegisteredDataset, SharedDataset
from dserver_client.reading import open_item
from dserver_client.server import Server
from dserver_client.server_urls import server_url
from dserver_client.settings import Settings
from dserver_client.state import forget
from dserver_client.tokens import TokenSource
from dserver_client.uris import Address, parse
from dserver_client.values import DatasetEntry, Deposited, Fetched, Share, UploadStatus, Verified
from dserver_client.verify import verify, verify_directory


class Client:
    """A client for one dserver, which threads may share. Use it in ``with``, or ``close`` it.

    Methods accept all URIs that ``dserver_client.uris`` describes, such as
    ``dserver://host/s3/bucket/uuid``, ``s3://bucket/uuid`` or a UUID. ``fetch``, ``open`` and
    ``verify`` also accept the link of a share, from any dserver and without a token.

    :param url: the address of dserver, such as ``https://dserver.example.org/lookup``; by default
        ``DSERVER_URL`` or, if that is not set, the dserver that was logged in to last.
    :param token: a token for it; by default the one in the settings, or that of the login.
    :param settings: by default those of the environment and ``dtool.json``. If given, ``token`` is
        ignored.
    :raises UsageError: if a setting is not valid.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        settings: Settings | None = None,
    ) -> None:
        found = settings or Settings.load(url=url, token=token)
        address = found.url if url is None else server_url(url, protocol=found.protocol)
        self._server: Server | None = None
        if address is not None:
            found = replace(found, url=address, servers=(address, *found.servers))
        self.settings, self.http = found, HTTP(found)
        if address is not None:
            tokens = TokenSource(found, address, self.http)
            self._server = Server(self.http, address, tokens)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    @property
    def server(self) -> Server:
        """The routes of this dserver.

        :raises UsageError: if no dserver is known.
        """
        if self._server is None:
            raise UsageError("No dserver is known: set DSERVER_URL, or log in to one.")
        return self._server

    def datasets(
        self, search: str | None = None, base_uri: str | None = None
    ) -> Iterator[DatasetEntry]:
        """Yield the datasets that may be read, the newest first.

        :param search: words to look for in names, READMEs and so on.
        :param base_uri: yield only the datasets at this base URI.
        """
        base = None if base_uri is None else self.base_uri(base_uri)
        return self.server.datasets(search=search, base_uri=base)

    def deposit(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        base_uri: str,
        *,
        name: str | None = None,
        readme: str | None = None,
        tags: Sequence[str] = (),
        annotations: Mapping[str, Any] | None = None,
        ignore: Sequence[str] = (),
        restart: bool = False,
        progress: Progress | None = None,
        on_registered: Callable[[Deposited], None] | None = None,
    ) -> Deposited:
        """Deposit a directory, or several files and directories, as one dataset.

        After an interruption, the same call resumes, even in another process. After success, it
        deposits another dataset.

        :param paths: relpaths begin below a single directory; each of several files and
            directories keeps its own name.
        :param name: the name of the dataset; by default that of the directory or file.
        :param readme: the README, which dtool expects to be YAML.
        :param annotations: JSON values by name.
        :param ignore: patterns of files to leave out, as in ``.gitignore``.
        :param restart: cancel an interrupted deposit of the same paths, and start again.
        :param on_registered: called with the result before the local record of the deposit is
            deleted.
        :raises UsageError: if there are no files, two would have the same relpath, or there is no
            name.
        :raises LocalFileError: if a file cannot be read; FileChanged, if one changes meanwhile.
        :raises DepositRunning: if another process is depositing the same paths.
        :raises DepositChanged: if the files or their description have changed since the interrupted
            deposit began; DepositDiffers, if a dataset with other contents was registered.
        :raises Refused: if dserver refuses the deposit; StoreRefused, if the store does.
        :raises Unavailable: if dserver or the store cannot be reached.
        """
        given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
        base = self.base_uri(base_uri)
        source = find_files(given, ignore)
        refuse_empty(source, given)
        description = Description(
            name or default_name(given), readme, tags, dict(annotations or {})
        )
        return deposit(
            self.server,
            source,
            base,
            description,
            restart=restart,
            progress=progress,
            on_registered=on_registered,
        )

    def fetch(
        self,
        uri: str,
        dest: str | os.PathLike[str] | None = None,
        *,
        items: Collection[str] | None = None,
        as_dataset: bool = False,
        names: Names = "strict",
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Fetched:
        """Fetch a dataset into a directory, which is created if necessary.

        Existing files with the right size and MD5 are not fetched again. After an interruption,
        the same call resumes.

        :param uri: the dataset, or the link of a share.
        :param dest: by default a directory named after the dataset, in the current directory.
        :param items: relpaths, or patterns for ``fnmatch``; by default all items.
        :param as_dataset: make the directory a dataset that dtool can read, instead of saving the
            items under their relpaths. A link does not give access to what this needs.
        :param names: ``strict`` refuses names that the directory cannot hold, before anything is
            fetched; ``safe`` changes them.
        :param overwrite: replace existing files with different contents, which are an error
            otherwise.
        :raises ClientError: as documented for ``dserver_client.fetch.fetch``.
        """
        return fetch(
            self.dataset(uri),
            dest,
            items=items,
            as_dataset=as_dataset,
            names=names,
            overwrite=overwrite,
            progress=progress,
        )

    def open(self, uri: str, relpath: str) -> BufferedReader:
        """Open an item as a seekable file that fetches only the ranges that are read.

        Two versions of an object are never mixed: if the object in the store is replaced, reading
        raises VerificationFailed.

        :param uri: the dataset, or the link of a share.
        :raises Refused: with status 404 if the dataset has no such item.
        """
        return open_item(self.dataset(uri), relpath)

    def verify(
        self,
        uri: str,
        directory: str | os.PathLike[str] | None = None,
        *,
        full: bool = False,
        names: Names = "strict",
        progress: Progress | None = None,
    ) -> Verified:
        """Check the store, or a directory with the fetched dataset, against the manifest.

        Files in the directory that are not in the manifest are ignored.

        :param uri: the dataset or, with a directory, the link of a share.
        :param full: read all bytes, instead of comparing sizes and the MD5s that the store knows.
        :param names: for a directory, the value with which it was fetched.
        """
        dataset = self.dataset(uri)
        if directory is not None:
            return verify_directory(dataset, directory, full=full, names=names, progress=progress)
        if isinstance(dataset, SharedDataset):
            raise UsageError(
                "Behind a link, only a directory can be verified: each look into the store would "
                "count as a download."
            )
        return verify(dataset, full=full, progress=progress)

    def share(
        self,
        uri: str,
        *,
        items: Collection[str] | None = None,
        expires_in: int | None = None,
        max_downloads: int | None = None,
        note: str | None = None,
    ) -> Share:
        """Create a link to a dataset for people without an account. It is returned only once.

        :param items: relpaths, or patterns for ``fnmatch``; by default all items.
        :param expires_in: seconds; by default dserver's.
        :param max_downloads: how often files can be downloaded with it; by default any number.
        :param note: what it is for. Whoever has the link can read it.
        :raises NotSupported: if this dserver has no links.
        """
        dataset = self.dataset_uri(uri)
        relpaths = None
        if items is not None:
            found = select(RegisteredDataset(self.server, dataset).items(), items)
            relpaths = [item.relpath for item in found]
        return self.server.share(
            dataset, items=relpaths, expires_in=expires_in, max_downloads=max_downloads, note=note
        )

    def status(self, uri: str) -> UploadStatus:
        """Return the progress of a deposit.

        :raises NotSupported: if this dserver has no such route.
        """
        return self.server.status(self.dataset_uri(uri))

    def cancel(self, uri: str) -> None:
        """Cancel a deposit, delete what it has stored, and forget it on this machine.

        :raises NotSupported: if this dserver cannot.
        """
        found = self.dataset_uri(uri)
        self.server.cancel(found)
        forget(self.server.url, found)

    def base_uri(self, text: str) -> str:
        """Return the base URI that an address refers to, such as ``s3://bucket``.

        :raises UsageError: if the address is not a base URI at this dserver.
        """
        address = self._address(text)
        if address.uuid is not None:
            raise UsageError(f"{text} is a dataset, not a base URI.")
        base = address.uri or self.settings.default_base_uri(self.server.url)
        if base is None:
            raise UsageError(f"{text} names no base URI, such as {text.rstrip('/')}/s3/bucket.")
        return base

    def dataset_uri(self, text: str) -> str:
        """Return the storage URI of the dataset that an address refers to.

        A UUID is looked up. If there are several copies, it refers to the one at the default base
        URI.

        :raises UsageError: if the address is not a dataset at this dserver, or if it is ambiguous.
        :raises Refused: with status 404 if dserver does not know the UUID.
        """
        address = self._address(text)
        if address.uuid is None:
            raise UsageError(f"{text} is not a dataset, whose URI ends with a UUID.")
        return address.uri or self._looked_up(address.uuid)

    def dataset(self, text: str) -> RegisteredDataset | SharedDataset:
        """Return the dataset that an address, or the link of a share, refers to.

        :raises: as ``dataset_uri``.
        """
        if is_link(text):
            return SharedDataset(self.http, parse_link(text))
        return RegisteredDataset(self.server, self.dataset_uri(text))

    def _address(self, text: str) -> Address:
        address = parse(text, self.settings)
        if address.server_url != self.server.url:
            raise UsageError(f"{text} is at another dserver than {self.server.url}.")
        return address

    def _looked_up(self, uuid: str) -> str:
        found = [entry.uri for entry in self.server.lookup(uuid)]
        if not found:
            url = self.server.url
            message = f"{url} has no dataset {uuid}, or none that you may read."
            raise Refused(message, 404, "not-found", {})
        default = f"{self.settings.default_base_uri(self.server.url)}/{uuid}"
        if len(found) > 1 and default not in found:
            raise UsageError(f"There are copies of {uuid}: choose one of {', '.join(found)}.")
        return default if default in found else found[0]
