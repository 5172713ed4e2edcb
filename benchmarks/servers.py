"""The S3 servers of the rows, all used alike: the null server near and far, SeaweedFS over HTTP and HTTPS.

The null server counts requests by operation; SeaweedFS does not tell them, and need not: how many requests
a client sends is the same on both.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Final, Protocol

from benchmarks.native import Native
from contract.storage import (
    ACCESS_KEY_ID,
    BUCKET_HOST,
    BUCKET_NAME,
    BUCKET_PORT,
    BUCKET_SCHEME,
    SECRET_ACCESS_KEY,
    Storage,
    storage_from,
)
from demo.s3server import HOST, S3Server, Tls
from webhook.certificates import issue, make_authority

NULL, FAR, WEED, WEED_TLS = "null", "null, 20 ms each way", "SeaweedFS", "SeaweedFS, HTTPS"
DISTANCE: Final = 20  # ms each way
_DAY: Final = timedelta(days=1)


class Server(Protocol):
    """What a row needs of a server."""

    def storage_files(self, bucket: str) -> dict[str, str]:
        """The storage keys by name."""

    def storage(self, bucket: str) -> Storage:
        """``bucket`` and how to reach it."""

    def create_bucket(self, name: str) -> None:
        """Make an empty bucket."""

    def delete_bucket(self, name: str) -> None:
        """Remove a bucket with all that is in it."""

    def holds(self, bucket: str) -> tuple[int, int]:
        """How many objects are in ``bucket``, and their bytes."""

    def requests(self) -> dict[str, int] | None:
        """Requests by operation since the last call; None where the server does not tell."""


class NullServer:
    """The null server; ``port`` another one when it is reached through something."""

    def __init__(self, native: Native) -> None:
        self._native = native
        self.port = native.port

    def storage_files(self, bucket: str) -> dict[str, str]:
        """See :class:`Server`."""
        keys = {ACCESS_KEY_ID: "anybody", SECRET_ACCESS_KEY: secrets.token_hex(20)}
        return {BUCKET_NAME: bucket, BUCKET_HOST: HOST, BUCKET_PORT: str(self.port), BUCKET_SCHEME: "http"} | keys

    def storage(self, bucket: str) -> Storage:
        """See :class:`Server`."""
        return storage_from(self.storage_files(bucket))

    def create_bucket(self, name: str) -> None:
        """Nothing: every bucket is there."""

    def delete_bucket(self, name: str) -> None:
        """See :class:`Server`."""
        self._ask("DELETE", f"/{name}")

    def holds(self, bucket: str) -> tuple[int, int]:
        """Of all buckets: the benchmarks use one at a time."""
        del bucket
        found = json.loads(self._ask("GET", "/_stats"))
        return found["objects"], found["bytes"]

    def requests(self) -> dict[str, int] | None:
        """See :class:`Server`."""
        found = json.loads(self._ask("GET", "/_stats"))
        self._ask("POST", "/_reset")
        for name in ("objects", "bytes", "open_uploads"):
            del found[name]
        return {name: count for name, count in found.items() if count}

    def fill(self, bucket: str, count: int, size: int) -> None:
        """Objects ``files/GGGG/NNNNNN`` of ``size`` bytes, a hundred to a group, their content made up."""
        self._ask("POST", f"/_fill?bucket={bucket}&prefix=files&count={count}&size={size}&per=100")

    def get(self, target: str) -> str:
        """What it answers to a GET."""
        return self._ask("GET", target).decode()

    def _ask(self, method: str, target: str) -> bytes:
        connection = http.client.HTTPConnection(HOST, self._native.port, timeout=60)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {target}: {answer.status} {body.decode()}")
            return body
        finally:
            connection.close()


class Weed:
    """SeaweedFS as the demo and the tests run it."""

    def __init__(self, server: S3Server) -> None:
        self._server = server
        self.storage_files = server.storage_files
        self.storage = server.storage
        self.create_bucket = server.create_bucket
        self.delete_bucket = server.delete_bucket

    def holds(self, bucket: str) -> tuple[int, int]:
        """See :class:`Server`."""
        pages = self._server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        sizes = [entry["Size"] for page in pages for entry in page.get("Contents", [])]
        return len(sizes), sum(sizes)

    def requests(self) -> dict[str, int] | None:
        """None: it does not tell."""
        return None


def _tls() -> Tls:
    authority = make_authority("benchmark authority", _DAY)
    pair = issue(authority, [HOST, "localhost"], _DAY)
    return Tls(pair.certificate_pem.decode(), pair.key_pem.decode(), authority.certificate_pem.decode())


@contextmanager
def running(kind: str) -> Iterator[Server]:
    """A server of this kind, gone when the block is left.

    Raises:
        NoCompiler: it is one of ours in C, and there is nothing to compile it with.
    """
    with ExitStack() as stack:
        if kind in (WEED, WEED_TLS):
            yield Weed(stack.enter_context(S3Server(_tls() if kind == WEED_TLS else None)))
            return
        server = NullServer(stack.enter_context(Native("null_server", "0")))
        if kind == FAR:
            proxy = stack.enter_context(Native("delay_proxy", "0", str(server.port), str(DISTANCE)))
            server.port = proxy.port
        yield server
