"""Looking hosts up: a silent name service holds up neither the other tasks of a loop nor the next request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from sidecar.loop import Loop, step_aside
from sidecar.remote import names as room
from sidecar.remote.aside import begin, outcome
from sidecar.remote.dial import Address, Dialer
from sidecar.remote.names import KEPT_SECONDS, Addresses, Names

FOUND: Addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def run(loop: Loop) -> None:
    while loop.busy:
        loop.step()


class Service:
    """A name service on a clock of its own: each look-up ``takes`` so long, and fails while ``down``."""

    def __init__(self, takes: float = 10.0) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.down = True
        self._takes = takes

    def look_up(self, host: str, _port: int) -> Addresses:
        self.asked.append(host)
        self.now += self._takes
        if self.down:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return FOUND

    def names(self) -> Names:
        return Names(self.look_up, lambda: self.now)


def refused(names: Names, host: str = "s3.example") -> None:
    with pytest.raises(socket.gaierror, match="Temporary failure") as caught:
        names.addresses(host, 80)
    assert caught.value.errno == socket.EAI_AGAIN


def test_a_lookup_that_took_long_and_failed_is_not_repeated_for_a_few_seconds() -> None:
    service = Service()
    names = service.names()
    for _ in range(1000):
        refused(names)
    assert service.asked == ["s3.example"]
    service.now += KEPT_SECONDS
    service.down = False
    assert names.addresses("s3.example", 80) == FOUND


def test_a_lookup_that_failed_at_once_is_repeated_at_once() -> None:
    service = Service(takes=0.0)
    names = service.names()
    refused(names)
    service.down = False
    assert names.addresses("s3.example", 80) == FOUND


def test_a_failure_is_one_host_s() -> None:
    service = Service()
    names = service.names()
    refused(names)
    refused(names, "other.example")
    assert service.asked == ["s3.example", "other.example"]


def test_what_was_found_is_looked_up_anew() -> None:
    service = Service()
    service.down = False
    names = service.names()
    for _ in range(2):
        assert names.addresses("s3.example", 80) == FOUND
    assert len(service.asked) == 2


def test_a_silent_service_lets_the_other_tasks_go_on_and_is_asked_once_for_all(loop: Loop) -> None:
    answers, asked, got = threading.Event(), [], []

    def look_up(host: str, _port: int) -> Addresses:
        asked.append(host)
        assert answers.wait(60)
        return FOUND

    names = Names(look_up)
    for _ in range(20):
        loop.start(lambda: got.append(names.addresses("s3.example", 80)))
    loop.start(answers.set)  # never reached where the first one holds the thread
    run(loop)

    assert got == [FOUND] * 20
    assert asked == ["s3.example"]


def test_tasks_get_the_failure_itself_and_a_later_one_gets_it_at_once(loop: Loop) -> None:
    service, answers, failed = Service(), threading.Event(), []

    def look_up(host: str, port: int) -> Addresses:
        assert answers.wait(60)
        return service.look_up(host, port)

    names = Names(look_up, lambda: service.now)

    def task() -> None:
        refused(names)
        failed.append(1)

    for _ in range(3):
        loop.start(task)
    answers.set()
    run(loop)
    loop.start(task)
    assert len(failed) == 4  # without a step of the loop
    assert service.asked == ["s3.example"]


def test_a_task_gives_a_lookup_up_that_never_ends_and_later_ones_wait_for_the_same(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, asked, told, now = threading.Event(), [], [], [0.0]

    def look_up(host: str, _port: int) -> Addresses:
        asked.append(host)
        assert answers.wait(60)
        return FOUND

    names = Names(look_up, lambda: now[0])

    def task() -> None:
        try:
            told.append(str(names.addresses("s3.example", 80)))
        except OSError as error:
            told.append(str(error))

    monkeypatch.setattr(room, "LOOKUP_SECONDS", 0.0)
    loop.start(task)  # gives up at once
    monkeypatch.setattr(room, "LOOKUP_SECONDS", 60.0)
    now[0] += 0.001
    loop.start(task)
    answers.set()
    run(loop)
    assert told == ["no name service answers about 's3.example'", str(FOUND)]
    assert asked == ["s3.example"]


def test_a_dialer_lets_others_go_on_while_a_name_is_looked_up(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def getaddrinfo(*_: object, **__: object) -> Addresses:
        assert answers.wait(60)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    failed: list[str] = []

    def task() -> None:
        with pytest.raises(socket.gaierror) as caught:
            Dialer(None, 60.0).dial(Address("http", "s3.example", 80))
        failed.append(str(caught.value.strerror))

    loop.start(task)
    loop.start(answers.set)
    run(loop)
    assert failed == ["Name or service not known"]


def test_work_is_done_all_the_same_where_no_thread_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert outcome(begin("work", lambda: "done"), 0.0) == "done"


def test_a_task_hears_what_went_wrong_in_the_thread(loop: Loop) -> None:
    heard: list[str] = []

    def work() -> None:
        raise ValueError("in the thread")

    def task() -> None:
        with pytest.raises(ValueError, match="in the thread") as caught:
            outcome(begin("work", work), 60)
        heard.append(str(caught.value))

    loop.start(task)
    loop.start(lambda: step_aside(0.0))
    run(loop)
    assert heard == ["in the thread"]
