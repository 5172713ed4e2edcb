"""Asking sidecars: whom, how often, and what one answer may cost; on real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from contract.conditions import Because, Condition, Said, Truth
from controller import polling
from controller.asking import Asker, NoAnswer
from controller.cluster import Cluster
from controller.polling import Poller
from controller.sightings import Pod, Report, Sightings
from tests.controller.fleet import Fleet, said
from tests.fakes.cluster import FakeCluster
from tests.fakes.injection import admit_pods


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        code, body, headers = self.server.answer
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Tests tell what matters."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answer: tuple[int, bytes, dict[str, str]] = (200, b"{}", {})

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up early is what some tests are about."""


@contextmanager
def serving() -> Iterator[_Server]:
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server() -> Iterator[_Server]:
    with serving() as found:
        yield found


def test_a_status_is_asked_for_and_read(server: _Server) -> None:
    server.answer = (200, json.dumps(said(pending=3)).encode(), {})
    assert Asker(loopback=True)(server.address) == said(pending=3)
    assert server.asked == [("/status", "")]


def test_the_token_is_shown_and_read_anew(server: _Server, tmp_path: Path) -> None:
    token = tmp_path / "token"
    ask = Asker(str(token), loopback=True)
    for text in ("one", "two"):
        token.write_text(text + "\n")
        ask(server.address)
    assert [shown for _, shown in server.asked] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize(
    ("code", "body", "headers", "word"),
    [
        pytest.param(302, b"", {"Location": "http://127.0.0.1:1/"}, "302", id="a redirect is not followed"),
        pytest.param(401, b"", {}, "CONTROLLER_STATUS_TOKEN_FILE", id="a token is missing"),
        pytest.param(500, b"{}", {}, "500", id="a fault"),
        pytest.param(200, b"<html>", {}, "no JSON", id="something else"),
        pytest.param(200, b"[" * 100_000, {}, "no JSON", id="nested without end"),
        pytest.param(200, b" " * 600_000, {}, "longer", id="too large"),
    ],
)
def test_an_answer_that_cannot_be_used_is_none(
    server: _Server, code: int, body: bytes, headers: dict[str, str], word: str
) -> None:
    server.answer = (code, body, headers)
    with pytest.raises(NoAnswer, match=word):
        Asker(loopback=True)(server.address)
    assert len(server.asked) == 1


def test_nobody_there_is_no_answer() -> None:
    with serving() as gone:
        address = gone.address
    with pytest.raises(NoAnswer, match="no answer from"):
        Asker(loopback=True)(address)


def test_a_token_that_cannot_be_read_asks_nobody(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match="token"):
        Asker(str(tmp_path / "none"), loopback=True)(server.address)
    assert server.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "0.0.0.0", "224.0.0.1", "[fe80::1]"])
def test_only_addresses_that_pods_have_are_asked(host: str) -> None:
    with pytest.raises(NoAnswer, match="no address"):
        Asker()(f"{host}:9346")


# Whom, and how often

POD = Pod("default", "p", "u", "lab", "w", "lab", "Workload", "", running=True, address="10.0.0.1:9346")
IN_SYNC = Report((Said(Condition.SYNCED, Truth.TRUE, Because.IN_SYNC, ""),))
STARTING = Report((Said(Condition.SYNCED, Truth.UNKNOWN, Because.FIRST_CYCLE, ""),))


@pytest.fixture
def fleet(fake: FakeCluster, cluster: Cluster) -> Fleet:
    return Fleet(fake, cluster)


class Times:
    """A poller by hand; ``at`` is the time."""

    def __init__(self, fleet: Fleet, pods: int = 1) -> None:
        self.at = 1000.0
        self.sightings = fleet.sightings
        for number in range(pods):
            self.sightings.see(replace(POD, uid=str(number), name=f"p-{number}"))
        self.poller = Poller(fleet.cluster, self.sightings, lambda _: {}, fleet.teller, now=lambda: self.at)

    def waits(self) -> float:
        """Seconds until the first pod is due."""
        start = self.at
        while not self.poller.due():
            self.at += 1 if len(self.sightings.all()) == 1 else 20
        return self.at - start


@pytest.mark.parametrize(
    ("tell", "pods", "expected"),
    [
        pytest.param(lambda seen: None, 1, 0, id="a new pod at once"),
        pytest.param(lambda seen: seen.hear("0", IN_SYNC, 1000.0), 1, 60, id="one that is well, once a minute"),
        pytest.param(lambda seen: seen.hear("0", STARTING, 1000.0), 1, 10, id="one that starts, sooner"),
        pytest.param(lambda seen: seen.miss("0", "x", 1000.0), 1, 10, id="one that does not answer yet"),
        pytest.param(
            lambda seen: [seen.miss("0", "x", 1000.0) for _ in range(9)], 1, 240, id="one that never answers, seldom"
        ),
        pytest.param(
            lambda seen: [seen.hear(str(number), IN_SYNC, 1000.0) for number in range(6000)],
            6000,
            120,
            id="a large fleet, more seldom",
        ),
    ],
)
def test_how_often(fleet: Fleet, tell: Callable[[Sightings], Any], pods: int, expected: float) -> None:
    times = Times(fleet, pods)
    tell(times.sightings)
    assert times.waits() == expected


def test_who_was_asked_longest_ago_comes_first(fleet: Fleet) -> None:
    times = Times(fleet, 3)
    for uid, when in (("0", 900.0), ("1", 700.0), ("2", 800.0)):
        times.sightings.hear(uid, IN_SYNC, when)
    assert [one.pod.uid for one in times.poller.due()] == ["1", "2", "0"]


def test_a_pod_without_address_is_not_asked(fleet: Fleet) -> None:
    times = Times(fleet)
    times.sightings.see(replace(POD, uid="0", address=""))
    assert times.poller.due() == []


def test_it_finds_pods_asks_them_and_ends(fake: FakeCluster, cluster: Cluster, server: _Server) -> None:
    server.answer = (200, json.dumps(said()).encode(), {})
    admit_pods(fake)
    fleet = Fleet(fake, cluster)
    fleet.node("lab")
    fleet.pod("p", "lab", workload="w")
    asked = threading.Event()

    def ask(_address: str) -> Any:
        asked.set()
        return Asker(loopback=True)(server.address)

    poller = Poller(cluster, fleet.sightings, ask, fleet.teller)
    poller.start()
    try:
        assert asked.wait(60)
        running = poller.alive
    finally:
        poller.stop(60)
    assert (running, poller.alive) == (True, False)
    assert server.asked == [("/status", "")]


def test_a_replica_that_does_not_lead_asks_nobody(fake: FakeCluster, cluster: Cluster) -> None:
    fleet, looked = Fleet(fake, cluster), threading.Event()

    def leading() -> bool:
        looked.set()
        return False

    poller = Poller(cluster, fleet.sightings, lambda _: {}, fleet.teller, leading)
    poller.start()
    assert looked.wait(60)
    poller.stop(60)
    assert not fleet.sightings.complete


def test_the_rate_is_what_the_contract_says() -> None:
    assert (polling.RATE, polling.EVERY) == (50.0, 60.0)


def test_a_pod_that_came_while_the_list_was_made_is_not_lost(fleet: Fleet) -> None:
    old, new = replace(POD, uid="old"), replace(POD, uid="new")
    fleet.sightings.see(old)
    known_before = fleet.sightings.uids()
    fleet.sightings.see(new)
    assert fleet.sightings.see_all([], known_before) == [(old, None)]
    assert fleet.sightings.uids() == {"new"}
