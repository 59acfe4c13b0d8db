"""What an implementation does that takes the next best way: dtoolcore, and botocore for each URL.

The URLs grant the same as the plugin's. It checks no permission and writes no audit, and is the
faster for it.
"""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from posixpath import basename
from typing import Any
from urllib.parse import quote

import dtoolcore
from dservercore.utils import generate_dataset_info, register_dataset
from dtoolcore.utils import generate_identifier
from flask import Blueprint, Response, jsonify, request

blueprint = Blueprint("naive", __name__, url_prefix="/naive")
_SECONDS = 3600


class _Signer:
    """Signs with the client that a storage broker of dtool-s3 holds."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    def get(self, key: str, **response: str) -> str:
        return self._sign("get_object", key, response)

    def item(self, identifier: str, relpath: str) -> str:
        name = basename(relpath)
        return self.get(
            f"{self._broker.data_key_prefix}{identifier}",
            ResponseContentDisposition=(
                f"attachment; filename=\"{name}\"; filename*=UTF-8''{quote(name)}"
            ),
            ResponseContentEncoding="identity",
            ResponseContentType="application/octet-stream",
        )

    def put_item(self, relpath: str, md5: str) -> str:
        key = f"{self._broker.data_key_prefix}{generate_identifier(relpath)}"
        handle = base64.b64encode(relpath.encode()).decode()
        pinned = {
            "ContentMD5": base64.b64encode(bytes.fromhex(md5)).decode(),
            "Metadata": {"handle": handle, "checksum": md5},
        }
        return self._sign("put_object", key, pinned)

    def put(self, key: str) -> str:
        return self._sign("put_object", key, {})

    def _sign(self, action: str, key: str, more: dict[str, Any]) -> str:
        parameters = {"Bucket": self._broker.bucket, "Key": key, **more}
        url: str = self._broker.s3client.generate_presigned_url(action, parameters, _SECONDS)
        return url


@blueprint.get("/dataset/<path:uri>")
def dataset(uri: str) -> Response:
    """Sign all of a dataset."""
    found = dtoolcore.DataSet.from_uri(uri)
    broker = found._storage_broker
    signer = _Signer(broker)
    return jsonify(
        uri=uri,
        admin_metadata_url=signer.get(broker.get_admin_metadata_key()),
        manifest_url=signer.get(broker.get_manifest_key()),
        readme_url=signer.get(broker.get_readme_key()),
        item_urls={
            identifier: signer.item(identifier, found.item_properties(identifier)["relpath"])
            for identifier in found.identifiers
        },
        overlay_urls={
            name: signer.get(broker.get_overlay_key(name)) for name in found.list_overlay_names()
        },
        annotation_urls={
            name: signer.get(broker.get_annotation_key(name))
            for name in found.list_annotation_names()
        },
        tags=found.list_tags(),
    )


@blueprint.get("/item/<path:uri>/<identifier>")
def item(uri: str, identifier: str) -> Response:
    """Sign one item."""
    found = dtoolcore.DataSet.from_uri(uri)
    relpath = found.item_properties(identifier)["relpath"]
    return jsonify(
        uri=uri,
        identifier=identifier,
        url=_Signer(found._storage_broker).item(identifier, relpath),
    )


@blueprint.post("/upload/<path:base_uri>")
def upload(base_uri: str) -> Response:
    """Create a proto-dataset, and sign PUTs."""
    plan = request.get_json()
    metadata = dtoolcore.generate_admin_metadata(plan["name"], "alice")
    metadata["uuid"] = plan["uuid"]
    proto_dataset = dtoolcore.generate_proto_dataset(metadata, base_uri)
    proto_dataset.create()
    broker = proto_dataset._storage_broker
    signer = _Signer(broker)
    return jsonify(
        uri=proto_dataset.uri,
        upload_urls={
            "readme": signer.put(broker.get_readme_key()),
            "manifest": signer.put(broker.get_manifest_key()),
            "admin_metadata": signer.put(broker.get_admin_metadata_key()),
            "items": {
                generate_identifier(announced["relpath"]): {
                    "url": signer.put_item(announced["relpath"], announced["hash"]),
                    "relpath": announced["relpath"],
                }
                for announced in plan["items"]
            },
        },
    )


@blueprint.post("/upload-complete/<path:uri>")
def complete(uri: str) -> Response:
    """Freeze a proto-dataset with dtoolcore, and register it."""
    proto_dataset = dtoolcore.ProtoDataSet.from_uri(uri)
    proto_dataset.put_readme("")
    proto_dataset.freeze()
    frozen = dtoolcore.DataSet.from_uri(uri)
    register_dataset(generate_dataset_info(frozen, proto_dataset.base_uri))
    return jsonify(uri=uri)


@blueprint.post("/copies/<path:uri>")
def copies(uri: str) -> Response:
    """Copy objects with botocore, 16 at a time: a JSON list of keys, sources and MD5s."""
    broker = dtoolcore.DataSet.from_uri(uri)._storage_broker

    def copy(wanted: tuple[str, str, str]) -> None:
        key, source, md5 = wanted
        broker.s3client.copy_object(
            Bucket=broker.bucket,
            Key=key,
            CopySource={"Bucket": broker.bucket, "Key": source},
            CopySourceIfMatch=md5,
            Metadata={"handle": "aGFuZGxl", "checksum": md5},
            MetadataDirective="REPLACE",
        )

    wanted = json.loads(request.get_data())
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(copy, wanted))
    return jsonify(copied=len(wanted))
