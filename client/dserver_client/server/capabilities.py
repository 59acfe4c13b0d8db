"""Find out what a dserver can do from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What the reference implementation takes in an announcement, and in an item of it.
_ANNOUNCEMENT = frozenset(
    {
        "uuid",
        "name",
        "items",
        "creator_username",
        "frozen_at",
        "hash_function",
        "tags",
        "annotations",
        "overlays",
    }
)


@dataclass(frozen=True)
class Capabilities:
    """Which routes a dserver has, and which fields they take.

    ``announcement_fields`` are those of an announcement; others must not be sent. ``pages`` is
    whether URLs of a dataset come in pages, ``wait`` whether a completion answers in between.
    """

    signs: bool = True
    status: bool = False
    cancel: bool = False
    parts: bool = False
    items: bool = False
    pages: bool = False
    wait: bool = False
    shares: bool = False
    write_readme: bool = False
    write_tags: bool = False
    write_annotations: bool = False
    announcement_fields: frozenset[str] = _ANNOUNCEMENT

    @classmethod
    def of_plugin(cls) -> Capabilities:
        """Return what every dserver with this project's plugin can do."""
        fields = _ANNOUNCEMENT | {"upload_headers", "multipart", "expiry_seconds"}
        return cls(
            status=True,
            cancel=True,
            parts=True,
            items=True,
            pages=True,
            wait=True,
            shares=True,
            announcement_fields=fields,
        )

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Capabilities:
        """Return what an OpenAPI document (version 3) says."""
        api = _Document(document)
        announced = api.body_fields("post", "/signed-urls/upload/{}")
        read = api.operation("get", "/signed-urls/dataset/{}")
        return cls(
            signs=read is not None,
            status=api.has("get", "/signed-urls/upload/{}"),
            cancel=api.has("delete", "/signed-urls/upload/{}"),
            parts=api.has("post", "/signed-urls/parts/{}/{}") and "multipart" in announced,
            items=api.has("post", "/signed-urls/items/{}"),
            pages="page_size" in api.parameters(read),
            wait="wait_seconds" in api.body_fields("post", "/signed-urls/upload-complete"),
            shares=api.has("post", "/signed-urls/shares/{}"),
            write_readme=api.has("put", "/readmes/{}"),
            write_tags=api.has("put", "/tags/{}"),
            write_annotations=api.has("put", "/annotations/{}/{}"),
            announcement_fields=announced or _ANNOUNCEMENT,
        )


class _Document:
    """An OpenAPI document; what is missing or of another shape counts as not there."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        # The names of path parameters do not count.
        self._paths = {
            "/".join("{}" if each.startswith("{") else each for each in path.split("/")): item
            for path, item in _mapping(document.get("paths")).items()
        }

    def operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        item = _mapping(self._paths.get(path))
        return _mapping(item[method]) if method in item else None

    def has(self, method: str, path: str) -> bool:
        return self.operation(method, path) is not None

    def body_fields(self, method: str, path: str) -> frozenset[str]:
        body = self._resolved((self.operation(method, path) or {}).get("requestBody"))
        content = _mapping(_mapping(body.get("content")).get("application/json"))
        return frozenset(_mapping(self._resolved(content.get("schema")).get("properties")))

    def parameters(self, operation: Mapping[str, Any] | None) -> frozenset[str]:
        """Return the names of the parameters of a route."""
        found = (operation or {}).get("parameters")
        listed = found if isinstance(found, list) else []
        return frozenset(str(self._resolved(each).get("name")) for each in listed)

    def _resolved(self, value: Any) -> Mapping[str, Any]:
        """Follow a reference inside the document."""
        found: Any = _mapping(value)
        if isinstance(reference := found.get("$ref"), str):
            found = self._document
            for name in reference.removeprefix("#/").split("/"):
                found = _mapping(found).get(name)
        return _mapping(found)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
