"""Lists of a dataset's items for other programs: what to download, or what to compare.

``curl`` is a configuration file of curl, ``aria2`` an input file of aria2c, ``md5sum`` what
``md5sum -c`` reads, and ``bagit`` the fetch.txt of a bag (RFC 8493, section 2.2.3). No item can
add a line, or a path outside the directory into which the program writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote

from dserver_signed_url_plugin.downloads.local_paths import local_path
from dserver_signed_url_plugin.storage.values import Item

ListFormat = Literal["curl", "aria2", "md5sum", "bagit"]
FORMATS: tuple[ListFormat, ...] = get_args(ListFormat)

_MD5 = re.compile(r"[0-9a-f]{32}")
_UNSAFE_IN_URL = re.compile(r"[^!-~]")
_QUOTED_BY_CURL = str.maketrans({"\\": r"\\", '"': r"\""})
_CURL_OPTIONS = "create-dirs\nfail\ngloboff\n"


@dataclass(frozen=True)
class _Entry:
    """An item of a list; ``md5`` is None if the manifest holds none."""

    url: str
    path: str
    size_in_bytes: int | None
    md5: str | None


def item_list(
    list_format: ListFormat,
    items: Iterable[tuple[Item, str]],
    directories: Set[str],
    title: str,
) -> Iterator[str]:
    """Yield the lines of a list, each or several of them with their line feeds.

    :param items: each with its signed URL.
    :param directories: what ``directories_of`` returned for all relpaths of the dataset.
    :param title: one line for people, where the format has comments.
    """
    has_comments = list_format != "bagit"
    line_of = _LINES[list_format]
    if has_comments:
        yield f"# {title}\n"
    if list_format == "curl":
        yield _CURL_OPTIONS
    for item, url in items:
        path = local_path(item.relpath, directories)
        if has_comments and path != item.relpath:
            yield f"# {json.dumps(item.relpath)} is saved as {path}\n"
        yield line_of(_Entry(_safe_url(url), path, item.size_in_bytes, _md5(item.hash)))


def _curl(entry: _Entry) -> str:
    return f'url = "{entry.url}"\noutput = "{entry.path.translate(_QUOTED_BY_CURL)}"\n'


def _aria2(entry: _Entry) -> str:
    checksum = f"  checksum=md5={entry.md5}\n" if entry.md5 else ""
    return f"{entry.url}\n  out={entry.path}\n{checksum}"


def _md5sum(entry: _Entry) -> str:
    if entry.md5 is None:
        return f"# no MD5 is known of {entry.path}\n"
    return f"{entry.md5}  {entry.path}\n"


def _fetch_txt(entry: _Entry) -> str:
    size = "-" if entry.size_in_bytes is None else entry.size_in_bytes
    # The only other characters that RFC 8493 encodes end a line, and no path has them.
    return f"{entry.url} {size} data/{entry.path.replace('%', '%25')}\n"


_LINES: dict[ListFormat, Callable[[_Entry], str]] = {
    "curl": _curl,
    "aria2": _aria2,
    "md5sum": _md5sum,
    "bagit": _fetch_txt,
}


def _safe_url(url: str) -> str:
    """Encode what would end a URL, or a line: a broker may return any text."""
    url = _UNSAFE_IN_URL.sub(lambda found: quote(found[0], safe="", errors="replace"), url)
    return url.replace("\\", "%5C").replace('"', "%22")


def _md5(text: str | None) -> str | None:
    """Return an MD5 in lower case; manifests may hold another hash, or any text."""
    lowered = (text or "").lower()
    return lowered if _MD5.fullmatch(lowered) else None
