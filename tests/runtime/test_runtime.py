"""Logs, probes and the end of a process, over real sockets and signals."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from runtime.endpoints import Check, Endpoints, parse_listen
from runtime.logs import REDACTED, JsonFormatter, fields, hide, redact
from runtime.shutdown import Shutdown


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where a logger of its own writes JSON lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("test.runtime")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_fields(stream: io.StringIO) -> None:
    logging.getLogger("test.runtime").info("uploaded", **fields(path="a\nb", bytes=3))
    (line,) = lines(stream)
    assert (line["level"], line["message"], line["path"], line["bytes"]) == ("info", "uploaded", "a\nb", 3)
    assert line["time"].endswith("Z")


def test_a_field_never_takes_the_place_of_the_message(stream: io.StringIO) -> None:
    logging.getLogger("test.runtime").info("uploaded", **fields(message="other", level="none"))
    assert (lines(stream)[0]["message"], lines(stream)[0]["level"]) == ("uploaded", "info")


def test_hidden_secrets_appear_nowhere_not_even_in_tracebacks(stream: io.StringIO) -> None:
    hide("planted-secret", None, "", "abc")
    logger = logging.getLogger("test.runtime")
    try:
        int("planted-secret")
    except ValueError:
        logger.exception("failed for planted-secret", **fields(key="planted-secret"))
    (line,) = lines(stream)
    assert "planted-secret" not in stream.getvalue()
    assert all(REDACTED in line[name] for name in ("message", "key", "exception"))
    assert redact("abc") == "abc", "a text this short would blank out half of every line"


def test_names_that_are_no_utf8_can_be_logged(stream: io.StringIO) -> None:
    logging.getLogger("test.runtime").info("passed over", **fields(path="bad\udcff"))
    assert stream.getvalue().isascii()


@pytest.fixture
def endpoints() -> Iterator[tuple[Endpoints, int]]:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc()
    endpoints = Endpoints(
        "127.0.0.1:0",
        livez=lambda: Check(True, "ok"),
        readyz=lambda: Check(False, "not yet"),
        registry=registry,
        status=lambda with_names: {"with_names": with_names},
    )
    yield endpoints, endpoints.start()
    endpoints.stop()


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body


def test_probes_metrics_and_status(endpoints: tuple[Endpoints, int]) -> None:
    _, port = endpoints
    assert ask(port, "/livez")[::2] == (200, "ok\n")
    assert ask(port, "/readyz?verbose")[::2] == (503, "not yet\n")
    status, content_type, body = ask(port, "/metrics")
    assert (status, content_type.split(";")[0]) == (200, "text/plain")
    assert "things_total 1.0" in body
    assert json.loads(ask(port, "/status")[2]) == {"with_names": True}
    assert ask(port, "/livez", "HEAD")[::2] == (200, "")


def test_what_is_not_there_says_what_is(endpoints: tuple[Endpoints, int]) -> None:
    status, _, body = ask(endpoints[1], "/")
    assert (status, body) == (404, "here are /livez, /readyz, /metrics, /status\n")
    assert ask(endpoints[1], "/livez", "POST")[0] == 501


def test_names_are_for_loopback_only(endpoints: tuple[Endpoints, int]) -> None:
    answer = endpoints[0].answer
    for client, shown in (("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("::ffff:10.0.0.1", False)):
        assert json.loads(answer("/status", "", client).body) == {"with_names": shown}


def test_clients_that_say_nothing_do_not_keep_others_out_for_long(
    endpoints: tuple[Endpoints, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.endpoints._Handler.timeout", 0.2)
    silent = [socket.create_connection(("127.0.0.1", endpoints[1])) for _ in range(40)]
    for connection in silent:
        connection.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b"", "each is let go, at once or after the time limit"
        connection.close()
    assert ask(endpoints[1], "/livez")[0] == 200


def test_a_fault_in_a_probe_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Check:
        raise RuntimeError("boom")

    endpoints = Endpoints("127.0.0.1:0", livez=broken, readyz=broken, registry=CollectorRegistry())
    port = endpoints.start()
    assert ask(port, "/livez")[0] == 500
    assert ask(port, "/status")[0] == 404
    endpoints.stop()
    assert "boom" in caplog.text


def test_a_port_that_is_taken_is_an_error_at_the_start(endpoints: tuple[Endpoints, int]) -> None:
    check = Check(True, "ok")
    second = Endpoints(
        f"127.0.0.1:{endpoints[1]}", livez=lambda: check, readyz=lambda: check, registry=CollectorRegistry()
    )
    with pytest.raises(OSError, match="Address already in use"):
        second.start()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:9346", ("0.0.0.0", 9346)),
        (":80", ("0.0.0.0", 80)),
        ("[::1]:80", ("::1", 80)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_listen_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_listen(text) == address


@pytest.mark.parametrize("text", ["", "9346", "host", "host:", "host:http", "host:65536", "host:-1"])
def test_what_is_no_listen_address(text: str) -> None:
    with pytest.raises(ValueError, match="no listen address"):
        parse_listen(text)


def test_the_grace_period_counts_from_the_first_request_to_stop() -> None:
    now = 100.0
    shutdown = Shutdown(10, lambda: now)
    assert (shutdown.requested, shutdown.remaining()) == (False, 10)
    shutdown.request()
    now = 104.0
    shutdown.request()
    assert (shutdown.requested, shutdown.remaining(), shutdown.wait(60)) == (True, 6, True)
    now = 200.0
    assert shutdown.remaining() == 0


WAITER = """
from runtime.shutdown import Shutdown
shutdown = Shutdown(5)
shutdown.install()
print("ready", flush=True)
print(shutdown.wait(30), shutdown.remaining() > 4)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", WAITER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=10)[0] == "True True\n"
    assert process.returncode == 0
