"""What dtool's commands say of a frozen dataset; in this process, which is much faster."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dtoolcore
import pytest
from click import Group
from click.testing import CliRunner, Result
from dtoolcore.utils import generate_identifier

from tests.support.dserver import Dserver

ITEM = generate_identifier("a.txt")

pytestmark = pytest.mark.usefixtures("as_alice")


@pytest.fixture(scope="module")
def command() -> Any:
    """Return the group of dtool's commands."""
    with warnings.catch_warnings():
        # pkg_resources, and brokers that dtool looks for.
        warnings.simplefilter("ignore")
        from dtool_cli.cli import dtool  # noqa: PLC0415

    return dtool


@pytest.fixture
def dtool(command: Any) -> Callable[..., Result]:
    """Give a command; return its output and exit code."""

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(command, arguments, input=stdin)

    return run


@pytest.fixture(scope="module")
def uri(lab: Dserver, base_uri: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URI of a frozen dataset."""
    directory = tmp_path_factory.mktemp("deposit")
    (directory / "a.txt").write_bytes(b"first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSERVER_TOKEN", lab.tokens["alice"])
        patch.setenv("XDG_STATE_HOME", str(directory / "state"))
        proto = dtoolcore.create_proto_dataset("test", base_uri, "---\nproject: test\n")
        proto.put_item(str(directory / "a.txt"), "a.txt")
        proto.put_tag("first")
        proto.put_annotation("answer", 42)
        proto.add_item_metadata("a.txt", "colour", "red")
        proto.freeze()
    return str(proto.uri)


def names(command: Any, name: str = "") -> Iterator[str]:
    """Yield the full names of all commands below one, but of those that could not be loaded."""
    if isinstance(command, Group):
        for each in command.commands.values():
            yield from names(each, f"{name} {each.name}".strip())
    elif command.callback is not None:
        yield name


def test_every_command_is_documented(command: Any) -> None:
    text = (Path(__file__).parents[3] / "docs" / "client-dtool.rst").read_text(encoding="utf-8")
    found = {name for name in names(command) if not name.startswith(("config", "overlay "))}
    assert len(found) > 25
    # The groups of templates, and a command that is deprecated.
    shortened = {" ".join(name.split()[:2]) for name in found} - {"copy"}
    assert [name for name in sorted(shortened) if f"``{name}``" not in text] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("summary", "URI"), "number_of_items: 1\nsize: 5.0B"),
        (("inventory", "BASE"), "5.0B"),
        (("inventory", "-f", "csv", "BASE"), "test,5,"),
        (("ls", "URI"), f"{ITEM}\ta.txt\n"),
        (("ls", "-v", "BASE"), "test\n  URI\n"),
        (("identifiers", "URI"), f"{ITEM}\n"),
        (("item", "properties", "URI", ITEM), '"size_in_bytes": 5'),
        (("item", "relpath", "URI", ITEM), "a.txt\n"),
        (("item", "overlay", "colour", "URI", ITEM), "red\n"),
        (("item", "fetch", "URI", ITEM), f"{ITEM}.txt\n"),
        (("readme", "show", "URI"), "project: test"),
        (("readme", "validate", "URI"), "All good"),
        (("tag", "ls", "URI"), "first\n"),
        (("annotation", "ls", "URI"), "answer\t42\n"),
        (("annotation", "get", "URI", "answer"), "42\n"),
        (("overlays", "template", "glob", "URI", "is_txt", "*.txt"), f"{ITEM},True,a.txt"),
        (("status", "URI"), "frozen\n"),
        (("name", "URI"), "test\n"),
        (("uri", "URI"), "URI\n"),
        (("uuid", "URI"), "UUID\n"),
        (("verify", "URI"), "All good"),
    ],
)
def test_a_command_that_reads(
    dtool: Callable[..., Result], uri: str, base_uri: str, arguments: tuple[str, ...], said: str
) -> None:
    names = {"BASE": base_uri, "URI": uri, "UUID": uri.rpartition("/")[2]}
    result = dtool(*(names.get(each, each) for each in arguments))
    assert result.exit_code == 0, result.output
    assert said.replace("UUID", names["UUID"]).replace("URI", uri) in result.stdout


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (("tag", "set", "URI", "late"), None),
        (("tag", "delete", "URI", "first"), None),
        (("annotation", "set", "URI", "late", "1"), None),
        (("readme", "write", "URI", "-"), "late: true\n"),
        (("name", "URI", "late"), None),
        (("overlays", "write", "URI", "-"), f"identifiers,late,relpaths\n{ITEM},1,a.txt\n"),
        (("add", "item", __file__, "URI"), None),
        (("freeze", "URI"), None),
    ],
)
def test_a_command_that_would_change_it_is_an_error(
    dtool: Callable[..., Result], uri: str, arguments: tuple[str, ...], stdin: str | None
) -> None:
    result = dtool(*(uri if each == "URI" else each for each in arguments), stdin=stdin)
    assert result.exit_code in (1, 2)
    assert "frozen" in result.stderr
    assert isinstance(result.exception, SystemExit)
    assert dtoolcore.DataSet.from_uri(uri).list_tags() == ["first"]


def test_an_item_is_fetched_into_the_cache_directory_of_dtool(
    dtool: Callable[..., Result], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSERVER_CACHE_DIR", str(tmp_path / "cache"))
    path = Path(dtool("item", "fetch", uri, ITEM).stdout.strip())
    assert path == tmp_path / "cache" / uri.rpartition("/")[2] / f"{ITEM}.txt"
    assert path.read_bytes() == b"first"


def test_the_rest_of_a_complete_copy_is_nothing(
    dtool: Callable[..., Result], base_uri: str, tmp_path: Path
) -> None:
    local = dtoolcore.create_proto_dataset("local", str(tmp_path), "project: test\n")
    local.put_item(__file__, "a.txt")
    local.freeze()
    nothing_begun = dtool("cp", "-q", "--resume", local.uri, base_uri)
    assert nothing_begun.exit_code == 5
    assert "copy it without --resume" in nothing_begun.stderr
    assert dtool("cp", "-q", local.uri, base_uri).exit_code == 0
    complete = dtool("cp", "-q", "--resume", local.uri, base_uri)
    assert complete.exit_code == 0
    assert "nothing is left to be copied" in complete.stdout
    again = dtool("cp", "-q", local.uri, base_uri)
    assert again.exit_code == 2
    assert "already exists" in again.stderr
