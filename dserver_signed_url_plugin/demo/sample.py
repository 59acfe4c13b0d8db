"""The dataset that a demo has from its start, so that there is something to read and to share."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from uuid import uuid4

from dserver_signed_url_plugin.demo.depositing import LocalDataset

NAME = "growth-of-cress"
README = """---
description: Growth of garden cress (Lepidium sativum) at 22 °C
measured: every day at 9:00, mean of twelve seedlings
owners:
  - name: alice
files:
  heights.csv: day, and height in millimetres
  heights.png: the same as a chart
  protocol.txt: how it was measured
remark: This is the sample of the demo. Its numbers are made up.
"""
PROTOCOL = """Twelve seeds on moist cotton wool, one for each cup.
Each seedling is measured from the cotton wool to its tip, with a ruler, at 9:00.
What has not germinated by day 3 is left out.
"""
HEIGHTS = (0, 1, 3, 8, 15, 23, 31, 38, 44, 48, 51, 53)  # millimetres, by day

_WIDTH, _HEIGHT, _MARGIN = 480, 240, 16  # pixels
_PAPER, _GREEN = bytes((246, 248, 244)), bytes((62, 124, 79))


def dataset() -> LocalDataset:
    """Return the dataset under a new UUID."""
    rows = "".join(f"{day},{height}\n" for day, height in enumerate(HEIGHTS))
    files = {
        "heights.csv": f"day,height_mm\n{rows}".encode(),
        "heights.png": _chart(HEIGHTS),
        "protocol.txt": PROTOCOL.encode(),
    }
    return LocalDataset(str(uuid4()), NAME, README.encode(), files)


def _chart(values: Sequence[int]) -> bytes:
    """Return a bar chart as PNG.

    Source: W3C, "Portable Network Graphics (PNG) Specification", sections 5 and 9.
    """
    step = (_WIDTH - 2 * _MARGIN) / len(values)
    tops = [_HEIGHT - _MARGIN - value * (_HEIGHT - 2 * _MARGIN) // max(values) for value in values]

    def pixel(x: int, y: int) -> bytes:
        number, offset = divmod(x - _MARGIN, step)
        is_bar = 0 <= number < len(values) and offset < 0.7 * step
        return _GREEN if is_bar and tops[int(number)] <= y < _HEIGHT - _MARGIN else _PAPER

    # The first byte of a row says that it is not filtered.
    rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in range(_WIDTH)) for y in range(_HEIGHT))
    header = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
