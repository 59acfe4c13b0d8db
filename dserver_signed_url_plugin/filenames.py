"""The file name and media type with which items are served: Content-Disposition and Content-Type.

Types follow from the extension alone, by a table of this module and of Python, not the system's.

Sources: RFC 6266 (Content-Disposition), RFC 8187 (``filename*``), and for invalid characters the
replacements that browsers make when they save a file.
"""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from functools import lru_cache
from posixpath import splitext
from typing import Literal, NamedTuple
from urllib.parse import quote

Disposition = Literal["attachment", "inline"]

_MAX_NAME_BYTES = 255  # in UTF-8; the limit of file systems
_MAX_EXTENSION_BYTES = 32  # a longer text after the last dot does not count as an extension
_UNNAMED = "unnamed"
# Dots and whitespace, up to U+3000: file systems and header parsers drop some of them at the end.
_STRIPPED_AT_END = "." + "".join(filter(str.isspace, map(chr, range(0x3001))))
_JOINERS = "\u200c\u200d"  # used in emoji, and in words of several scripts
# Unicode categories: control and format characters, surrogates, line and paragraph separators.
_INVALID_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Invalid on Windows, except the quotation mark, which browsers replace themselves.
_INVALID_ON_WINDOWS = str.maketrans(dict.fromkeys("\\:<>|?*", "_"))
_RESERVED = re.compile(  # names of devices on Windows, with any extension
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|$)", re.IGNORECASE
)
# What file_name() and quote() leave as it is, as most names are.
_is_plain = re.compile(
    rf"(?!{_RESERVED.pattern})[\w-][\w.-]{{0,253}}(?<!\.)", re.ASCII | re.IGNORECASE
).fullmatch
# Includes the percent sign, because some browsers decode the ASCII form like a URL.
_INVALID_IN_ASCII_FORM = re.compile(r'[^ -~]|["%/\\]')

_common, _standard = mimetypes.MimeTypes(filenames=()).types_map
_TYPES = {
    **_common,
    **_standard,
    ".7z": "application/x-7z-compressed",
    ".avif": "image/avif",
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
    ".webp": "image/webp",
    ".zst": "application/zstd",
}
_BINARY = "application/octet-stream"
_SAFE_INLINE = re.compile(r"image/(?!.*xml)|audio/|video/|application/(?:json|pdf)$")
_TEXT = re.compile(r"text/|.*[/+](?:xml|yaml|toml|(?:x-)?javascript)$")


class ServedAs(NamedTuple):
    """The response headers Content-Disposition and Content-Type, in printable ASCII.

    ``encoded_name`` is the file name as RFC 8187 encodes it.
    """

    disposition: Disposition
    ascii_name: str
    encoded_name: str
    content_type: str

    @property
    def content_disposition(self) -> str:
        return (
            f'{self.disposition}; filename="{self.ascii_name}"; '
            f"filename*=UTF-8''{self.encoded_name}"
        )

    @property
    def quoted_content_disposition(self) -> str:
        """The header, percent-encoded for a query; several times as fast as quote()."""
        ascii_name, encoded_name = self.ascii_name, self.encoded_name
        # One has no percent sign, the other unreserved characters apart from that sign.
        if ascii_name != encoded_name:
            ascii_name, encoded_name = quote(ascii_name, safe=""), quote(encoded_name, safe="")
        return (
            f"{self.disposition}%3B%20filename%3D%22{ascii_name}%22%3B%20"
            f"filename%2A%3DUTF-8%27%27{encoded_name}"
        )


def served_as(relpath: str, disposition: Disposition) -> ServedAs:
    """Return the headers to serve an item with; any relpath is accepted."""
    name = relpath.rpartition("/")[2]
    if _is_plain(name):
        ascii_name = encoded_name = name
    else:
        name = file_name(name)
        ascii_name, encoded_name = file_name(_ascii(name)), quote(name, safe="")
    # splitext() would take as long as all the rest; here no name begins with a dot.
    _, dot, extension = name.rpartition(".")
    content_type = _content_type(dot and extension.lower(), disposition)
    return ServedAs(disposition, ascii_name, encoded_name, content_type)


def file_name(relpath: str) -> str:
    """Return the last part of a relpath, changed to a name that is valid on every system.

    It has at most 255 bytes in UTF-8, with its extension kept. It is not hidden, not the name of a
    directory or a device, and has no characters that change the direction of text. Quotation marks
    are kept.
    """
    name = relpath.rpartition("/")[2].translate(_INVALID_ON_WINDOWS)
    if not name.isprintable():
        name = "".join(character if _is_valid(character) else "_" for character in name)
    name = name.lstrip().rstrip(_STRIPPED_AT_END) or _UNNAMED
    if name.startswith("."):
        name = f"_{name.lstrip('.')}"
    name = _truncate(name)
    # Only now, because truncating may leave the name of a device.
    return _truncate(f"_{name}") if _RESERVED.match(name) else name


def _is_valid(character: str) -> bool:
    return unicodedata.category(character) not in _INVALID_CATEGORIES or character in _JOINERS


def _truncate(name: str) -> str:
    if len(name.encode()) <= _MAX_NAME_BYTES:
        return name
    extension = splitext(name)[1].encode()
    if len(extension) > _MAX_EXTENSION_BYTES:
        extension = b""
    stem = name.encode()[: _MAX_NAME_BYTES - len(extension)]
    # Drops the remaining bytes of a character that was cut.
    return stem.decode(errors="ignore").rstrip(_STRIPPED_AT_END) + extension.decode()


def _ascii(name: str) -> str:
    """Return a name for clients without ``filename*``: accents removed, the rest underscores."""
    if not name.isascii():
        parts = unicodedata.normalize("NFKD", name)
        name = "".join(part for part in parts if not unicodedata.combining(part))
    return _INVALID_IN_ASCII_FORM.sub("_", name)


@lru_cache(maxsize=1024)
def _content_type(extension: str, disposition: Disposition) -> str:
    media_type = _TYPES.get(f".{extension}", _BINARY)
    if disposition == "attachment" or _SAFE_INLINE.match(media_type):
        return media_type
    # Scripts in HTML, SVG and XML would run in the store's origin, with access to its other
    # objects; CSV and the like would be downloaded instead of shown. UTF-8 is an assumption: the
    # content is not read.
    return "text/plain; charset=utf-8" if _TEXT.match(media_type) else _BINARY
