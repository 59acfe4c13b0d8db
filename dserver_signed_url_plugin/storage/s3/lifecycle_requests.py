"""Reading and writing the lifecycle document of a bucket, as it is.

boto3 would parse a document, and drop what it does not know.
"""

from __future__ import annotations

from typing import Any

from dserver_signed_url_plugin.storage.md5 import content_md5, md5_of
from dserver_signed_url_plugin.storage.s3 import response_checks
from dserver_signed_url_plugin.storage.s3.bucket_admin import BucketAdmin
from dserver_signed_url_plugin.storage.s3.lifecycle_document import Document

NONE_SET = "NoSuchLifecycleConfiguration"

# AWS goes back to its default where a PUT does not say what the last GET said.
_TRANSITION_MINIMUM = "TransitionDefaultMinimumObjectSize"
_BYTES = "DocumentAsItIs"


def read_document(bucket: BucketAdmin) -> Document:
    """Read a bucket's lifecycle document.

    :raises BucketRefusal: also with NONE_SET where there is none.
    """
    bucket.hook("before-parse.s3.GetBucketLifecycleConfiguration", _keep_bytes)
    answer = bucket.ask("get_bucket_lifecycle_configuration")
    return Document.parse(answer.get(_BYTES, b""), answer.get(_TRANSITION_MINIMUM))


def _keep_bytes(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Answer with the bytes."""
    if response_dict["status_code"] == 200:
        response_checks.check_root(response_dict["body"], b"LifecycleConfiguration")
        customized_response_dict.setdefault(_BYTES, response_dict["body"])
        response_dict["body"] = b""


def write_document(bucket: BucketAdmin, document: Document) -> None:
    """Replace a bucket's lifecycle document; one without rules is deleted."""
    if not document.rules:
        bucket.ask("delete_bucket_lifecycle")
        return
    xml = document.xml

    def give(params: dict[str, Any], **_: Any) -> None:
        params["body"] = xml
        params["headers"].update(content_md5(md5_of(xml)))

    with bucket.hooked("before-call.s3.PutBucketLifecycleConfiguration", give):
        minimum = document.transition_minimum
        headers = {} if minimum is None else {_TRANSITION_MINIMUM: minimum}
        bucket.ask("put_bucket_lifecycle_configuration", **headers)
