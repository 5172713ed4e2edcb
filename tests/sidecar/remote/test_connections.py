"""How the server is reached: kept connections, other addresses, proxies, redirects, TLS sessions."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from contract.storage import Storage
from sidecar.errors import Misconfigured, Unreachable
from sidecar.remote.dial import Address, Dialer
from sidecar.remote.http import Connection, compose
from sidecar.remote.pool import IDLE_SECONDS, Pool
from sidecar.remote.s3 import S3Store
from sidecar.tree import ObjectKey
from tests.fakes.faults import FaultServer, Reaction, Request, response

KEY = ObjectKey("dir/key")
ADDRESS = Address("http", "s3.example", 80)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Exchange(Dialer):
    """Connects to the test itself."""

    def __init__(self) -> None:
        super().__init__(None, 1.0)
        self.servers: list[socket.socket] = []

    def dial(self, _address: Address) -> Connection:
        ours, theirs = socket.socketpair()
        ours.settimeout(30)
        self.servers.append(theirs)
        return Connection(ours, 30)

    def close(self) -> None:
        for server in self.servers:
            server.close()


@pytest.fixture
def dialer() -> Iterator[Exchange]:
    exchange = Exchange()
    yield exchange
    exchange.close()


def used(pool: Pool, dialer: Exchange, answer: bytes = OK, server: int = -1) -> Connection:
    """A connection on which one request was answered."""
    connection = pool.take(ADDRESS)
    dialer.servers[server].sendall(answer)
    connection.request("GET", compose("GET", "/", []), b"", 30)
    return connection


def test_a_connection_is_used_again(dialer: Exchange) -> None:
    pool = Pool(dialer)
    for _ in range(3):
        pool.give_back(ADDRESS, used(pool, dialer))
    assert len(dialer.servers) == 1
    pool.close()


def test_connections_are_apart_while_in_use_and_by_address(dialer: Exchange) -> None:
    pool = Pool(dialer)
    one, other = used(pool, dialer), used(pool, dialer)
    assert one is not other
    pool.give_back(ADDRESS, one)
    elsewhere = pool.take(Address("http", "other.example", 80))
    assert elsewhere is not one
    for connection in (other, elsewhere):
        connection.close()
    pool.close()


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 408 Too slow\r\n\r\n"], ids=["nothing", "why"])
def test_a_connection_that_the_server_ended_is_not_used_again(dialer: Exchange, says: bytes) -> None:
    pool = Pool(dialer)
    pool.give_back(ADDRESS, used(pool, dialer))
    dialer.servers[0].sendall(says)
    dialer.servers[0].close()
    pool.give_back(ADDRESS, used(pool, dialer))
    assert len(dialer.servers) == 2
    pool.close()


def test_an_old_connection_is_dropped_and_another_one_made(dialer: Exchange) -> None:
    now = [0.0]
    pool = Pool(dialer, clock=lambda: now[0])
    pool.give_back(ADDRESS, used(pool, dialer))
    now[0] += IDLE_SECONDS
    pool.give_back(ADDRESS, used(pool, dialer))
    assert len(dialer.servers) == 2
    assert dialer.servers[0].recv(2**16).startswith(b"GET")
    assert dialer.servers[0].recv(1) == b"", "the old one is closed"
    pool.close()


def test_what_a_burst_left_is_closed_when_it_is_old(dialer: Exchange) -> None:
    now = [0.0]
    pool = Pool(dialer, clock=lambda: now[0])
    burst = [used(pool, dialer) for _ in range(3)]
    for connection in burst:
        pool.give_back(ADDRESS, connection)
    now[0] += IDLE_SECONDS - 1
    pool.give_back(ADDRESS, used(pool, dialer, server=2))
    now[0] += 2
    pool.give_back(ADDRESS, used(pool, dialer, server=2))
    assert [connection.sock.fileno() == -1 for connection in burst] == [True, True, False]
    pool.close()


def test_a_connection_given_back_after_the_end_is_closed(dialer: Exchange) -> None:
    pool = Pool(dialer)
    connection = used(pool, dialer)
    pool.close()
    pool.give_back(ADDRESS, connection)
    assert connection.sock.fileno() == -1


def put(storage: Storage) -> object:
    store = S3Store(storage, stall=5)
    try:
        return store.put(KEY, b"body", {})
    finally:
        store.close()


def stored(_: Request) -> Reaction:
    return response(200, ETag='"e"')


def test_a_server_with_an_ipv6_address_is_reached() -> None:
    if not has_ipv6():
        pytest.skip("this machine has no ::1")
    with FaultServer(stored, host="::1") as server:
        assert put(server.storage()) == "e"
    assert server.requests[0].headers["host"] == f"[::1]:{server.port}"


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


def moved(port: int, **headers: str) -> Reaction:
    headers["Location"] = f"http://localhost:{port}/bucket/dir/key"
    return response(307, b"", length=None, **headers)


def test_a_server_that_sends_elsewhere_is_followed_and_the_request_is_signed_anew() -> None:
    with FaultServer(stored) as there:
        away = moved(there.port, x_amz_bucket_region="eu-west-1")
        with FaultServer(lambda _: away) as here:
            assert put(here.storage()) == "e"
    (request,) = there.requests
    assert (request.method, request.target, request.body) == ("PUT", "/bucket/dir/key", b"body")
    assert request.headers["host"] == f"localhost:{there.port}"
    assert "/eu-west-1/s3/" in request.headers["authorization"]


def test_a_server_that_sends_in_circles_is_misconfigured() -> None:
    def circle(request: Request) -> Reaction:
        return moved(int(request.headers["host"].rpartition(":")[2]))

    with FaultServer(circle) as server, pytest.raises(Misconfigured):
        put(server.storage())
    assert len(server.requests) == 3


@pytest.mark.parametrize("location", ["https://localhost/x", "/only/a/path", "http://[broken", ""])
def test_a_place_that_cannot_be_followed_is_misconfigured(location: str) -> None:
    with FaultServer(lambda _: response(307, Location=location)) as server, pytest.raises(Misconfigured):
        put(server.storage())
    assert len(server.requests) == 1


@contextmanager
def tunnel() -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that knows CONNECT; gives its port and the heads of what it was asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []
    threads: list[threading.Thread] = []

    def relay(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with client, client.makefile("rb") as file:
            head = b"".join(iter(file.readline, b"\r\n"))
            asked.append(head)
            host, _, port = head.split()[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=relay, args=(server, client))
                back.start()
                relay(client, server)
                back.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                thread = threading.Thread(target=serve, args=(listener.accept()[0],))
                threads.append(thread)
                thread.start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    yield listener.getsockname()[1], asked
    listener.shutdown(socket.SHUT_RDWR)
    for thread in (acceptor, *threads):
        thread.join()
    listener.close()


def test_tls_goes_through_a_proxy_by_a_tunnel(storage_tls: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with tunnel() as (port, asked):
        monkeypatch.setenv("https_proxy", f"http://user:p%40ss@127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "elsewhere.example")
        assert put(storage_tls)
    (head,) = asked
    assert head.startswith(f"CONNECT {storage_tls.host}:{storage_tls.port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in head


def test_a_proxy_is_passed_by_for_the_hosts_that_are_excepted(
    storage_tls: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", f"elsewhere.example,{storage_tls.host}")
    assert put(storage_tls)


def test_a_proxy_that_refuses_is_told_with_its_answer(storage_tls: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(lambda _: response(407)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        with pytest.raises(Unreachable, match="407"):
            put(storage_tls)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://"])
def test_a_proxy_that_cannot_be_used_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    with FaultServer(stored) as server, pytest.raises(Unreachable, match="HTTP_PROXY"):
        put(server.storage())


def test_a_session_with_a_server_makes_the_next_handshake_short(storage_tls: Storage) -> None:
    store = S3Store(storage_tls)
    client = store._client
    reused = []
    for _ in range(3):
        store.put(KEY, b"body", {})
        connection = client._pool._pop(client._address)
        assert connection is not None
        reused.append(connection.sock.session_reused)  # type: ignore[attr-defined]
        connection.close()
    store.close()
    assert reused == [False, True, True]


def test_a_bucket_name_that_no_host_can_have_is_unreachable_and_no_crash() -> None:
    with FaultServer(stored) as server:
        storage = dataclasses.replace(server.storage(), bucket="b" * 200, virtual_hosted=True)
        with pytest.raises(Unreachable):
            put(storage)
