"""HTTP of our own against servers that speak it badly: whole answers or an error, and no wait without end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.remote.body import whole
from sidecar.remote.http import HEAD_LIMIT, Connection, Response, compose, parse_head
from sidecar.remote.wire import Broken

STALL = 0.2  # seconds
LIMIT = 2**20
ASK = compose("GET", "/", [("host", "x")])


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection, and its server's end of it."""
    ours, theirs = socket.socketpair()
    ours.settimeout(STALL)
    theirs.settimeout(30)
    yield Connection(ours, STALL), theirs
    ours.close()
    theirs.close()


def exchange(answer: bytes, *, method: str = "GET", ends: bool = True) -> tuple[Response, bytes, bool]:
    """What is made of ``answer``: the response, its body, and whether the connection may be used again."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(STALL)
        theirs.sendall(answer)
        if ends:
            theirs.shutdown(socket.SHUT_WR)
        connection = Connection(ours, STALL)
        response = connection.request(method, ASK, b"", STALL)
        return response, whole(response.body, LIMIT), connection.reusable


GOOD: dict[str, tuple[bytes, int, bytes, bool]] = {
    "a sized body": (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", 200, b"body", True),
    "an empty body": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
    "no reason": (b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, b"", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "a body to the end": (b"HTTP/1.1 200 OK\r\n\r\nbody", 200, b"body", False),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nbo\r\n02\r\ndy\r\n0\r\nTrailer: x\r\n\r\n",
        200,
        b"body",
        True,
    ),
    "chunks win over a length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        200,
        b"body",
        True,
    ),
    "a connection that closes": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: Close\r\n\r\nbody",
        200,
        b"body",
        False,
    ),
    "the older version": (b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody", 200, b"body", False),
    "interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nA: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        200,
        b"x",
        True,
    ),
    "a length told twice": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
        200,
        b"body",
        True,
    ),
}


@pytest.mark.parametrize(("answer", "status", "body", "reusable"), GOOD.values(), ids=GOOD)
def test_an_answer_is_read_by_the_way_in_which_its_end_is_told(
    answer: bytes, status: int, body: bytes, reusable: bool
) -> None:
    response, found, again = exchange(answer)
    assert (response.status, found, again) == (status, body, reusable)


@settings(deadline=None)
@given(st.integers(1, 200))
def test_an_answer_is_the_same_however_its_bytes_arrive(cut: int) -> None:
    answer = GOOD["chunks"][0]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(STALL)
        theirs.sendall(answer[:cut])
        connection = Connection(ours, STALL)
        if cut < len(answer):
            theirs.sendall(answer[cut:])
        response = connection.request("GET", ASK, b"", STALL)
        assert b"".join(iter(lambda: response.body.some(1), b"")) == b"body"
        assert connection.reusable


def test_the_answer_to_a_head_has_no_body_whatever_it_announces() -> None:
    response, body, reusable = exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", method="HEAD")
    assert (response.headers["content-length"], body, reusable) == ("4", b"", True)


HEADS = b"HTTP/1.1 200 OK\r\n"
BAD: dict[str, bytes] = {
    "nothing": b"",
    "something else": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a status of letters": b"HTTP/1.1 two\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "a line that is no header": HEADS + b"Content-Length 4\r\n\r\nbody",
    "a header without a name": HEADS + b": 4\r\n\r\nbody",
    "a folded header": HEADS + b"A: b\r\n c: d\r\n\r\n",
    "a blank before the colon": HEADS + b"Content-Length : 4\r\n\r\nbody",
    "a head without end": HEADS + b"A: " + b"x" * (2 * HEAD_LIMIT),
    "a negative length": HEADS + b"Content-Length: -1\r\n\r\nbody",
    "a length of letters": HEADS + b"Content-Length: four\r\n\r\nbody",
    "a length in other digits": HEADS + "Content-Length: ٤\r\n\r\nbody".encode(),
    "two lengths": HEADS + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody!",
    "an unknown coding": HEADS + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "a body cut short": HEADS + b"Content-Length: 5\r\n\r\nbody",
    "a chunk cut short": HEADS + b"Transfer-Encoding: chunked\r\n\r\n5\r\nbody",
    "chunks without the last": HEADS + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
    "a chunk longer than told": HEADS + b"Transfer-Encoding: chunked\r\n\r\n3\r\nbody\r\n0\r\n\r\n",
    "a chunk of no size": HEADS + b"Transfer-Encoding: chunked\r\n\r\n\r\nbody\r\n0\r\n\r\n",
    "a chunk of negative size": HEADS + b"Transfer-Encoding: chunked\r\n\r\n-4\r\nbody\r\n0\r\n\r\n",
    "a chunk of absurd size": HEADS + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\nbody",
    "a chunk size without end": HEADS + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 20_000,
    "trailers without end": HEADS + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 200,
    "interim answers without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    "more than anybody asked for": HEADS + b"Content-Length: 2000000\r\n\r\n" + b"x" * 2_000_000,
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_what_is_no_whole_answer_is_broken(answer: bytes, tmp_path: object) -> None:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**22)
    with ours, theirs:
        ours.settimeout(STALL)
        theirs.setblocking(False)  # what does not fit is not needed
        theirs.send(answer)
        theirs.shutdown(socket.SHUT_WR)
        connection = Connection(ours, STALL)
        with pytest.raises(Broken):
            whole(connection.request("GET", ASK, b"", STALL).body, LIMIT)
        assert not connection.reusable


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_an_answer_or_broken_and_nothing_else(garbage: bytes) -> None:
    for answer in (garbage, HEADS + garbage, HEADS + b"Transfer-Encoding: chunked\r\n\r\n" + garbage):
        with suppress(Broken):
            exchange(answer)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", HEADS + b"Content-Length: 4\r\n\r\nbo"])
def test_silence_ends_in_time(pair: tuple[Connection, socket.socket], said: bytes) -> None:
    connection, server = pair
    server.sendall(said)
    with pytest.raises(TimeoutError):
        whole(connection.request("GET", ASK, b"", STALL).body, LIMIT)


def test_a_server_that_takes_nothing_is_noticed(pair: tuple[Connection, socket.socket]) -> None:
    connection, _ = pair
    with pytest.raises(TimeoutError):
        connection.request("PUT", ASK, b"x" * 2**24, STALL)


def test_a_server_that_refuses_early_is_heard_although_it_did_not_take_the_body(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, server = pair
    server.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    server.close()
    response = connection.request("PUT", ASK, b"x" * 2**24, STALL)
    assert (response.status, whole(response.body, LIMIT)) == (403, b"no")
    assert not connection.reusable


def test_a_connection_serves_one_request_after_the_other(pair: tuple[Connection, socket.socket]) -> None:
    connection, server = pair
    for number in range(3):
        server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        assert whole(connection.request("PUT", ASK, b"body", STALL).body, LIMIT) == b"%d" % number
        assert connection.reusable
        assert server.recv(2**16) == ASK + b"body"
    assert connection.silent


@pytest.mark.parametrize("says", [b"HTTP/1.1 408 Request Timeout\r\n\r\n", b""], ids=["by an answer", "silently"])
def test_a_server_that_ended_an_idle_connection_is_noticed(pair: tuple[Connection, socket.socket], says: bytes) -> None:
    connection, server = pair
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    connection.request("GET", ASK, b"", STALL)
    assert connection.silent
    server.sendall(says)
    server.close()
    assert not connection.silent


def test_a_large_body_arrives_whole(pair: tuple[Connection, socket.socket]) -> None:
    connection, server = pair
    body = bytes(range(256)) * 400
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    connection.request("PUT", ASK, memoryview(body), STALL)
    got = b""
    while len(got) < len(ASK) + len(body):
        got += server.recv(2**20)
    assert got == ASK + body


def test_into_reads_ahead_and_from_the_socket_alike(pair: tuple[Connection, socket.socket]) -> None:
    connection, server = pair
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
    response = connection.request("GET", ASK, b"", STALL)
    server.sendall(b"56789next")
    room = bytearray(16)
    size = 0
    while got := response.body.into(memoryview(room)[size:]):
        size += got
    assert bytes(room[:size]) == b"0123456789"


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\ny", "a\ry", "日本"])
def test_a_header_cannot_smuggle_another(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the line break or the encoding, both are
        compose("PUT", "/", [("x-amz-meta-a", value)])


def test_repeated_headers_are_joined_and_names_are_lower_case() -> None:
    assert parse_head(b"HTTP/1.1 200 OK\r\nA-B: 1\r\na-b:  2 ") == (b"1.1", 200, {"a-b": "1, 2"})
