"""What a person says about a dataset: name, README, tags, annotations, from options or a template.

A template is YAML, with any of ``name``, ``readme`` (text, or a mapping, which becomes YAML),
``readme_file`` (relative to the template), ``tags``, ``annotations`` and ``ignore``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from dserver_client.errors import LocalFileError, UsageError

_FIELDS = ("name", "readme", "readme_file", "tags", "annotations", "ignore")


@dataclass(frozen=True)
class Description:
    """What is deposited beside the files; ``ignore`` holds patterns of files that are left out."""

    name: str | None = None
    readme: str | None = None
    tags: list[str] = field(default_factory=list)
    annotations: dict[str, object] = field(default_factory=dict)
    ignore: list[str] = field(default_factory=list)

    def with_options(
        self,
        *,
        name: str | None,
        readme: Path | None,
        tags: tuple[str, ...],
        annotations: tuple[str, ...],
        ignore: tuple[str, ...],
    ) -> Description:
        """Return this with options: a name and a README replace, the others are added."""
        if name is not None and not name.strip():
            raise UsageError("--name is empty.")
        return replace(
            self,
            name=name or self.name,
            readme=self.readme if readme is None else _checked_readme(readme),
            tags=[*dict.fromkeys([*self.tags, *tags])],
            annotations={**self.annotations, **dict(map(_annotation, annotations))},
            ignore=[*self.ignore, *ignore],
        )


def read_template(path: Path) -> Description:
    """Return what a template says; raise `UsageError` if it is not as described above."""
    content = _parsed(path, read_text(path))
    if content is None:
        return Description()
    if not isinstance(content, dict):
        raise UsageError(f"{path}: a template is a YAML mapping of {', '.join(_FIELDS)}.")
    unknown = [str(key) for key in content if key not in _FIELDS]
    if unknown:
        raise UsageError(
            f"{path}: {', '.join(unknown)} is unknown; a template has {', '.join(_FIELDS)}."
        )
    return Description(
        name=_text(path, content, "name"),
        readme=_readme(path, content),
        tags=_texts(path, content, "tags"),
        annotations=_annotations(path, content),
        ignore=_texts(path, content, "ignore"),
    )


def read_text(path: Path) -> str:
    """Return a file in UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LocalFileError(f"{path} is not text in UTF-8.") from error
    except OSError as error:
        raise LocalFileError.of(error, path) from error


def _checked_readme(path: Path) -> str:
    """Return a README; raise `UsageError` if its name says that it is YAML, and it is not."""
    text = read_text(path)
    if path.suffix.lower() in (".yml", ".yaml"):
        _parsed(path, text)
    return text


def _parsed(path: Path, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        problem = getattr(error, "problem", None) or "not YAML"
        raise UsageError(f"{path}{line}: {problem}.") from error


def _text(path: Path, content: dict[str, Any], key: str) -> str | None:
    value = content.get(key)
    if value is None or isinstance(value, str):
        return value
    raise UsageError(f"{path}: '{key}' is text.")


def _texts(path: Path, content: dict[str, Any], key: str) -> list[str]:
    value = content.get(key)
    if value is None:
        return []
    if isinstance(value, list) and not any(isinstance(each, dict | list | bool) for each in value):
        return [str(each) for each in value]
    raise UsageError(f"{path}: '{key}' is a list of texts.")


def _annotations(path: Path, content: dict[str, Any]) -> dict[str, object]:
    value = content.get("annotations")
    if value is None:
        return {}
    if isinstance(value, dict):
        # YAML has dates, JSON has not.
        plain = json.loads(json.dumps(value, default=str))
        return {str(key): each for key, each in plain.items()}
    raise UsageError(f"{path}: 'annotations' is a mapping of names to values.")


def _readme(path: Path, content: dict[str, Any]) -> str | None:
    value, file = content.get("readme"), _text(path, content, "readme_file")
    if value is not None and file is not None:
        raise UsageError(f"{path}: a template has 'readme' or 'readme_file', not both.")
    if file is not None:
        return _checked_readme(path.parent / file)
    if isinstance(value, dict):
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, explicit_start=True)
        return str(text)
    return _text(path, content, "readme")


def _annotation(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"--annotation {text}: it is written KEY=VALUE.")
    return name, value
