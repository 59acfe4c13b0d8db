"""Under which name, and as what, a browser saves or shows an item.

Knows headers and file names; never looks into a file, nor into the machine's table of types.

Sources: RFC 6266 (Content-Disposition), RFC 8187 (``filename*``), and for what is no part of a name
what browsers themselves replace when they save.
"""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from dataclasses import dataclass
from posixpath import splitext
from typing import Literal
from urllib.parse import quote

Disposition = Literal["attachment", "inline"]

_LONGEST_NAME = 255  # bytes of UTF-8; what file systems take
_LONGEST_ENDING = 32  # bytes; what follows the last dot of a longer one is no ending
_UNNAMED = "unnamed"
# Dots and blanks, of which U+3000 is the last: systems drop some, readers of headers others.
_AT_NO_END = "." + "".join(filter(str.isspace, map(chr, range(0x3001))))
_JOINERS = "\u200c\u200d"  # within emoji, and within words of several scripts
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, marks of direction, half characters
# What Windows has in no name, but for the quotation mark, which browsers replace by themselves.
_NOT_ON_WINDOWS = str.maketrans(dict.fromkeys("\\:<>|?*", "_"))
_RESERVED = re.compile(  # by Windows, with any ending
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|$)", re.IGNORECASE
)
# A percent sign too, because some browsers decode the plain form as if it were a URL.
_NOT_PLAIN = re.compile(r'[^ -~]|["%/\\]')

_common, _standard = mimetypes.MimeTypes(filenames=()).types_map
_TYPES = {
    **_common,
    **_standard,
    ".7z": "application/x-7z-compressed",
    ".bz2": "application/x-bzip2",
    ".gz": "application/gzip",
    ".geojson": "application/geo+json",
    ".ipynb": "application/x-ipynb+json",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".tgz": "application/gzip",
    ".toml": "application/toml",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zst": "application/zstd",
}
_BYTES = "application/octet-stream"
_SHOWN = re.compile(r"image/(?!.*xml)|audio/|video/|application/(?:json|pdf)$")
_TEXT = re.compile(r"text/|.*[/+](?:xml|yaml|toml|(?:x-)?javascript)$")


@dataclass(frozen=True)
class ServedAs:
    """Headers of an answer: Content-Disposition and Content-Type, both printable ASCII."""

    content_disposition: str
    content_type: str


def served_as(relpath: str, disposition: Disposition) -> ServedAs:
    """Return the headers with which an item is to be served, whatever its relpath is."""
    name = file_name(relpath)
    plain = file_name(_plain(name))
    return ServedAs(
        f"{disposition}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        _content_type(name, disposition),
    )


def file_name(relpath: str) -> str:
    """Return the last part of a relpath, as far as it can be a file's name anywhere.

    At most 255 bytes of UTF-8 long, its ending kept. Never hidden, never a directory's or a
    device's, and never one that reads otherwise than it is written. Quotation marks stay.
    """
    name = relpath.rpartition("/")[2].translate(_NOT_ON_WINDOWS)
    if not name.isprintable():
        name = "".join(character if _is_fit(character) else "_" for character in name)
    name = name.lstrip().rstrip(_AT_NO_END) or _UNNAMED
    if name.startswith("."):
        name = f"_{name.lstrip('.')}"
    name = _shortened(name)
    # What is left of a longer one may be a device's.
    return _shortened(f"_{name}") if _RESERVED.match(name) else name


def _is_fit(character: str) -> bool:
    return unicodedata.category(character) not in _UNFIT or character in _JOINERS


def _shortened(name: str) -> str:
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    ending = splitext(name)[1].encode()
    if len(ending) > _LONGEST_ENDING:
        ending = b""
    stem = name.encode()[: _LONGEST_NAME - len(ending)]
    # What is left of a character that was cut is ignored.
    return stem.decode(errors="ignore").rstrip(_AT_NO_END) + ending.decode()


def _plain(name: str) -> str:
    """Return a name for those who read ASCII only: letters without accents, else underscores."""
    if not name.isascii():
        parts = unicodedata.normalize("NFKD", name)
        name = "".join(part for part in parts if not unicodedata.combining(part))
    return _NOT_PLAIN.sub("_", name)


def _content_type(name: str, disposition: Disposition) -> str:
    found = _TYPES.get(splitext(name)[1].lower(), _BYTES)
    if disposition == "attachment" or _SHOWN.match(found):
        return found
    # A browser would run the scripts of HTML, SVG and XML in the name of the store, and read with
    # them what else it serves; and it saves CSV and the like instead of showing them.
    # Nobody has looked into the file, but UTF-8 is what most text is in; the bytes stay the same.
    return "text/plain; charset=utf-8" if _TEXT.match(found) else _BYTES
