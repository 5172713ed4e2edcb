"""Clients that say nothing, or half of it, and stay: a review is answered beside them, and in the end they are cut off.

A real webhook with two threads, which gunicorn alone would give to the first two of them for as long as they like.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.webhook.processes import HOST, Webhook, ask, review

BOUND = 120.0  # seconds
MANY = 40
BODY = json.dumps(review({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})).encode()
HEAD = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with Webhook(tmp_path_factory.mktemp("webhook"), WEBHOOK_THREADS="2") as webhook:
        yield webhook


def tcp(webhook: Webhook) -> socket.socket:
    return socket.create_connection((HOST, webhook.port), timeout=BOUND)


def tls(webhook: Webhook) -> ssl.SSLSocket:
    return webhook.context().wrap_socket(tcp(webhook), server_hostname=HOST)


def half_a_hello(webhook: Webhook) -> socket.socket:
    connection = tcp(webhook)
    connection.sendall(b"\x16\x03\x01\x02")
    return connection


def half_a_head(webhook: Webhook) -> socket.socket:
    connection = tls(webhook)
    connection.sendall(HEAD[:40])
    return connection


def answered_and_open(webhook: Webhook) -> socket.socket:
    """A client that asks for the end of the connection and does not end its side."""
    connection = tls(webhook)
    connection.sendall(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
    assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
    return connection


def half_a_body(webhook: Webhook) -> socket.socket:
    connection = tls(webhook)
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
    return connection


def is_answered(webhook: Webhook) -> bool:
    connection = webhook.connect()
    connection.timeout = BOUND
    with closing(connection):
        code, answer = ask(connection, BODY)
    return code == 200 and bool(answer["response"]["allowed"])


def is_cut_off(connection: socket.socket) -> bool:
    """Waits for the end, whatever is sent before it."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(tcp, id="connected and silent"),
        pytest.param(half_a_hello, id="half a handshake"),
        pytest.param(tls, id="encrypted and silent"),
        pytest.param(half_a_head, id="half a head"),
        pytest.param(answered_and_open, id="answered, and never ended"),
    ],
)
def test_a_review_is_answered_beside_clients_that_stay(
    webhook: Webhook, client: Callable[[Webhook], socket.socket]
) -> None:
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(client(webhook))
        assert is_answered(webhook)


def test_what_is_not_finished_is_cut_off(webhook: Webhook) -> None:
    with ExitStack() as stack:
        connections = [
            stack.enter_context(client(webhook))
            for client in (tcp, half_a_hello, tls, half_a_head, half_a_body, half_a_body)
        ]
        assert is_answered(webhook), "both threads wait for a body, and not for ever"
        assert [is_cut_off(connection) for connection in connections] == [True] * 6


def test_a_connection_that_asks_now_and_then_is_kept(webhook: Webhook) -> None:
    connection = webhook.connect()
    with closing(connection):
        for _ in range(3):
            assert ask(connection, BODY)[0] == 200
            before = connection.sock
            assert before is not None
            assert is_answered(webhook)
        assert connection.sock is before


def test_plain_http_is_closed_and_the_next_is_answered(webhook: Webhook) -> None:
    with tcp(webhook) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert is_cut_off(connection)
    assert is_answered(webhook)
