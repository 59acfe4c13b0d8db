"""The multipart uploads of the small S3 store in memory."""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler
from typing import Any
from uuid import uuid4

_LONG_AGO = "2020-01-01T00:00:00.000Z"
PART_PARAMETERS = ("partNumber", "uploadId")


class Refusal(Exception):
    """What is answered instead."""


class MultipartHandler(BaseHTTPRequestHandler):
    """Serves multipart uploads; the subclass serves all else."""

    store: Any
    key: str
    query: dict[str, list[str]]
    content: bytes

    def _served_parts(self) -> bool:
        """Serve a request about a multipart upload; return False for any other one."""
        if not {"uploads", "uploadId"} & self.query.keys():
            return False
        if self.store.faults.takes_no_parts:
            raise Refusal(501, "NotImplemented")
        if "uploads" in self.query:
            (self._create if self.key else self._list_uploads)()
        elif self.query["uploadId"][0] not in self.store.parts:
            raise Refusal(404, "NoSuchUpload")
        else:
            self.upload_id = self.query["uploadId"][0]
            getattr(self, f"_parts_{self.command.lower()}")()
        return True

    def _create(self) -> None:
        upload_id = uuid4().hex
        self.store.parts[upload_id] = {}
        self._tell("InitiateMultipartUploadResult", upload_id)

    def _list_uploads(self) -> None:
        prefix = self.query["prefix"][0]
        upload = f"<Upload><Key>{prefix}k</Key><UploadId>u</UploadId><Initiated>{_LONG_AGO}"
        found = f"<Prefix>{prefix}</Prefix>" + f"{upload}</Initiated></Upload>" * (
            0 if prefix else self.store.given_up
        )
        answer = f"<ListMultipartUploadsResult>{found}</ListMultipartUploadsResult>"
        self._answer(200, answer.encode())

    def _parts_put(self) -> None:
        self._check_pin(self.content)
        if not self.store.faults.forgets_parts:
            number = int(self.query["partNumber"][0])
            self.store.parts[self.upload_id][number] = self.content
        self._answer(200, ETag=f'"{self.store.etag(self.content)}"')

    def _parts_get(self) -> None:
        found = "".join(
            f"<Part><PartNumber>{number}</PartNumber><Size>{len(content)}</Size>"
            f"<ETag>{self.store.etag(content)}</ETag></Part>"
            for number, content in sorted(self.store.parts[self.upload_id].items())
        )
        self._tell("ListPartsResult", self.upload_id, found)

    def _parts_post(self) -> None:
        parts = self.store.parts[self.upload_id]
        numbers = re.findall(r"<PartNumber>(\d+)</PartNumber>", self.content.decode())
        self.store.objects[self.key] = b"".join(parts[int(number)] for number in numbers)
        self._forget()
        self._tell("CompleteMultipartUploadResult", self.upload_id)

    def _parts_delete(self) -> None:
        self._forget()
        self._answer(204)

    def _forget(self) -> None:
        if not self.store.faults.keeps_parts:
            del self.store.parts[self.upload_id]

    def _tell(self, root: str, upload_id: str, more: str = "") -> None:
        told = f"<Key>{self.key}</Key><UploadId>{upload_id}</UploadId>{more}"
        self._answer(200, f"<{root}>{told}</{root}>".encode())

    def _check_pin(self, content: bytes) -> None:
        raise NotImplementedError

    def _answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        raise NotImplementedError
