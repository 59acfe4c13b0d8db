"""Search plugins that do not take a dataset, around the one that dserver has."""

from __future__ import annotations

from typing import Any


class Index:
    """A search plugin that takes no dataset while it is away."""

    def __init__(self, plugin: Any) -> None:
        self._plugin = plugin
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plugin, name)

    def register_dataset(self, info: Any) -> None:
        if self.is_away:
            raise RuntimeError("The index is away.")
        self._plugin.register_dataset(info)


class Refuses:
    """A search plugin that refuses every dataset with an error."""

    def __init__(self, plugin: Any, error: Exception) -> None:
        self._plugin, self._error = plugin, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plugin, name)

    def register_dataset(self, info: Any) -> None:
        raise self._error
