"""A small S3 store in memory whose faults can be chosen; one bucket, path style, nothing kept.

It verifies query signatures and believes those in headers, as long as its clock agrees.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from dserver_signed_url_plugin.storage.s3.sigv4 import Credentials, Endpoint, QuerySigner
from tests.support.dserver import Bucket
from tests.support.stub_multipart import PART_PARAMETERS, MultipartHandler, Refusal

ABORTING = (
    b"<LifecycleConfiguration><Rule><ID>tidy</ID><Status>Enabled</Status>"
    b"<Filter><Prefix/></Filter><AbortIncompleteMultipartUpload>"
    b"<DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
    b"</LifecycleConfiguration>"
)
KEYS = Credentials("STUBKEY", "stub-secret")
_MAX_SKEW = timedelta(minutes=15)


@dataclass
class Faults:
    """What is wrong with this store."""

    clock: timedelta = timedelta()
    tells_time: bool = True
    believes_any_pin: bool = False
    believes_any_signature: bool = False
    forgets_expiry: bool = False
    salts_etags: bool = False
    ignores_ranges: bool = False
    copies_on_no_condition: bool = False
    region: str | None = None
    minds_region: bool = False
    refuses_signed_headers: bool = False
    refuses_urls_with: str | None = None
    keeps_content_type: bool = False
    takes_no_parts: bool = False
    keeps_parts: bool = False
    forgets_parts: bool = False


@dataclass
class StubStore:
    """The store, from ``with`` to the end of the block."""

    faults: Faults = field(default_factory=Faults)
    objects: dict[str, bytes] = field(default_factory=dict)
    name: str = "stub"
    content_types: dict[str, str] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    given_up: int = 0

    def __enter__(self) -> Bucket:
        class Handler(_Handler):
            store = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{self._server.server_port}"
        return Bucket(self.name, endpoint, KEYS.access_key, KEYS.secret_key)

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def etag(self, content: bytes) -> str:
        salt = b"salt" if self.faults.salts_etags else b""
        return hashlib.md5(salt + content).hexdigest()

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + self.faults.clock


class _Handler(MultipartHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: StubStore

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        self.key = unquote(parts.path).removeprefix(f"/{self.store.name}").removeprefix("/")
        self.query = parse_qs(parts.query, keep_blank_values=True)
        self.content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self._check()
            if not self._served_parts():
                getattr(self, f"_{'object' if self.key else 'bucket'}_{self.command.lower()}")()
        except Refusal as refusal:
            status, code = refusal.args
            self._answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = _serve

    # Who asks ------------------------------------------------------------------------------

    def _check(self) -> None:
        faults, now = self.store.faults, self.store.now()
        if faults.minds_region and f"/{faults.region}/s3/" not in self._scope():
            raise Refusal(400, "AuthorizationHeaderMalformed")
        if "Authorization" in self.headers:
            if abs(now - _time(self.headers["x-amz-date"])) > _MAX_SKEW:
                raise Refusal(403, "RequestTimeTooSkewed")
        elif "X-Amz-Signature" not in self.query:
            raise Refusal(403, "AccessDenied")
        else:
            self._check_url(faults, now)

    def _check_url(self, faults: Faults, now: datetime) -> None:
        if faults.refuses_urls_with is not None:
            raise Refusal(403, faults.refuses_urls_with)
        signed_at = _time(self.query["X-Amz-Date"][0])
        life = int(self.query["X-Amz-Expires"][0])
        if not faults.believes_any_signature and not self._is_signed(signed_at, life):
            raise Refusal(403, "SignatureDoesNotMatch")
        if self._unsigned():
            raise Refusal(403, "AccessDenied")
        if now > signed_at + timedelta(seconds=life) and not faults.forgets_expiry:
            raise Refusal(403, "AccessDenied")

    def _scope(self) -> str:
        return self.headers.get("Authorization") or self.query["X-Amz-Credential"][0]

    def _unsigned(self) -> set[str]:
        """The headers that AWS refuses unless they are signed."""
        sent = {name.lower() for name in self.headers if name.lower().startswith("x-amz-")}
        return sent - set(self.query["X-Amz-SignedHeaders"][0].split(";"))

    def _is_signed(self, signed_at: datetime, life: int) -> bool:
        names = self.query["X-Amz-SignedHeaders"][0].split(";")
        if len(names) > 1 and self.store.faults.refuses_signed_headers:
            return False
        headers = {name: self.headers.get(name, "") for name in names if name != "host"}
        region = self.query["X-Amz-Credential"][0].split("/")[-3]
        place = Endpoint("http", self.headers["Host"], f"/{self.store.name}/", region)
        parameters = {name: self.query[name][0] for name in PART_PARAMETERS if name in self.query}
        signer = QuerySigner(place, KEYS, signed_at, life)
        url = signer.sign(self.command, self.key, headers, parameters)
        expected = parse_qs(urlsplit(url).query)["X-Amz-Signature"][0]
        return hmac.compare_digest(expected, self.query["X-Amz-Signature"][0])

    # What is answered ----------------------------------------------------------------------

    def _bucket_head(self) -> None:
        region = self.store.faults.region
        self._answer(200, **({} if region is None else {"x-amz-bucket-region": region}))

    def _bucket_get(self) -> None:
        if "lifecycle" in self.query:
            self._answer(200, ABORTING)
            return
        if "versioning" in self.query:
            self._answer(200, b"<VersioningConfiguration/>")
            return
        prefix = self.query.get("prefix", [""])[0]
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size>"
            f"<ETag>{self.store.etag(content)}</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key, content in self.store.objects.items()
            if key.startswith(prefix)
        )
        told = f"<Prefix>{escape(prefix)}</Prefix>{found}"
        self._answer(200, f"<ListBucketResult>{told}</ListBucketResult>".encode())

    def _bucket_post(self) -> None:
        for key in re.findall(r"<Key>(.*?)</Key>", self.content.decode()):
            self.store.objects.pop(key, None)
        self._answer(200, b"<DeleteResult/>")

    def _object_get(self) -> None:
        if "tagging" in self.query:
            raise Refusal(501, "NotImplemented")
        if self.key not in self.store.objects:
            raise Refusal(404, "NoSuchKey")
        content = self.store.objects[self.key]
        etag = f'"{self.store.etag(content)}"'
        if "Range" in self.headers and not self.store.faults.ignores_ranges:
            first, last = self.headers["Range"].removeprefix("bytes=").split("-")
            self._answer(206, content[int(first) : int(last) + 1], ETag=etag)
        else:
            kept = self.store.content_types.get(self.key, "binary/octet-stream")
            self._answer(200, content, **{"Content-Type": kept, "ETag": etag})

    _object_head = _object_get

    def _object_put(self) -> None:
        source = self.headers.get("x-amz-copy-source")
        content = self.content
        if source is not None and "Authorization" in self.headers:
            key = unquote(source).removeprefix("/").removeprefix(f"{self.store.name}/")
            content = self.store.objects[key]
            wanted = self.headers.get("x-amz-copy-source-if-match", "").strip('"')
            if wanted != self.store.etag(content) and not self.store.faults.copies_on_no_condition:
                raise Refusal(412, "PreconditionFailed")
        self._check_pin(content)
        self.store.objects[self.key] = content
        if self.store.faults.keeps_content_type:
            self.store.content_types[self.key] = self.headers["Content-Type"]
        etag = self.store.etag(content)
        told = f"<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>"
        self._answer(200, told.encode(), ETag=f'"{etag}"')

    def _check_pin(self, content: bytes) -> None:
        pin = self.headers.get("Content-MD5")
        md5 = b64encode(hashlib.md5(content).digest()).decode()
        if pin not in (None, md5) and not self.store.faults.believes_any_pin:
            raise Refusal(400, "BadDigest")

    def _answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response_only(status)
        if self.store.faults.tells_time:
            self.send_header("Date", format_datetime(self.store.now(), usegmt=True))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing: URLs hold signatures."""


def _time(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
