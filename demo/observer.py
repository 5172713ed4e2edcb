"""Watches a sidecar from outside: follows its log, asks its ``/status``, and waits for its cycles.

What it hears is shown, never trusted: ``bucket`` checks the contents. Neighbours: ``board`` holds
what was seen, ``screen`` shows it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from contract import names
from demo.board import Board
from demo.errors import CycleDidNotCome
from demo.runner import PodRunner
from demo.screen import Screen

_POLL = 0.2  # seconds between two looks: a file that grows tells nobody


class Observer:
    """Follows the sidecar of ``runner``, which has been started, while inside its ``with`` block."""

    def __init__(self, runner: PodRunner, board: Board, screen: Screen) -> None:
        self._runner = runner
        self._sidecar = runner.processes[names.SIDECAR_CONTAINER]
        self._board = board
        self._screen = screen
        self._cycles: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="observer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Look a last time and end; again is fine."""
        self._stop.set()
        self._thread.join()

    def cycles(self, direction: str) -> list[dict[str, Any]]:
        """The log's lines about finished cycles of ``direction``, the oldest first."""
        with self._changed:
            return [line for line in self._cycles if line["direction"] == direction]

    def wait_for(self, what: str, happened: Callable[[], bool], seconds: float) -> None:
        """Return once ``happened``, looked at after every finished cycle.

        Raises:
            CycleDidNotCome: it did not within ``seconds``, or a container ended before.
        """
        deadline = time.monotonic() + seconds
        while not happened():
            ended = self._runner.ended()
            if ended is not None:
                raise CycleDidNotCome(f"container {ended.name} ended with {ended.exit_code} before {what}", ended.log)
            if time.monotonic() > deadline:
                raise CycleDidNotCome(f"{what} did not come within {seconds:.0f} s", self._sidecar.log)
            with self._changed:
                self._changed.wait(_POLL)

    def _watch(self) -> None:
        with self._sidecar.log.open(encoding="utf-8", errors="replace") as log:
            unfinished = ""
            while True:
                last_look = self._stop.is_set()
                unfinished = self._read(unfinished + log.read())
                self._ask()
                if last_look:
                    return
                self._stop.wait(_POLL)

    def _read(self, text: str) -> str:
        """Take in all whole lines of ``text`` and return the rest."""
        *lines, rest = text.split("\n")
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            self._take(entry if isinstance(entry, dict) else {"message": line})
        return rest

    def _take(self, line: dict[str, Any]) -> None:
        arrival = self._board.add_line(line)
        if arrival is not None:
            self._screen.arrived(arrival)
        if line.get("message") == "cycle":
            self._screen.cycle_ended(line)
            with self._changed:
                self._cycles.append(line)
                self._changed.notify_all()

    def _ask(self) -> None:
        text = self._runner.get("/status")
        if text:
            self._board.add_status(json.loads(text))


def moved(before: str, after: str) -> list[tuple[str, float, float]]:
    """The samples of two ``/metrics`` texts that differ: name with labels, value before, value after."""
    old, new = _samples(before), _samples(after)
    return [(name, old.get(name, 0.0), value) for name, value in new.items() if value != old.get(name, 0.0)]


def _samples(text: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("data_sync_")]
    noise = ("_bucket{", "_created", "_timestamp_seconds", "_age_seconds", "_free_bytes")
    return {name: float(value) for name, _, value in lines if not any(part in name for part in noise)}
