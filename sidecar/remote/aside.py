"""Work that blocks and cannot be told not to, done in a thread: a look-up of a name, a library's own HTTP.

Part of the S3 adapter. A task of a loop shares its thread with all others (``sidecar/loop.py``), so what
would hold that thread is begun here and asked for its outcome. It is never cut short: it goes on after
whoever waited has given up, and somebody else may wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Final, TypeVar

from sidecar.loop import in_loop, step_aside

T = TypeVar("T")

_FIRST_STEP: Final = 0.001  # seconds until a task looks for the outcome; doubles, since most are there soon
_LONGEST_STEP: Final = 0.1


def begin(name: str, work: Callable[[], T]) -> Future[T]:
    """``work``, under way in a thread called ``name`` that keeps no process from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever asks for the outcome
            future.set_exception(error)

    try:
        Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:  # no more threads to be had: then it holds the others up, which is better than never
        run()
    return future


def outcome(future: Future[T], seconds: float) -> T:
    """What ``future`` comes to; tasks of a loop let others go on meanwhile.

    Raises:
        TimeoutError: nothing within ``seconds``.
        Exception: what the work raised.
    """
    if not in_loop():
        return future.result(seconds)
    until, step = time.monotonic() + seconds, _FIRST_STEP
    while not future.done():
        if time.monotonic() >= until:
            raise TimeoutError("timed out")
        step_aside(step)
        step = min(step * 2, _LONGEST_STEP)
    return future.result()
