"""The command that deposits files as a dataset."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.description import Description, read_template
from dserver_client.cli.interruption import resumable
from dserver_client.cli.session import Session
from dserver_client.client import Client
from dserver_client.display.formats import count_text, size_text, table
from dserver_client.errors import LocalFileError, Refused, UsageError
from dserver_client.local_files import find_files, refuse_empty
from dserver_client.server.refusals import not_permitted
from dserver_client.values import Deposited

_RENAME = "Rename it, or leave it out with --ignore."
_DRIVE = re.compile(r"[A-Za-z]:")
_RESUMES = "What is stored is kept: the same command resumes the deposit."


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="DIR|FILE... [BASE_URI]")
@click.option("--name", help="Name of the dataset.  [default: that of the directory or file]")
@click.option(
    "--readme",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with the README, usually YAML.",
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag; may be repeated.")
@click.option(
    "--annotation",
    "annotations",
    multiple=True,
    metavar="KEY=VALUE",
    help="An annotation, whose value is text; may be repeated.",
)
@click.option(
    "--template",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A YAML file with any of: name, readme or readme_file, tags, annotations, ignore. "
    "A name or README given by an option replaces its own.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="PATTERN",
    help="Leave out files, by a pattern as in .gitignore, such as 'cache/'; may be repeated.",
)
@click.option(
    "--restart",
    is_flag=True,
    help="Cancel an unfinished deposit of these files, delete what it has stored, and begin anew.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be deposited, and deposit nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show neither progress nor a summary.")
@command_options
def put(
    session: Session,
    *,
    paths: tuple[str, ...],
    template: Path | None,
    restart: bool,
    dry_run: bool,
    quiet: bool,
    **described: Any,
) -> None:
    """Deposit files as a dataset.

    Name a directory, or several files and directories. BASE_URI says where to deposit, such as
    s3://lab or dserver://host/s3/lab; leave it out if you may deposit in one place only. Symbolic
    links are followed, hidden files are included. The dataset is registered when all files are
    stored and verified, and its URI is printed. After an interruption, the same command resumes;
    if files or options have changed, it is refused unless --restart is given. After success, it
    deposits the files once more, as another dataset.
    """
    local, base_uri = _split(paths)
    given = Description() if template is None else read_template(template)
    description = given.with_options(**described)
    client = session.client(base_uri)
    base_uri = _permitted_base_uri(client, base_uri)
    if dry_run:
        _show(session, local, base_uri, description)
        return

    def show(deposited: Deposited) -> None:
        # What a script needs is alone on standard output.
        if not (quiet or session.output.as_json):
            session.output.message(_summary(deposited))
        session.output.result(deposited, deposited.uri)

    with resumable(_RESUMES), _refused_names():
        client.deposit(
            local,
            base_uri,
            **vars(description),
            restart=restart,
            progress=session.progress(quiet=quiet),
            # Before it is forgotten here: a dataset whose URI nobody saw is not deposited twice.
            on_registered=show,
        )


@contextmanager
def _refused_names() -> Iterator[None]:
    """Say what to do about a name that dserver refuses."""
    try:
        yield
    except Refused as refused:
        found = re.fullmatch(r"items\.[0-9]+\.relpath: (.*)", str(refused), re.DOTALL)
        if found:
            refused.args = (f"dserver refuses a file: {found[1]} {_RENAME}",)
        raise


def _doubtful(relpaths: Iterable[str]) -> list[str]:
    """Return the relpaths that dserver may refuse, because Windows takes a part for a drive."""
    return [
        relpath
        for relpath in relpaths
        if relpath.startswith("\\")
        or any(_DRIVE.match(part) or part.rstrip() == ".." for part in re.split(r"[/\\]", relpath))
    ]


def _split(paths: tuple[str, ...]) -> tuple[list[str], str | None]:
    """Return the files and directories, and the base URI if there is one."""
    *before, last = paths
    if "://" not in last:
        if before and not os.path.lexists(last):
            hint = "" if "/" in last else f" If it is a base URI, write s3://{last}."
            raise LocalFileError(f"{last}: no such file or directory.{hint}")
        return list(paths), None
    if not before:
        raise UsageError("What is to be deposited? Name a directory or files before the base URI.")
    return before, last


def _permitted_base_uri(client: Client, text: str | None) -> str:
    """Return where to deposit: as named, by default, or in the only place.

    :raises Refused: if that is not permitted, before any file is read.
    """
    default = client.settings.default_base_uri(client.server.url)
    named = text or default
    base_uri = None if named is None else client.base_uri(named)
    user = client.server.whoami()
    permitted = user.register_base_uris
    if base_uri is None:
        if len(permitted) == 1:
            return permitted[0]
        if permitted:
            raise UsageError(f"Where to? You may deposit at {', '.join(permitted)}: name one.")
        raise UsageError(f"{user.username} may deposit nowhere at {client.server.url}.")
    if base_uri not in permitted:
        raise not_permitted(user, "deposit", base_uri)
    return base_uri


def _show(session: Session, local: list[str], base_uri: str, description: Description) -> None:
    """Show what would be deposited."""
    source = find_files(local, description.ignore)
    refuse_empty(source, local)
    files = [
        {"relpath": each.relpath, "size_in_bytes": each.size_in_bytes} for each in source.files
    ]
    rows = [(size_text(each.size_in_bytes), each.relpath) for each in source.files]
    total = f"{count_text(len(files), 'file')}, {size_text(source.size_in_bytes)}"
    doubtful = _doubtful(each.relpath for each in source.files)
    for relpath in doubtful:
        session.output.message(
            f"dserver may refuse {relpath!r}, a part of which Windows takes for a drive or a path. "
            f"{_RENAME}"
        )
    session.output.result(
        {
            "dry_run": True,
            "base_uri": base_uri,
            "name": description.name,
            "tags": description.tags,
            "annotations": description.annotations,
            "size_in_bytes": source.size_in_bytes,
            "items": files,
            "names_that_may_be_refused": doubtful,
        },
        "\n".join([*([table(rows)] if rows else []), f"{total} would be deposited at {base_uri}."]),
    )


def _summary(deposited: Deposited) -> str:
    total = f"{count_text(deposited.items, 'file')}, {size_text(deposited.size_in_bytes)}"
    before = deposited.size_in_bytes - deposited.sent_in_bytes
    stored = f"; {size_text(before)} were already stored" if before > 0 else ""
    return f"{deposited.name}: {total}, registered{stored}."
