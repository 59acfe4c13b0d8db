"""Lists of a dataset's items for other programs: what to download, or what to compare.

``curl`` is a configuration file of curl, ``aria2`` an input file of aria2c, ``md5sum`` what
``md5sum -c`` reads, ``bagit`` the fetch.txt of a bag (RFC 8493, section 2.2.3), and ``urls`` an
input file of wget. No item can add a line, or a path outside the directory into which the program
writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Literal
from urllib.parse import quote

from dserver_signed_url_plugin.downloads.local_paths import directories_of, local_path
from dserver_signed_url_plugin.storage.values import Item, SignedItems, as_md5

ListFormat = Literal["curl", "aria2", "md5sum", "bagit", "urls"]
FORMATS: tuple[ListFormat, ...] = ("curl", "aria2", "md5sum", "bagit")
# Of links, each of which redirects to a signed URL.
LINK_FORMATS: tuple[ListFormat, ...] = ("curl", "aria2", "md5sum", "urls")

_URL = re.compile(r"[!#-\[\]-~]*")
_UNSAFE_IN_URL = re.compile(r'[^!-~]|["\\]')
_QUOTED_BY_CURL = str.maketrans({"\\": r"\\", '"': r"\""})
_CURL_OPTIONS = "create-dirs\nfail\ngloboff\n"
# Repeated is what the server has no time for at the moment, such as 429 with Retry-After.
_CURL_OPTIONS_FOR_LINKS = "location\nretry = 8\n"
_WITHOUT_COMMENTS = ("bagit", "urls")


def item_list(
    list_format: ListFormat, items: SignedItems, title: str, *, are_links: bool = False
) -> Iterator[str]:
    """Yield a list, a few lines at a time; URLs are signed as they are yielded.

    :param title: for people, where the format has comments; written in one line, as JSON if it has
        characters that cannot be printed.
    :param are_links: whether the URLs are those of a share, which redirect to signed ones.
    """
    entries, line_of = items.entries, _LINES[list_format]
    directories = directories_of(item.relpath for item in entries.values())
    has_comments = list_format not in _WITHOUT_COMMENTS
    if has_comments:
        # A title may hold the name of a dataset, which dserver accepts as it is.
        yield f"# {title if title.isprintable() else json.dumps(title)}\n"
    if list_format == "curl":
        yield _CURL_OPTIONS + (_CURL_OPTIONS_FOR_LINKS if are_links else "")
    for item in entries.values():
        path = local_path(item.relpath, directories)
        if has_comments and path != item.relpath:
            yield f"# {json.dumps(item.relpath)} is saved as {path}\n"
        yield line_of(item, path, items)


def _curl(item: Item, path: str, items: SignedItems) -> str:
    return f'url = "{_url(item, items)}"\noutput = "{path.translate(_QUOTED_BY_CURL)}"\n'


def _aria2(item: Item, path: str, items: SignedItems) -> str:
    md5 = as_md5(item.hash)
    checksum = "" if md5 is None else f"  checksum=md5={md5}\n"
    return f"{_url(item, items)}\n  out={path}\n{checksum}"


def _md5sum(item: Item, path: str, _: SignedItems) -> str:
    md5 = as_md5(item.hash)
    return f"# no MD5 is known of {path}\n" if md5 is None else f"{md5}  {path}\n"


def _fetch_txt(item: Item, path: str, items: SignedItems) -> str:
    size = "-" if item.size_in_bytes is None else item.size_in_bytes
    # The only other characters that RFC 8493 encodes end a line, and no path has them.
    return f"{_url(item, items)} {size} data/{path.replace('%', '%25')}\n"


def _bare_url(item: Item, _: str, items: SignedItems) -> str:
    return f"{_url(item, items)}\n"


_LINES: dict[ListFormat, Callable[[Item, str, SignedItems], str]] = {
    "curl": _curl,
    "aria2": _aria2,
    "md5sum": _md5sum,
    "bagit": _fetch_txt,
    "urls": _bare_url,
}


def _url(item: Item, items: SignedItems) -> str:
    return encoded_url(items.sign(item))


def encoded_url(url: str) -> str:
    """Return a URL without what would end it, or a line: a broker may return any text."""
    if _URL.fullmatch(url):
        return url
    return _UNSAFE_IN_URL.sub(lambda found: quote(found[0], safe="", errors="replace"), url)
