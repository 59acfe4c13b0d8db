"""Store a token for each dserver, in the keyring if there is one or in a private file.

The file also lists the addresses of these dservers and the default one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, util
from pathlib import Path
from typing import Any

from dserver_client.errors import LocalFileError
from dserver_client.file_lock import FileLock, Locked
from dserver_client.private_files import (
    config_directory,
    make_private_directory,
    read_private,
    write_private,
)

_SERVICE = "dserver-client"
_WAIT = 10.0  # seconds for another command that changes the file


class TokenStore:
    """Keeps tokens between commands.

    :param path: the private file; by default in the directory for settings of this person.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_directory() / "tokens.json"

    @property
    def default(self) -> str | None:
        """The address of the dserver that was logged in to last."""
        found: str | None = self._read()["default"]
        return found

    def servers(self) -> list[str]:
        """Return the addresses of the dservers that have been logged in to."""
        return list(self._read()["tokens"])

    def get(self, server_url: str) -> str | None:
        """Return the token for a dserver, or None."""
        tokens = self._read()["tokens"]
        if server_url not in tokens:
            return None
        kept = tokens[server_url]
        return kept if kept is not None else _from_keyring(server_url)

    def put(self, server_url: str, token: str, *, default: bool = False) -> str:
        """Keep a token; return where, for the person: ``"the keyring"`` or the path of the file."""
        with self._locked():
            content = self._read()
            in_keyring = _into_keyring(server_url, token)
            content["tokens"][server_url] = None if in_keyring else token
            if default or content["default"] is None:
                content["default"] = server_url
            self._write(content)
        return "the keyring" if in_keyring else str(self.path)

    def remove(self, server_url: str) -> bool:
        """Forget the token for a dserver; return whether there was one."""
        with self._locked():
            content = self._read()
            if server_url not in content["tokens"]:
                return False
            if content["tokens"].pop(server_url) is None:
                _out_of_keyring(server_url)
            if content["default"] == server_url:
                content["default"] = next(iter(content["tokens"]), None)
            self._write(content)
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one command at a time change the file."""
        make_private_directory(self.path.parent)
        try:
            with FileLock(self.path.with_name("tokens.lock"), _WAIT):
                yield
        except Locked:
            raise LocalFileError(f"Another command is changing {self.path}.") from None
        except OSError as error:
            raise LocalFileError.of(error, self.path) from error

    def _read(self) -> dict[str, Any]:
        content = read_private(self.path)
        if content is None:
            return {"default": None, "tokens": {}}
        try:
            found = json.loads(content)
            return {"default": found["default"], "tokens": dict(found["tokens"])}
        except (ValueError, KeyError, TypeError):
            # Not chained: the message may hold a part of a token.
            sentence = f"{self.path} is damaged: delete it, and log in again."
            raise LocalFileError(sentence) from None

    def _write(self, content: dict[str, Any]) -> None:
        write_private(self.path, json.dumps(content, indent=1).encode())


def _keyring() -> Any:
    """Return the module ``keyring`` if it is installed and has somewhere to keep passwords."""
    if util.find_spec("keyring") is None:
        return None
    keyring = import_module("keyring")
    return keyring if keyring.get_keyring().priority > 0 else None


def _from_keyring(server_url: str) -> str | None:
    keyring = _keyring()
    if keyring is None:
        return None
    try:
        token: str | None = keyring.get_password(_SERVICE, server_url)
    except keyring.errors.KeyringError:
        return None
    return token


def _into_keyring(server_url: str, token: str) -> bool:
    keyring = _keyring()
    if keyring is None:
        return False
    try:
        keyring.set_password(_SERVICE, server_url, token)
    except keyring.errors.KeyringError:
        # A keyring that is locked, or takes no text as long as a token.
        return False
    return True


def _out_of_keyring(server_url: str) -> None:
    keyring = _keyring()
    if keyring is None:
        return
    try:
        keyring.delete_password(_SERVICE, server_url)
    except keyring.errors.KeyringError:
        return
