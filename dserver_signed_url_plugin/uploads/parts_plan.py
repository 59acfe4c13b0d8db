"""Parts of an item for which a client wants URLs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dserver_signed_url_plugin.errors import InvalidField


@dataclass(frozen=True)
class PartsPlan:
    """Parts of one item, for which URLs are wanted.

    :param hashes: by number, the MD5 (32 hex digits in lower case) of a part, or None.
    """

    hashes: Mapping[int, str | None]
    expiry_seconds: int | None = None

    def check(self, count: int) -> None:
        """Check that the item has these parts.

        :raises InvalidField: with the number of parts that it has.
        """
        if max(self.hashes, default=0) > count:
            raise InvalidField("numbers", f"are above {count}, the number of parts.", status=422)
