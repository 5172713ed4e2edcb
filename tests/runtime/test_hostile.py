"""What a process must bear: secrets in disguise, clients that drip, signals at the worst moment."""

from __future__ import annotations

import io
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

import pytest
from prometheus_client import CollectorRegistry

from runtime import endpoints as module
from runtime.endpoints import Check, Endpoints, parse_listen
from runtime.logs import JsonFormatter, fields, hide, redact

ODD_SECRET = "qu\"o'te\\planted/slash é+"


@contextmanager
def serving(listen: str = "127.0.0.1:0") -> Iterator[int]:
    def well() -> Check:
        return Check(True, "ok")

    server = Endpoints(listen, livez=well, readyz=well, registry=CollectorRegistry(), status=lambda names: {"n": names})
    port = server.start()
    try:
        yield port
    finally:
        server.stop()


def exchange(port: int, request: bytes, host: str = "127.0.0.1") -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def log_line(**values: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("test.hostile")
    logger.addHandler(handler)
    try:
        raise ValueError(f"refused {ODD_SECRET!r}")  # noqa: TRY301 - for its traceback
    except ValueError:
        logger.exception("failed", **fields(**values))
    finally:
        logger.removeHandler(handler)
    return stream.getvalue()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(ODD_SECRET, id="as it is"),
        pytest.param({"deep": [ODD_SECRET]}, id="inside lists and dicts"),
        pytest.param(ValueError(ODD_SECRET), id="in an error that is a field"),
        pytest.param(repr(ODD_SECRET), id="quoted by Python"),
        pytest.param(f"https://host/?key={quote(ODD_SECRET, safe='')}", id="in a URL"),
    ],
)
def test_a_secret_with_characters_that_are_escaped_is_hidden_too(value: object) -> None:
    hide(ODD_SECRET)
    line = log_line(value=value)
    json.loads(line)
    for trace in ("o'te", "planted", quote("é+", safe="")):
        assert trace not in line


def test_a_secret_is_hidden_on_status_pages_as_well() -> None:
    hide(ODD_SECRET)
    assert "planted" not in redact(json.dumps({"error": ODD_SECRET}))


def test_a_longer_secret_is_hidden_whole_where_a_shorter_one_begins_it() -> None:
    hide("planted", "planted-and-longer")
    assert redact("planted-and-longer") == "[redacted]"


def test_a_client_that_drips_is_cut_off_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Handler, "timeout", 0.5)
    with serving() as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        stopped = threading.Event()

        def drip() -> None:
            try:
                connection.sendall(b"GET /livez HTTP/1.1\r\nX: ")
                while not stopped.wait(0.05):  # ten times faster than a limit that begins anew with every byte
                    connection.sendall(b"x")
            except OSError:
                pass  # cut off

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass  # cut off with bytes on their way
        finally:
            stopped.set()
            thread.join()


def test_a_connection_serves_more_than_one_request() -> None:
    with serving() as port:
        first = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
        second = b"HEAD /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        answer = exchange(port, first + second)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count(b"\r\n\r\nok\n") == 1, "a HEAD has no body"
    assert answer.count(b"Content-Length: 3\r\n") == 2


def test_beyond_its_bound_the_listener_refuses_and_does_not_grow() -> None:
    with serving() as port, ExitStack() as held:
        for _ in range(module._CONCURRENT_REQUESTS):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200", "each holds its place, kept alive"
        before = threading.active_count()
        refused = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        assert refused.recv(1) == b""
        assert threading.active_count() == before


def test_a_place_is_given_back_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with serving() as port:
        with monkeypatch.context() as without_threads:
            without_threads.setattr(threading.Thread, "start", fails)
            for _ in range(module._CONCURRENT_REQUESTS + 1):
                with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                    assert connection.recv(1) == b""
        assert b" 200 OK" in exchange(port, b"GET /livez HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize(
    "request_line",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n"],
    ids=["TLS spoken to plain HTTP", "no path", "a version to come", "nothing at all"],
)
def test_what_is_no_request_leaves_the_listener_well(request_line: bytes) -> None:
    with serving() as port:
        assert b" 200 OK" not in exchange(port, request_line)
        assert b" 200 OK" in exchange(port, b"GET /livez HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("length", [65_530, 70_000])
def test_an_endless_path_is_refused(length: int) -> None:
    with serving() as port:
        answer = exchange(port, b"GET /" + b"x" * length + b" HTTP/1.0\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 414"))


def _ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("listen", "host"),
    [("[::1]:0", "::1"), ("[::]:0", "::1"), ("[::]:0", "127.0.0.1")],
    ids=["IPv6 loopback", "every address, by IPv6", "every address, by IPv4"],
)
def test_names_are_shown_to_loopback_over_either_protocol(listen: str, host: str) -> None:
    with serving(listen) as port:
        answer = exchange(port, b"GET /status HTTP/1.0\r\n\r\n", host)
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"n": True}


def test_no_name_server_is_asked_for_our_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(name: str = "") -> str:
        raise AssertionError("an edge device may have no name server: asking takes until it gives up")

    monkeypatch.setattr(socket, "getfqdn", asked)
    with serving("0.0.0.0:0") as port:
        assert b" 200 OK" in exchange(port, b"GET /readyz HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("text", ["host:" + "1" * 5000, "host:٩٠", "host:²", "host:+1", "host: 1", "host:1\n"])
def test_what_only_looks_like_a_port_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no listen address"):
        parse_listen(text)


AT_EVERY_STEP = """
import signal, sys
from runtime.shutdown import Shutdown

def steps(number):
    '''Wait, with SIGTERM at the step of that number; False when it has fewer.'''
    shutdown, taken = Shutdown(5), 0
    shutdown.install()
    def trace(frame, event, argument):
        nonlocal taken
        taken += 1
        if taken == number:
            signal.raise_signal(signal.SIGTERM)
        return trace
    sys.settrace(trace)
    shutdown.wait(0.01)
    sys.settrace(None)
    assert shutdown.requested == (taken >= number), number
    return taken >= number

number = 1
while steps(number):
    number += 1
print("survived", number > 3)
"""


def test_a_signal_at_any_step_of_waiting_is_handled() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", AT_EVERY_STEP], check=False, capture_output=True, text=True, timeout=30
    )
    assert (ended.stdout, ended.stderr) == ("survived True\n", "")


EVERY_THREAD = """
import threading
from runtime.shutdown import Shutdown
shutdown = Shutdown(5)
shutdown.install()
waiters = [threading.Thread(target=shutdown.wait, args=(30,)) for _ in range(4)]
for waiter in waiters:
    waiter.start()
print("ready", flush=True)
for waiter in waiters:
    waiter.join()
print(shutdown.wait(30))
"""


def test_one_signal_wakes_every_thread_that_waits() -> None:
    with subprocess.Popen([sys.executable, "-c", EVERY_THREAD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.communicate(timeout=10)[0] == "True\n"
