"""A store that speaks S3 (moto's server, in this process), and a way to it that fails as it is told."""

from __future__ import annotations

import http.client
import logging
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "exports"
SECRET = "canary-of-the-secret"
KEYS = {"access_key_id": "acme", "secret_access_key": SECRET}


@contextmanager
def running_store() -> Iterator[str]:
    """Its address; the bucket is there."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client(endpoint).create_bucket(Bucket=BUCKET)
    try:
        yield endpoint
    finally:
        server.stop()


def client(endpoint: str) -> Any:
    """Amazon's own client: another hand than the one that delivers."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="x",
        aws_secret_access_key="y",
        region_name="us-east-1",
        config=Config(response_checksum_validation="when_required"),  # moto keeps that of a file that was copied over
    )


def objects(endpoint: str, prefix: str = "") -> dict[str, bytes]:
    """What lies there, by key."""
    s3 = client(endpoint)
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {one["Key"]: s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed}


class Way:
    """A way to the store. fail_at: which request, from 0 on, is not answered as it should be; kind: how."""

    def __init__(self, store: str) -> None:
        self.fail_at, self.kind = -1, ""
        self.seen: list[str] = []
        self._store = urlsplit(store)
        way = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                way.pass_on(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Way:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *of: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fails(self, number: int, kind: str) -> None:
        """From now on: the request with that number fails."""
        self.fail_at, self.kind, self.seen = number, kind, []

    def pass_on(self, request: BaseHTTPRequestHandler) -> None:
        """One request."""
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        kind = self.kind if len(self.seen) == self.fail_at else ""
        self.seen.append(f"{request.command} {urlsplit(request.path).query.split('=')[0]}")
        request.close_connection = True
        if kind == "cut before":
            return
        if kind == "flip" and request.command == "PUT" and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        status, headers, content = (503, [], b"") if kind == "refused" else self._asked(request, body)
        if kind == "cut after":
            return
        if kind == "done, then an error":
            status, headers, content = 500, [], b""
        request.send_response(status)
        for name, value in headers:
            if name.lower() not in {"connection", "transfer-encoding", "content-length", "date", "server"}:
                request.send_header(name, value)
        length = dict(headers).get("Content-Length", "0") if request.command == "HEAD" else str(len(content))
        request.send_header("Content-Length", length)
        request.send_header("Connection", "close")
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)

    def _asked(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._store.hostname or "", self._store.port)
        connection.request(request.command, request.path, body, dict(request.headers))
        answer = connection.getresponse()
        found = answer.status, answer.getheaders(), answer.read()
        connection.close()
        return found
