"""The work queue, with the clock in hand."""

from __future__ import annotations

from controller.queueing import WorkQueue
from controller.resources import Key

ONE, TWO = Key("EdgeDevice", "n", "one"), Key("EdgeDevice", "n", "two")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_that_is_marked_twice_comes_once() -> None:
    queue = WorkQueue(Clock())
    queue.add(ONE)
    queue.add(TWO)
    queue.add(ONE)
    assert [queue.take(0), queue.take(0), queue.take(0)] == [ONE, TWO, None]


def test_a_key_that_is_marked_while_in_work_comes_again_afterwards() -> None:
    queue = WorkQueue(Clock())
    queue.add(ONE)
    assert queue.take(0) == ONE
    queue.add(ONE)
    assert queue.take(0) is None  # never in two hands at once
    assert not queue.idle()
    queue.done(ONE)
    assert queue.take(0) == ONE
    queue.done(ONE)
    assert queue.idle()


def test_a_key_waits_for_its_time_and_not_longer() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add_after(ONE, 10)
    queue.add_after(ONE, 5)
    queue.add_after(ONE, 20)
    clock.now = 4.9
    assert queue.take(0) is None
    clock.now = 5.0
    assert queue.take(0) == ONE
    queue.done(ONE)
    clock.now = 100.0
    assert queue.take(0) is None  # the other times were superseded


def test_news_do_not_wait() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add_after(ONE, 10)
    queue.add(ONE)
    assert queue.take(0) == ONE
    queue.done(ONE)
    clock.now = 11.0
    assert queue.take(0) is None


def test_failures_wait_ever_longer_up_to_a_limit_until_one_succeeds() -> None:
    queue = WorkQueue(Clock())
    delays = [queue.failed(ONE) for _ in range(40)]
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert max(delays) == delays[-1] == 120.0
    assert queue.failed(TWO) == 0.2
    queue.succeeded(ONE)
    assert queue.failed(ONE) == 0.2


def test_a_closed_queue_gives_nothing() -> None:
    queue = WorkQueue()
    queue.add(ONE)
    queue.close()
    assert queue.take(60) is None
