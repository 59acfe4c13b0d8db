"""Examples for the OpenAPI document: one dataset, announced, deposited and read."""

from __future__ import annotations

from typing import Any

BASE_URI = "s3://my-bucket"
UUID = "550e8400-e29b-41d4-a716-446655440000"
URI = f"{BASE_URI}/{UUID}"
IDENTIFIER = "ede3a6a522453056ed5b4c13a30e7877ced123ee"

_STORE = f"https://s3.example.org/my-bucket/{UUID}"
_SIGNATURE = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=3600&X-Amz-Signature=5f1c"
_MD5 = "d86d125d1c161ceddc99598430097137"

ANNOUNCEMENT: dict[str, Any] = {
    "uuid": UUID,
    "name": "plant-heights",
    "hash_function": "md5sum_hexdigest",
    "items": [{"relpath": "heights.csv", "size_in_bytes": 15, "hash": _MD5}],
    "tags": ["2026"],
    "annotations": {"project": "phenotyping"},
}

_GRANT = {
    "uri": URI,
    "expiry_seconds": 3600,
    "expiry_timestamp": "2026-11-20T09:12:31.000000Z",
}


def _url(key: str) -> str:
    return f"{_STORE}/{key}?{_SIGNATURE}"


UPLOAD_GRANT: dict[str, Any] = {
    **_GRANT,
    "uuid": UUID,
    "base_uri": BASE_URI,
    "max_size_in_bytes": 5 * 1024**3,
    "upload_token": "WyJzMzovL215LWJ1Y2tldC81NTBlODQwMC0uLi4iXQ.Q2hhbmdlZA",
    "upload_urls": {
        "readme": _url("upload/6b2e/README.yml"),
        "admin_metadata": _url("upload/6b2e/dtool"),
        "manifest": _url("upload/6b2e/manifest.json"),
        "structure": _url("upload/6b2e/structure.json"),
        "items": {
            IDENTIFIER: {
                "url": _url(f"data/{IDENTIFIER}"),
                "relpath": "heights.csv",
                "headers": {
                    "Content-MD5": "2G0SXRwWHO3cmVmEMAlxNw==",
                    "x-amz-meta-checksum": _MD5,
                    "x-amz-meta-handle": "aGVpZ2h0cy5jc3Y=",
                },
            }
        },
    },
}

UPLOAD_STATUS: dict[str, Any] = {
    "uri": URI,
    "uuid": UUID,
    "state": "open",
    "name": "plant-heights",
    "uploader": "alice",
    "created_at": "2026-11-20T08:12:31.000000Z",
    "urls_expire_at": "2026-11-20T09:12:31.000000Z",
    "items": {"expected": 1, "stored": 0, "missing": 1, "wrong": 0},
    "expected_bytes": 15,
    "stored_bytes": 0,
    "missing": ["heights.csv"],
    "mismatched": [],
}

PARTS_REQUEST: dict[str, Any] = {"numbers": [1, 2], "hashes": {"1": _MD5}}
PART_GRANT: dict[str, Any] = {
    **_GRANT,
    "identifier": IDENTIFIER,
    "part_size": 64 * 1024**2,
    "count": 3,
    "parts": {
        "1": {
            "url": f"{_url(f'data/{IDENTIFIER}')}&partNumber=1&uploadId=2f1b",
            "headers": {"Content-MD5": "2G0SXRwWHO3cmVmEMAlxNw=="},
        },
        "2": {"url": f"{_url(f'data/{IDENTIFIER}')}&partNumber=2&uploadId=2f1b", "headers": {}},
    },
    "stored": {"3": {"size_in_bytes": 1402, "hash": _MD5}},
}

COMPLETION_REQUEST = {"uri": URI}
COMPLETION = {"uri": URI, "status": "registered", "name": "plant-heights", "uuid": UUID}
COMPLETING = {"uri": URI, "status": "completing", "items_done": 4000, "items_total": 100_000}
CANCELLATION = {"uri": URI, "status": "cancelled", "objects": 6, "bytes": 1402}

DATASET_GRANT: dict[str, Any] = {
    **_GRANT,
    "admin_metadata_url": _url("dtool"),
    "manifest_url": _url("manifest.json"),
    "readme_url": _url("README.yml"),
    "item_urls": {IDENTIFIER: _url(f"data/{IDENTIFIER}")},
    "overlay_urls": {},
    "annotation_urls": {"project": _url("annotations/project.json")},
    "tags": ["2026"],
}

ITEM_GRANT = {**_GRANT, "identifier": IDENTIFIER, "url": _url(f"data/{IDENTIFIER}")}

ITEM_REQUEST = {"match": "*.csv"}
SELECTED_ITEMS: dict[str, Any] = {
    **_GRANT,
    "items": {
        IDENTIFIER: {
            "url": _url(f"data/{IDENTIFIER}"),
            "relpath": "heights.csv",
            "size_in_bytes": 15,
            "hash": _MD5,
        }
    },
    "missing": [],
}

LINK_TOKEN = "k3q7fzn2x5mvw4ah6tyb2cjd7ersgpou"  # noqa: S105 (an example)
SHARE_CONTENTS: dict[str, Any] = {
    "id": "5d2b8f6c01e94a37",
    "name": "plant-heights",
    "uuid": UUID,
    "note": "The heights that we talked about",
    "readme": None,
    "expires_timestamp": "2026-11-27T08:12:31.000000Z",
    "seconds_left": 604_800,
    "max_downloads": 20,
    "downloads_left": 19,
    "number_of_items": 1,
    "size_in_bytes": 15,
    "items": {
        IDENTIFIER: {
            "relpath": "heights.csv",
            "size_in_bytes": 15,
            "hash": _MD5,
            "url": f"https://dserver.example.org/signed-urls/s/{LINK_TOKEN}/{IDENTIFIER}",
        }
    },
}
SHARE: dict[str, Any] = {
    "id": "9f86d081884c7d65",
    "uri": URI,
    "name": "plant-heights",
    "owner": "alice",
    "note": "Before the review",
    "state": "active",
    "ended_because": None,
    "created_timestamp": "2026-11-20T08:12:31.412903Z",
    "expires_timestamp": "2026-12-20T08:12:31.412903Z",
    "max_downloads": None,
    "downloads": 0,
    "number_of_items": 1,
    "size_in_bytes": 15,
}
SHARE_REQUEST: dict[str, Any] = {
    "items": ["heights.csv"],
    "expires_in": 2_592_000,
    "note": "Before the review",
}
CREATED_SHARE: dict[str, Any] = {
    **SHARE,
    "link": f"https://dserver.example.org/signed-urls/s/{LINK_TOKEN}",
    "items": ["heights.csv"],
}
SHARES: dict[str, Any] = {"shares": [SHARE], "next": None}

DECISIONS: dict[str, Any] = {
    "uri": URI,
    "decisions": [
        {
            "time": "2026-11-20T08:12:31.412903Z",
            "username": "bob",
            "action": "read-item",
            "uri": URI,
            "outcome": "granted",
            "reason": None,
            "items": 1,
            "size_in_bytes": None,
            "expires_at": "2026-11-20T09:12:31.000000Z",
            "address": None,
            "request_id": "2f6f3c1e-3a52-4d5f-9d0b-5a3f1c9f7a10",
            "requests": 1,
            "verified": None,
            "share": None,
            "operator": None,
            "host": None,
        }
    ],
    "next": None,
}

LIVE = {"status": "live"}
READY = {
    "status": "ready",
    "migrations": "current",
    "stores": [{"base_uri": BASE_URI, "is_refused": False}],
}
