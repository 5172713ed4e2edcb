"""Tasks that share a thread: they take turns where they wait, every wait ends, and threads may use the same words."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from sidecar.limits import Memory
from sidecar.loop import (
    SMALL,
    LongWork,
    Loop,
    in_loop,
    pausing,
    readable,
    stay_short,
    step_aside,
    take_turns,
    writable,
)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    yield one, other
    one.close()
    other.close()


def run(loop: Loop) -> None:
    while loop.busy:
        loop.step()


def test_a_task_that_waits_lets_the_others_go_on(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    told: list[str] = []

    def reader() -> None:
        told.append("asks")
        readable(pair[0].fileno(), 60)
        told.append(pair[0].recv(10).decode())

    def writer() -> None:
        told.append("writes")
        writable(pair[1].fileno(), 60)
        pair[1].send(b"hello")

    loop.start(reader)
    loop.start(writer)
    run(loop)

    assert told == ["asks", "writes", "hello"]


def test_what_was_there_before_the_wait_ends_it(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].send(b"early")
    seen: list[bytes] = []

    def reader() -> None:
        for size in (2, 3):  # and what is left of it the second one
            readable(pair[0].fileno(), 60)
            seen.append(pair[0].recv(size))

    loop.start(reader)
    run(loop)

    assert seen == [b"ea", b"rly"]


def test_a_wait_that_is_too_long_ends_as_a_timeout_of_that_task_alone(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    now = [0.0]
    loop = Loop(clock=lambda: now[0])
    ends: list[str] = []

    def impatient() -> None:
        try:
            readable(pair[0].fileno(), 5)
        except TimeoutError:
            ends.append("timeout")

    def patient() -> None:
        readable(pair[1].fileno(), 500)
        ends.append("answer")

    loop.start(impatient)
    loop.start(patient)
    now[0] = 6.0
    loop.step()
    assert ends == ["timeout"]

    pair[0].send(b"x")
    run(loop)
    loop.close()
    assert ends == ["timeout", "answer"]


def test_the_end_of_a_connection_ends_the_wait(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    got: list[bytes] = []

    def reader() -> None:
        readable(pair[0].fileno(), 60)
        got.append(pair[0].recv(10))

    loop.start(reader)
    pair[1].close()
    run(loop)
    assert got == [b""]


def test_a_descriptor_that_is_given_out_anew_can_be_waited_for(loop: Loop) -> None:
    seen: list[int] = []

    def many() -> None:
        for _ in range(3):
            one, other = socket.socketpair()
            other.send(b"x")
            readable(one.fileno(), 60)
            seen.append(one.fileno())
            one.close()
            other.close()

    loop.start(many)
    run(loop)
    assert len(seen) == 3
    assert len(set(seen)) == 1  # else this says nothing


def test_pauses_overlap_and_a_stop_cuts_them_short(loop: Loop) -> None:
    stopped = threading.Event()
    pause = pausing(stopped.wait)
    ended: list[bool] = []
    for _ in range(3):
        loop.start(lambda: ended.append(pause(3600.0)))

    stopped.set()
    run(loop)
    assert ended == [True, True, True]


def test_whoever_runs_the_loop_may_wait_too_and_the_tasks_go_on(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    """As a listing does while transfers are under way: here its answer comes of what a task does."""
    other, another = socket.socketpair()
    with other, another:

        def task() -> None:
            readable(other.fileno(), 60)
            pair[1].send(b"answer")

        loop.start(task)
        another.send(b"x")
        readable(pair[0].fileno(), 60)
        assert pair[0].recv(10) == b"answer"
        assert not loop.busy


def test_a_wait_of_whoever_runs_the_loop_ends_too(pair: tuple[socket.socket, socket.socket]) -> None:
    now = [0.0]
    loop = Loop(clock=lambda: now.__setitem__(0, now[0] + 1.0) or now[0])
    loop.start(lambda: readable(pair[1].fileno(), 3600))
    with pytest.raises(TimeoutError):
        readable(pair[0].fileno(), 2)
    pair[0].send(b"x")
    run(loop)
    loop.close()


def test_what_is_long_may_let_the_tasks_take_turns(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    seen: list[bytes] = []

    def task() -> None:
        readable(pair[0].fileno(), 60)
        seen.append(pair[0].recv(10))

    take_turns()
    loop.start(task)
    take_turns()
    assert seen == []
    pair[1].send(b"x")
    take_turns()
    assert seen == [b"x"]


def test_a_task_may_not_take_on_much(loop: Loop) -> None:
    stay_short(SMALL + 1)  # in no loop
    loop.start(lambda: stay_short(SMALL))
    with pytest.raises(LongWork):
        loop.start(lambda: stay_short(SMALL + 1))


def test_a_pause_ends_by_itself(loop: Loop) -> None:
    ended: list[bool] = []
    loop.start(lambda: ended.append(pausing(lambda _: False)(0.01)))
    run(loop)
    assert ended == [False]


def test_a_thread_wakes_the_loop(monkeypatch: pytest.MonkeyPatch, pair: tuple[socket.socket, socket.socket]) -> None:
    monkeypatch.setattr("sidecar.loop._SWEEP", 3600.0)
    loop = Loop()
    loop.start(lambda: readable(pair[0].fileno(), 3600))
    rescue = threading.Timer(60, lambda: pair[1].send(b"x"))  # what ends the step where the wake does not
    rescue.start()

    threading.Thread(target=loop.wake).start()
    loop.step()

    assert loop.busy
    rescue.cancel()
    pair[1].send(b"x")
    run(loop)
    loop.close()


def test_outside_a_loop_the_thread_itself_waits(pair: tuple[socket.socket, socket.socket]) -> None:
    assert not in_loop()
    with pytest.raises(TimeoutError):
        readable(pair[0].fileno(), 0.01)
    pair[1].send(b"x")
    readable(pair[0].fileno(), 60)
    writable(pair[0].fileno(), 60)
    assert pausing(lambda seconds: seconds == 7.0)(7.0)


def test_tasks_that_hold_memory_do_not_lock_up_the_thread_they_share(loop: Loop) -> None:
    """A file may have grown since it was seen, so that its body needs room that tasks of this thread hold."""
    memory, order = Memory(100_000), list[str]()

    def hold(name: str) -> None:
        with memory.lease(80_000):
            order.append(f"{name} has it")
            step_aside(0.01)
        order.append(f"{name} gave it back")

    loop.start(lambda: hold("one"))
    loop.start(lambda: hold("other"))
    run(loop)

    assert order == ["one has it", "one gave it back", "other has it", "other gave it back"]


def test_what_a_task_raises_comes_to_whoever_runs_it(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    def fails() -> None:
        readable(pair[0].fileno(), 60)
        raise KeyError("lost")

    loop.start(fails)
    os.write(pair[1].fileno(), b"x")
    with pytest.raises(KeyError, match="lost"):
        run(loop)
