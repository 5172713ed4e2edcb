"""The null server keeps the promises of an S3 server that the benchmarks rest on, and counts honestly.

The conformance suite of ``ObjectStore`` runs on it as well: a server on which a client can cut corners
would flatter that client.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import inspect
import os
import socket
import time
from collections.abc import Iterator

import pytest

from benchmarks.native import Native
from benchmarks.servers import NullServer
from demo.s3server import HOST
from sidecar.remote.s3 import S3Store
from sidecar.remote.store import ObjectStore
from sidecar.tree import ObjectKey
from tests.conformance import test_object_store as suite

# Collected here, they run with this module's `store`. Those that need another fixture (fakes, servers that take
# every key or copy in parts) stay where they are.
globals().update(
    {
        name: test
        for name, test in vars(suite).items()
        if name.startswith("test_")
        and set(inspect.signature(test).parameters) == {"store"}
        and not any(mark.name == "usefixtures" for mark in getattr(test, "pytestmark", ()))
    }
)

KEEP = 8 << 20  # bytes; as in null_server.c


@pytest.fixture
def store(null_server: NullServer) -> Iterator[ObjectStore]:
    """Our own adapter on the null server."""
    store = S3Store(null_server.storage("bucket"))
    yield store
    store.close()


def ask(
    server: NullServer, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    try:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def keys_of(body: bytes) -> list[str]:
    return [part.split("</Key>")[0] for part in body.decode().split("<Key>")[1:]]


def test_requests_are_counted_by_operation_and_asking_starts_anew(null_server: NullServer, store: ObjectStore) -> None:
    null_server.requests()
    etag = store.put(ObjectKey("a"), b"body", {})
    store.head(ObjectKey("a"))
    with store.get(ObjectKey("a"), etag) as download:
        assert b"".join(download.chunks) == b"body"
    assert len(list(store.list(""))) == 1
    assert null_server.requests() == {"put": 1, "head": 1, "get": 1, "list": 1}
    assert null_server.requests() == {}


def test_filled_objects_have_the_size_and_the_content_that_they_claim(null_server: NullServer) -> None:
    null_server.fill("bucket", 250, 5000)
    assert null_server.holds("bucket") == (250, 250 * 5000)
    status, headers, body = ask(null_server, "GET", "/bucket/files/0002/000249")
    assert (status, len(body)) == (200, 5000)
    assert headers["etag"] == f'"{hashlib.md5(body).hexdigest()}"'


def test_a_body_that_is_too_large_to_keep_has_its_size_and_the_same_bytes_in_every_range(
    null_server: NullServer,
) -> None:
    size = KEEP + 4097
    ask(null_server, "PUT", "/bucket/large", os.urandom(size))
    status, _, whole = ask(null_server, "GET", "/bucket/large")
    assert (status, len(whole)) == (200, size)
    for first, last in ((0, 0), (1, 70_000), (KEEP - 5, KEEP + 5), (size - 3, size - 1)):
        status, headers, part = ask(null_server, "GET", "/bucket/large", headers={"Range": f"bytes={first}-{last}"})
        assert (status, part) == (206, whole[first : last + 1])
        assert headers["content-range"] == f"bytes {first}-{last}/{size}"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param("bytes=2-4", b"234", id="from one byte to another"),
        pytest.param("bytes=7-", b"789", id="from a byte to the end"),
        pytest.param("bytes=-2", b"89", id="the last bytes"),
        pytest.param("bytes=8-99", b"89", id="beyond the end"),
        pytest.param("bytes=10-", None, id="after the end is no range"),
    ],
)
def test_a_range_of_a_kept_body(null_server: NullServer, asked: str, expected: bytes | None) -> None:
    ask(null_server, "PUT", "/bucket/a", b"0123456789")
    status, _, body = ask(null_server, "GET", "/bucket/a", headers={"Range": asked})
    assert (status, body if status == 206 else None) == ((206, expected) if expected else (416, None))


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 4096, 65536])
def test_the_etag_of_a_small_body_is_its_md5(null_server: NullServer, size: int) -> None:
    body = os.urandom(size)
    _, headers, _ = ask(null_server, "PUT", "/bucket/a", body)
    assert headers["etag"] == f'"{hashlib.md5(body).hexdigest()}"'


def test_pages_of_both_listings_cover_all_keys_once_in_order(null_server: NullServer) -> None:
    null_server.fill("bucket", 2500, 1)
    null_server.fill("bucket2", 10, 1)
    expected = [f"files/{number // 100:04}/{number:06}" for number in range(2500)]
    for first, more in (
        ("list-type=2&prefix=files/", "continuation-token"),
        ("prefix=files/", "marker"),
    ):
        found: list[str] = []
        target = f"/bucket?{first}"
        while True:
            page = ask(null_server, "GET", target)[2]
            found += keys_of(page)
            if b"<IsTruncated>false" in page:
                break
            target = f"/bucket?{first}&{more}={found[-1]}"
        assert found == expected


def test_a_delimiter_folds_what_lies_below_it_across_pages(null_server: NullServer) -> None:
    null_server.fill("bucket", 350, 1)
    found, marker = [], ""
    while True:
        page = ask(null_server, "GET", f"/bucket?prefix=files/&delimiter=/&max-keys=3&marker={marker}")[2].decode()
        found += [part.split("</Prefix>")[0] for part in page.split("<CommonPrefixes><Prefix>")[1:]]
        if "<IsTruncated>false" in page:
            break
        marker = page.split("<NextMarker>")[1].split("</NextMarker>")[0]
    assert found == ["files/0000/", "files/0001/", "files/0002/", "files/0003/"]


def test_keys_are_encoded_in_listings_when_asked(null_server: NullServer) -> None:
    ask(null_server, "PUT", "/bucket/a%20b%26%3C%C3%BC", b"x")
    assert keys_of(ask(null_server, "GET", "/bucket?list-type=2&encoding-type=url")[2]) == ["a%20b%26%3C%C3%BC"]
    assert keys_of(ask(null_server, "GET", "/bucket?list-type=2")[2]) == ["a b&#38;&#60;ü"]


def test_an_aborted_multipart_upload_leaves_nothing(null_server: NullServer) -> None:
    body = ask(null_server, "POST", "/bucket/a?uploads")[2].decode()
    upload = body.split("<UploadId>")[1].split("</UploadId>")[0]
    assert ask(null_server, "PUT", f"/bucket/a?partNumber=1&uploadId={upload}", b"x" * 100)[0] == 200
    assert upload in ask(null_server, "GET", "/bucket?uploads")[2].decode()
    assert "<Size>100</Size>" in ask(null_server, "GET", f"/bucket/a?uploadId={upload}")[2].decode()
    assert ask(null_server, "DELETE", f"/bucket/a?uploadId={upload}")[0] == 204
    assert ask(null_server, "POST", f"/bucket/a?uploadId={upload}", b"<x/>")[0] == 404
    assert null_server.holds("bucket") == (0, 0)


def test_a_client_that_expects_leave_to_send_its_body_gets_it(null_server: NullServer) -> None:
    with socket.create_connection((HOST, null_server.port), timeout=10) as client:
        client.sendall(b"PUT /bucket/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"body")
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_requests_that_come_in_pieces_or_together_are_answered_one_by_one(null_server: NullServer) -> None:
    request = (
        b"PUT /bucket/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbodyHEAD /bucket/a HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    for cuts in (1, len(request)):
        with socket.create_connection((HOST, null_server.port), timeout=10) as client:
            for start in range(0, len(request), cuts):
                client.sendall(request[start : start + cuts])
            received = b""
            while received.count(b"\r\n\r\n") < 2:
                received += client.recv(4096)
        assert received.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"\r\n\r\n", id="nothing"),
        pytest.param(b"GET\r\n\r\n", id="no target"),
        pytest.param(b"GET " + b"/a" * 40_000, id="a head without end"),
        pytest.param(b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\n\r\n", id="a key that is too long"),
        pytest.param(b"PUT /b/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", id="a body without a length"),
    ],
)
def test_what_it_does_not_understand_ends_that_connection_alone(null_server: NullServer, garbage: bytes) -> None:
    with socket.create_connection((HOST, null_server.port), timeout=10) as client:
        client.sendall(garbage)
        with contextlib.suppress(ConnectionResetError):  # when it closed with some of it unread
            assert client.recv(1) == b""
    assert null_server.requests() is not None


def test_a_signed_chunked_body_is_refused_not_stored_with_its_framing(null_server: NullServer) -> None:
    headers = {"x-amz-decoded-content-length": "1"}
    assert ask(null_server, "PUT", "/bucket/a", b"1;sig\r\nx\r\n0\r\n\r\n", headers)[0] == 501
    assert null_server.holds("bucket") == (0, 0)


def test_bytes_through_the_proxy_are_the_same_and_later(null_native: Native, null_server: NullServer) -> None:
    body = os.urandom(3 << 20)
    with Native("delay_proxy", "0", str(null_native.port), "30") as proxy:
        null_server.port = proxy.port
        started = time.monotonic()
        assert ask(null_server, "PUT", "/bucket/a", body)[0] == 200
        took = time.monotonic() - started
        assert ask(null_server, "GET", "/bucket/a")[2] == body
    assert took >= 0.12  # a handshake and a request, 30 ms each way


def test_the_proxy_hands_on_the_end_of_a_connection(compiled: None) -> None:
    with socket.create_server((HOST, 0)) as upstream:
        upstream.settimeout(10)
        with Native("delay_proxy", "0", str(upstream.getsockname()[1]), "1") as proxy:
            client = socket.create_connection((HOST, proxy.port), timeout=10)
            server, _ = upstream.accept()
            with client, server:
                server.settimeout(10)
                client.sendall(b"last words")
                client.shutdown(socket.SHUT_WR)
                received = b""
                while piece := server.recv(100):
                    received += piece
                assert received == b"last words"
                server.sendall(b"answer")
                server.close()
                assert client.recv(100) == b"answer"
                assert client.recv(100) == b""
