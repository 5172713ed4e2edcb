"""Keys are renewed beside the requests they sign: who waits, for how long, and what a failure costs."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator

import botocore.credentials
import botocore.session
import pytest

from contract.storage import Credentials
from sidecar.errors import AccessDenied
from sidecar.loop import Loop
from sidecar.remote import renewing as room
from sidecar.remote.credentials import key_source
from sidecar.remote.renewing import PAUSE_SECONDS, Held, Renewing
from tests.fakes.faults import FaultServer, response

DUE = 900  # seconds before their end in which keys are renewed


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def run(loop: Loop) -> None:
    while loop.busy:
        loop.step()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


class Giver:
    """Gives keys named by number, each for an hour; ``answers`` is when, ``down`` whether it refuses then."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.ended = 0
        self.takes = 0.0
        self.down = False
        self.answers = threading.Event()
        self.answers.set()

    def fetch(self) -> Held[str]:
        self.asked += 1
        try:
            assert self.answers.wait(60)
            self.now += self.takes
            if self.down:
                raise AccessDenied("credentials", "default chain", "nobody home")
            end = self.now + 3600
            return Held(f"keys {self.asked}", lambda seconds: end - self.now < (DUE if seconds is None else seconds))
        finally:
            self.ended += 1

    def source(self) -> Renewing[str]:
        return Renewing(self.fetch, lambda: self.now)


def test_keys_that_are_not_due_are_given_without_asking() -> None:
    giver = Giver()
    source = giver.source()
    assert [source() for _ in range(3)] == ["keys 1"] * 3
    giver.now = 3600 - DUE
    assert source() == "keys 1"
    assert giver.asked == 1


def test_keys_that_are_due_sign_on_while_new_ones_are_fetched() -> None:
    giver = Giver()
    source = giver.source()
    source()
    giver.answers.clear()
    giver.now = 3600 - DUE + 1
    assert [source() for _ in range(100)] == ["keys 1"] * 100  # the fetch does not end before they are given
    giver.answers.set()
    until(lambda: source() == "keys 2")
    assert giver.asked == 2


def test_a_renewal_that_fails_costs_valid_keys_nothing_and_is_not_tried_at_every_request() -> None:
    giver = Giver()
    source = giver.source()
    source()
    giver.down = True
    giver.now = 3600 - DUE + 1
    for tries in (2, 3):
        assert source() == "keys 1"
        until(lambda: giver.ended == tries and source._under_way is None)  # noqa: B023 - called here and now
        assert [source() for _ in range(100)] == ["keys 1"] * 100
        assert giver.asked == tries
        giver.now += PAUSE_SECONDS


def test_without_valid_keys_tasks_wait_for_one_fetch_and_let_others_go_on(loop: Loop) -> None:
    giver, got = Giver(), []
    source = giver.source()
    source()
    giver.now = 3600
    giver.answers.clear()
    for _ in range(20):
        loop.start(lambda: got.append(source()))
    loop.start(giver.answers.set)  # never reached where the first one holds the thread
    run(loop)
    assert got == ["keys 2"] * 20
    assert giver.asked == 2


def test_a_failure_that_took_long_is_not_repeated_for_a_few_seconds() -> None:
    giver = Giver()
    source = giver.source()
    giver.down, giver.takes = True, 10.0
    for _ in range(100):
        with pytest.raises(AccessDenied, match="nobody home"):
            source()
    assert giver.asked == 1
    giver.now += PAUSE_SECONDS
    giver.down = False
    assert source() == "keys 2"


def test_a_failure_that_came_at_once_is_repeated_at_once() -> None:
    giver = Giver()
    source = giver.source()
    giver.down = True
    with pytest.raises(AccessDenied):
        source()
    giver.down = False
    until(lambda: source._under_way is None)
    assert source() == "keys 2"


def test_a_giver_that_never_answers_is_given_up_and_later_requests_wait_for_the_same(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    giver, got = Giver(), []
    source = giver.source()
    giver.answers.clear()
    monkeypatch.setattr(room, "WAIT_SECONDS", 0.0)
    with pytest.raises(AccessDenied, match="does not answer"):
        source()
    monkeypatch.setattr(room, "WAIT_SECONDS", 60.0)
    loop.start(lambda: got.append(source()))
    giver.answers.set()
    run(loop)
    assert got == ["keys 1"]
    assert giver.asked == 1


def test_the_sdk_s_own_keys_sign_on_while_its_renewal_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PAUSE_SECONDS", 0.0)  # renewed as soon as they are due
    start = dt.datetime.now(dt.UTC)
    now, answers = [start], threading.Event()

    def fresh() -> dict[str, str]:
        assert answers.wait(60)
        end = now[0] + dt.timedelta(hours=1)
        return {"access_key": "AKNEW", "secret_key": "new", "token": "new", "expiry_time": end.isoformat()}

    found = botocore.credentials.RefreshableCredentials(
        "AKOLD", "old", "old", start + dt.timedelta(hours=1), fresh, "test", time_fetcher=lambda: now[0]
    )
    monkeypatch.setattr(botocore.session.Session, "get_credentials", lambda _: found)
    with FaultServer(lambda _: response(500)) as server:
        source = key_source(server.storage(), Credentials.CHAIN)
    assert source().access_key == "AKOLD"
    now[0] += dt.timedelta(minutes=55)  # where the SDK itself would wait
    assert [source().access_key for _ in range(10)] == ["AKOLD"] * 10
    answers.set()
    until(lambda: source().access_key == "AKNEW")
    assert source().token == "new"
