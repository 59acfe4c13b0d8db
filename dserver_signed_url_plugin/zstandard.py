"""Zstandard, of Python 3.14 or from its backport."""

from __future__ import annotations

from typing import Any

try:
    from compression import zstd as _zstd
except ImportError:
    from backports import zstd as _zstd

zstd: Any = _zstd
