"""The client's results as tables."""

from __future__ import annotations

from typing import Any

Table = tuple[str, list[str], list[list[str]]]

_OTHERS = ("curl", "sequential", "dtool cp", "md5sum")
_Key = tuple[float, str, str]


def transfers(results: dict[str, Any]) -> Table:
    """Return the seconds of the client, and those of the others in multiples of them."""
    rows: dict[_Key, dict[str, Any]] = {}
    for row in results.get("client", {}).get("transfers", []):
        hashing = row["direction"] == "hash"
        key = row["latency"], row["contents"], "deposit" if hashing else row["direction"]
        rows.setdefault(key, {})[row["by"]] = row
    header = [
        *("", "latency ms", "files", "client s", "MB/s", "CPU s", "MB at its peak"),
        *(f"{name} / client" for name in _OTHERS),
    ]
    return "The client beside other programs", header, [_line(key, by) for key, by in rows.items()]


def _line(key: _Key, by: dict[str, Any]) -> list[str]:
    latency, contents, direction = key
    ours = by["client"]
    size = ours["size"] / 1e6
    return [
        f"{direction}, {contents}",
        f"{latency * 1000:.0f}",
        f"{ours['files']:,}",
        f"{ours['seconds']:.2f}",
        f"{size / ours['seconds']:,.1f}",
        f"{ours['cpu']:.2f}",
        f"{ours['memory'] / 1e6:.0f}",
        *(_ratio(ours, by.get(name)) for name in _OTHERS),
    ]


def _ratio(ours: dict[str, Any], theirs: dict[str, Any] | None) -> str:
    if theirs is None:
        return "–"
    scaled = "" if theirs["measured"] == theirs["files"] else f" (of {theirs['measured']})"
    return f"{theirs['seconds'] / ours['seconds']:,.2f}×{scaled}"


def resumed(results: dict[str, Any]) -> Table:
    """Return what passed the network when a transfer was killed halfway and run again."""
    found = results.get("client", {}).get("resumed")
    if not found:
        return "", [], []
    size = found["size"]
    lines = [
        ["sent, of what the file has", f"{found['sent'] / size * 100:.1f} %"],
        ["sent again though acknowledged", f"{found['acknowledged_sent_again']:,} bytes"],
        ["received, of what the file has", f"{found['received'] / size * 100:.1f} %"],
    ]
    return f"A file of {size / 1e9:.3g} GB: killed halfway, and run again", ["", ""], lines
