"""Reads Compose files as Docker Compose does: variables filled in, and several files merged.

Knows what the files of this repository use. How files are merged:
https://github.com/compose-spec/compose-spec/blob/main/13-merge.md
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
# What COMPOSE_FILE in a new .env names.
FILES = ("docker-compose.yml", "docker/store.yml")

# ${NAME}, ${NAME:-default}, ${NAME-default if unset}, ${NAME:+replacement} and ${NAME:?reason},
# without another one inside.
_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:-|:\?|:\+|-)([^{}]*))?\}")


def image_app() -> str:
    """Return what the image's FLASK_APP is: dserver with the plugins that are installed."""
    [app] = re.findall(r'^ +FLASK_APP="(.+)"$', (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return app


def made_env(path: Path) -> dict[str, str]:
    """Return the variables that docker/make-env.sh makes."""
    subprocess.run([DOCKER / "make-env.sh", path], check=True, stdout=subprocess.DEVNULL)
    return read_env(path)


def read_env(path: Path) -> dict[str, str]:
    """Return the variables that an .env file sets."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def compose_file(
    variables: Mapping[str, str] | None = None, files: Iterable[str] = FILES
) -> dict[str, Any]:
    """Return files merged into one, with their variables filled in if there are any."""
    merged: dict[str, Any] = {}
    for name in files:
        content = _read(name, variables)
        for service in content["services"].values():
            _extend(service, variables)
        merged = _merged_files(merged, content)
    for service in merged["services"].values():
        if "environment" in service:
            service["environment"] = environment(service)
    return merged


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what a service's containers find in their environment."""
    return _by_name(service.get("environment", {}))


def fill_in(text: str, variables: Mapping[str, str]) -> str:
    """Fill in variables as Compose does.

    :raises AssertionError: if one that must be set is not.
    """

    def value(match: re.Match[str]) -> str:
        name, sign, alternative = match.groups()
        is_set = bool(variables.get(name)) or (sign == "-" and name in variables)
        assert is_set or sign != ":?", f"{name} must be set: {alternative}"
        if is_set == (sign == ":+"):
            return alternative or ""
        return variables[name] if is_set else ""

    filled, count = _VARIABLE.subn(value, text)
    return fill_in(filled, variables) if count else filled.replace("$$", "$")


def _read(name: str, variables: Mapping[str, str] | None) -> dict[str, Any]:
    content = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return content if variables is None else _filled_in(content, variables)


def _extend(service: dict[str, Any], variables: Mapping[str, str] | None) -> None:
    """Merge a service into the one that it extends."""
    extended = service.pop("extends", None)
    if extended:
        base = _read(extended["file"], variables)["services"][extended["service"]]
        merged = _merged_services(base, service)
        service.clear()
        service.update(merged)


def _filled_in(content: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(content, dict):
        return {name: _filled_in(value, variables) for name, value in content.items()}
    if isinstance(content, list):
        return [_filled_in(value, variables) for value in content]
    return fill_in(content, variables) if isinstance(content, str) else content


# Merging -----------------------------------------------------------------------------------------


def _merged(earlier: Any, later: Any) -> Any:
    """Return what a later file makes of an earlier one's value: lists grow."""
    if isinstance(earlier, dict) and isinstance(later, dict):
        both = {name: _merged(earlier[name], later[name]) for name in earlier if name in later}
        return {**earlier, **later, **both}
    if isinstance(earlier, list) and isinstance(later, list):
        return earlier + [each for each in later if each not in earlier]
    return later


def _merged_files(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    services = dict(earlier.get("services", {}))
    for name, service in later["services"].items():
        services[name] = _merged_services(services.get(name, {}), service)
    return {**_merged(earlier, later), "services": services}


def _merged_services(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        name: _MERGES.get(name, _merged)(earlier[name], later[name])
        for name in earlier
        if name in later
    }
    return {**earlier, **later, **both}


def _later(_: Any, later: Any) -> Any:
    return later


def _merged_health_checks(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    return {**earlier, **later}


def _by_name(values: Mapping[str, Any] | Iterable[str]) -> dict[str, str]:
    """Return values that may be written as a mapping or as a list of NAME=VALUE."""
    if isinstance(values, Mapping):
        return {name: str(value) for name, value in values.items()}
    return dict(line.split("=", 1) for line in values)


def _merged_by_name(earlier: Any, later: Any) -> dict[str, str]:
    return {**_by_name(earlier), **_by_name(later)}


def _merged_by_target(earlier: list[str], later: list[str]) -> list[str]:
    """Let a volume replace an earlier one of the same path: SOURCE:PATH or SOURCE:PATH:ro."""
    return list({volume.split(":")[1]: volume for volume in [*earlier, *later]}.values())


def _merged_names(earlier: Any, later: Any) -> Any:
    """Merge depends_on or networks, which are lists of names or mappings of them."""
    if isinstance(earlier, list) and isinstance(later, list):
        return _merged(earlier, later)
    return _merged(
        *(each if isinstance(each, dict) else dict.fromkeys(each) for each in (earlier, later))
    )


def _merged_builds(earlier: Any, later: Any) -> dict[str, Any]:
    [earlier, later] = (
        {"context": each} if isinstance(each, str) else each for each in (earlier, later)
    )
    arguments = _merged_by_name(earlier.get("args", {}), later.get("args", {}))
    return {**earlier, **later, "args": arguments}


_MERGES: dict[str, Callable[[Any, Any], Any]] = {
    "command": _later,
    "entrypoint": _later,
    "healthcheck": _merged_health_checks,
    "environment": _merged_by_name,
    "volumes": _merged_by_target,
    "networks": _merged_names,
    "depends_on": _merged_names,
    "build": _merged_builds,
}
