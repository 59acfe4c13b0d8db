"""Looks up settings in Flask's config, then in the environment, and parses the value of each."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dserver_signed_url_plugin import environment
from dserver_signed_url_plugin.addresses import web_address
from dserver_signed_url_plugin.errors import ConfigurationError

# The default path of dtool's configuration file.
DTOOLS_FILE = "~/.config/dtool/dtool.json"
# The most that a number may be without a limit of its own. Ten times as much is an integer of any
# database.
MAX_NUMBER = 10**17

Source = Mapping[str, Any]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HostRewrite:
    """``SIGNED_URL_HOST_REWRITE``: URLs are signed for ``external`` instead of ``internal``."""

    internal: str
    external: str


class ConfigSources:
    """Looks up variables in Flask's config, then in the environment.

    The methods raise ConfigurationError if a value is invalid; the message names the variable.
    """

    def __init__(self, config: Source, environ: Source) -> None:
        self._config, self._environ = config, environ
        self._known: set[str] = set()

    def text(self, name: str) -> str | None:
        return (self._value(name) or "").strip() or None

    def _value(self, name: str) -> str | None:
        self._known.add(name)
        value = self._config.get(name)
        if value is None:
            value = self._environ.get(name)
        return None if value is None or value == "" else str(value)

    def number(self, name: str, default: int, least: int = 1, most: int = MAX_NUMBER) -> int:
        text = self._value(name)
        if text is None:
            return default
        try:
            value = int(text)
        except ValueError:
            value = -1
        if value < least:
            raise ConfigurationError(
                name, f"must be a whole number of at least {least}, not {text!r}."
            )
        if value > most:
            raise ConfigurationError(name, f"must be at most {most}.")
        return value

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        """Return a variable, also by its name in upper case, if its value is one of ``allowed``."""
        for spelled in (name, name.upper()):
            text = self.text(spelled)
            if text is not None:
                return _choice(spelled, text, allowed)
        return None

    def choices(self, prefix: str, allowed: Collection[str]) -> dict[str, str]:
        """Return all variables that start with a prefix, by the rest of their names.

        One in Flask's config, also in upper case, takes precedence over the environment.
        """
        found: dict[str, str] = {}
        for source in (self._environ, self._config):
            named = {name for name in source if isinstance(name, str) and name.startswith(prefix)}
            self._known |= named
            here = {
                name.removeprefix(prefix): _choice(name, source[name], allowed)
                for name in named
                if str(source[name] or "").strip()
            }
            replaced = {name.upper() for name in here}
            found = {name: found[name] for name in found if name.upper() not in replaced} | here
        return found

    def warn_of_unknown(self, prefix: str) -> None:
        """Log each name with a prefix that has not been looked up: it is misspelt, or outdated."""
        names = {name for name in (*self._config, *self._environ) if isinstance(name, str)}
        for name in sorted(names - self._known):
            if name.startswith(prefix):
                logger.warning("%s is ignored: this version has no such setting.", name)

    def config_path(self) -> str | None:
        name = "DTOOL_CONFIG_PATH"
        text = self.text(name)
        if text is None:
            _check_dtools_file()
            return None
        try:
            content = json.loads(Path(text).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(name, f"must name a readable JSON file: {text!r}.") from error
        if not isinstance(content, dict):
            raise ConfigurationError(name, "must name a file that holds one JSON object.")
        environment.check(content)
        return text

    def host_rewrite(self) -> HostRewrite | None:
        name = "SIGNED_URL_HOST_REWRITE"
        text = self.text(name)
        if text is None:
            return None
        internal, bar, external = (part.strip() for part in text.partition("|"))
        if not (internal and bar and external) or "|" in external:
            raise ConfigurationError(
                name, f"must read internal|external, as in minio:9000|s3.example.org: {text!r}."
            )
        if web_address(external if "://" in external else f"https://{external}") is None:
            raise ConfigurationError(name, f"names {external!r}, which is not a host or URL.")
        inner = internal.rpartition("://")[2]
        if web_address(f"http://{inner}", underscores=True) is None:
            raise ConfigurationError(name, f"names {internal!r}, which is not a host.")
        return HostRewrite(internal.rstrip("/"), external.rstrip("/"))

    def public_url(self) -> str | None:
        """Return the address of dserver as people use it, without a trailing slash."""
        name = "SIGNED_URL_PUBLIC_URL"
        text = self.text(name)
        if text is None:
            return None
        address = web_address(text, underscores=True)
        if address is None:
            raise ConfigurationError(
                name, "must be an http or https URL such as https://dserver.example.org."
            )
        return address

    def dtool_settings(self) -> dict[str, str]:
        """Return dtool's variables in Flask's config; dtool itself reads the environment."""
        environment.check(self._environ)
        environment.check({name: str(value or "") for name, value in self._config.items()})
        return {
            name: str(value).strip()
            for name, value in self._config.items()
            if isinstance(name, str) and name.startswith("DTOOL_") and value is not None
        }


def _choice(name: str, value: object, allowed: Collection[str]) -> str:
    text = str(value).strip()
    if text not in allowed:
        raise ConfigurationError(name, f"must be {' or '.join(allowed)}, not {text!r}.")
    return text


def _check_dtools_file() -> None:
    """Validate dtool's configuration file, if it exists; invalid JSON is reported on first use."""
    with suppress(OSError, ValueError, RuntimeError):
        content = json.loads(Path(DTOOLS_FILE).expanduser().read_text(encoding="utf-8"))
        if isinstance(content, dict):
            environment.check(content)
