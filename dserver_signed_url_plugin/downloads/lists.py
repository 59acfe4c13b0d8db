"""Lists of a dataset's items for other programs: what to download, or what to compare.

``curl`` is a configuration file of curl, ``aria2`` an input file of aria2c, ``md5sum`` what
``md5sum -c`` reads, and ``bagit`` the fetch.txt of a bag (RFC 8493, section 2.2.3). No item can
add a line, or a path outside the directory into which the program writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote

from dserver_signed_url_plugin.downloads.local_paths import directories_of, local_path
from dserver_signed_url_plugin.storage.values import Item, SignedItems

ListFormat = Literal["curl", "aria2", "md5sum", "bagit"]
FORMATS: tuple[ListFormat, ...] = get_args(ListFormat)

_MD5 = re.compile(r"[0-9a-f]{32}")
_UNSAFE_IN_URL = re.compile(r'[^!-~]|["\\]')
_QUOTED_BY_CURL = str.maketrans({"\\": r"\\", '"': r"\""})
_CURL_OPTIONS = "create-dirs\nfail\ngloboff\n"


@dataclass(frozen=True)
class _Entry:
    """An item of a list, and the path under which it is saved."""

    item: Item
    path: str
    items: SignedItems

    @property
    def url(self) -> str:
        """Its signed URL, without what would end it, or a line: a broker may return any text."""
        url = self.items[self.item.identifier]
        return _UNSAFE_IN_URL.sub(lambda found: quote(found[0], safe="", errors="replace"), url)

    @property
    def md5(self) -> str | None:
        """Its MD5 in lower case, or None: manifests may hold another hash, or any text."""
        lowered = (self.item.hash or "").lower()
        return lowered if _MD5.fullmatch(lowered) else None


def item_list(list_format: ListFormat, items: SignedItems, title: str) -> Iterator[str]:
    """Yield a list, a few lines at a time; URLs are signed as they are yielded.

    :param title: one line for people, where the format has comments.
    """
    entries, line_of = items.entries, _LINES[list_format]
    directories = directories_of(item.relpath for item in entries.values())
    has_comments = list_format != "bagit"
    if has_comments:
        yield f"# {title}\n"
    if list_format == "curl":
        yield _CURL_OPTIONS
    for item in entries.values():
        path = local_path(item.relpath, directories)
        if has_comments and path != item.relpath:
            yield f"# {json.dumps(item.relpath)} is saved as {path}\n"
        yield line_of(_Entry(item, path, items))


def _curl(entry: _Entry) -> str:
    return f'url = "{entry.url}"\noutput = "{entry.path.translate(_QUOTED_BY_CURL)}"\n'


def _aria2(entry: _Entry) -> str:
    md5 = entry.md5
    checksum = "" if md5 is None else f"  checksum=md5={md5}\n"
    return f"{entry.url}\n  out={entry.path}\n{checksum}"


def _md5sum(entry: _Entry) -> str:
    md5 = entry.md5
    return f"# no MD5 is known of {entry.path}\n" if md5 is None else f"{md5}  {entry.path}\n"


def _fetch_txt(entry: _Entry) -> str:
    size = "-" if entry.item.size_in_bytes is None else entry.item.size_in_bytes
    # The only other characters that RFC 8493 encodes end a line, and no path has them.
    return f"{entry.url} {size} data/{entry.path.replace('%', '%25')}\n"


_LINES: dict[ListFormat, Callable[[_Entry], str]] = {
    "curl": _curl,
    "aria2": _aria2,
    "md5sum": _md5sum,
    "bagit": _fetch_txt,
}
