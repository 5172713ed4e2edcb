"""Runs the actions of one mapping: many in flight, their outcomes recorded by one thread.

Workers only transfer; outcomes are recorded, and downloads are put in place, in the engine's thread: small files by
tasks that share it, larger ones by threads beside it. One failing file stops nothing else; a failure
that concerns everything (wrong keys, no bucket) stops trying after a few files and only counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from queue import SimpleQueue
from typing import Final, NamedTuple

from sidecar.errors import Misconfigured, SyncError, Throttled, Unreachable
from sidecar.loop import SMALL, LongWork, Loop
from sidecar.plan import Action
from sidecar.state.index import Scope
from sidecar.transfer.apply import NoThread, attempt
from sidecar.transfer.bench import Bench, Done, LeftAlone, Outcome
from sidecar.transfer.crew import Crew
from sidecar.transfer.landing import Landed, Landing
from sidecar.transfer.lane import LARGE, Lane
from sidecar.transfer.pace import Pace
from sidecar.transfer.publish import Publisher
from sidecar.transfer.recorder import Recorder
from sidecar.transfer.turns import Turn
from sidecar.tree import RelativePath

_THREADS: Final = 16  # for larger files at once; more would only take the interpreter lock from each other
_AT_FIRST: Final = 10
_HOPELESS: Final = 5  # failures in a row that concern everything, before the rest is only counted


class Aside(NamedTuple):
    """Where large transfers go; ``wait``: this run ends only when they have."""

    lane: Lane
    scope: Scope
    wait: bool = False


class Transfer:
    """One run of actions. ``pace`` says how many are under way at once."""

    def __init__(
        self,
        bench: Bench,
        recorder: Recorder,
        publisher: Publisher,
        pace: Pace,
        aside: Aside,
        turn: Turn,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bench = bench
        self._recorder = recorder
        self._pace = pace
        self._aside = aside
        self._turn = turn
        self._workers: Crew[Action] | None = None  # made with the first action: most passes have none
        self._results: SimpleQueue[tuple[Action, Outcome | SyncError, bool]] = SimpleQueue()
        self._loop: Loop | None = None  # likewise
        self._running = self._aside_running = 0
        self._landing = Landing(publisher, self._wake, clock)
        self._recorded: set[RelativePath] = set()  # of the lane, in this run
        self._waiting: set[RelativePath] = set()  # handed to the lane, or found there, in this run
        self._one_went = False
        self._hopeless: list[SyncError] = []  # failures in a row that concern everything

    def run(self, actions: Iterable[Action]) -> None:
        """Carry out ``actions`` and record what came of each.

        Raises:
            SyncError: from planning (a listing broke off) or from the index. Everything that was
                under way is finished and recorded first.
        """
        try:
            self._record_ended()
            for action in actions:
                if action.path not in self._recorded:
                    self._take(action)
            self._finish()
            if self._aside.wait:
                self._aside.lane.wait(self._aside.scope)
                self._record_ended()
        finally:
            try:
                self._drain()
            finally:
                self._dismiss()
            self._recorder.commit()

    def _take(self, action: Action) -> None:
        self._recorder.planned(action)
        if len(self._hopeless) >= _HOPELESS:
            self._recorder.failed(action, self._hopeless[-1], quietly=True)
        elif action.size > LARGE:
            self._recorder.under_way(action)
            self._waiting.add(action.path)
            self._aside.lane.begin(self._aside.scope, self._bench, action)
        elif self._turn.over:
            self._recorder.put_off()
        else:
            while self._running >= self._most or (action.size > SMALL and self._aside_running >= _THREADS):
                self._collect()
            self._begin(action)

    @property
    def _most(self) -> int:
        """How many may run: a few until one has gone, lest wrong keys are tried with dozens at once."""
        return self._pace.limit if self._one_went else min(_AT_FIRST, self._pace.limit)

    def _finish(self) -> None:
        while self._running:
            self._collect()
        self._land(self._landing.all_landed())

    def _drain(self) -> None:
        """Finish also where recording fails: tasks that were left would keep what they hold, for ever."""
        failed: Exception | None = None
        while self._running or self._landing.busy:
            try:
                self._finish()
            except Exception as error:  # noqa: BLE001 - raised below; each time something was taken off before
                failed = failed or error
        if failed is not None:
            raise failed

    def _dismiss(self) -> None:
        if self._workers is not None:
            self._workers.dismiss()
        self._landing.close()
        if self._loop is not None:
            self._loop.close()  # last: the threads wake it

    def _record_ended(self) -> None:
        """Record what the lane finished; what is planned of it nevertheless was planned before."""
        for ended in self._aside.lane.ended(self._aside.scope):
            if ended.action.path in self._waiting:
                self._waiting.discard(ended.action.path)
                self._recorder.ended_after_all()
            else:
                self._recorder.planned(ended.action)
            if not isinstance(ended.outcome, SyncError):
                self._recorded.add(ended.action.path)
            self._record(ended.action, ended.outcome)

    def _begin(self, action: Action) -> None:
        if self._loop is None:
            self._loop = Loop()
            self._pace.begin()
        self._running += 1
        if action.size <= SMALL:
            self._loop.start(partial(self._work, action))
        else:
            self._give_away(action)

    def _work(self, action: Action) -> None:
        try:
            outcome = attempt(self._bench, action)
        except LongWork:
            self._give_away(action)
        else:
            self._results.put((action, outcome, False))

    def _give_away(self, action: Action) -> None:
        """To a thread of its own."""
        if self._workers is None:
            self._workers = Crew("transfer", self._work_aside)
        self._aside_running += 1
        try:
            self._workers.give(action, self._aside_running)
        except RuntimeError as error:  # not even one can be had
            self._results.put((action, NoThread("transfer", action.path, str(error)), True))

    def _work_aside(self, action: Action) -> None:
        self._results.put((action, attempt(self._bench, action), True))
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None:  # what the lane brought lands without one
            self._loop.wake()

    def _collect(self) -> None:
        assert self._loop is not None
        while True:
            if self._landing.busy:
                self._land(self._landing.landed())
            if not self._results.empty():
                break
            self._loop.step()
            self._heed_stop(self._loop)
        action, outcome, aside = self._results.get()
        self._aside_running -= aside
        self._pace.ended(action.size, full=self._running >= self._pace.limit)
        self._running -= 1
        self._bench.alive()
        self._record(action, outcome)

    def _heed_stop(self, loop: Loop) -> None:
        """All that wait have a limit, so waiting is no standstill; but it must not outlast the time to stop."""
        try:
            self._bench.beat()
        except SyncError as stopping:
            loop.interrupt(stopping)

    def _record(self, action: Action, outcome: Outcome | SyncError) -> None:
        if isinstance(outcome, SyncError):
            self._failed(action, outcome)
            return
        self._hopeless.clear()
        self._one_went = True
        if isinstance(outcome, LeftAlone):
            self._recorder.left_alone(action)
        elif isinstance(outcome, Done):
            self._recorder.done(action, outcome)
        else:
            self._landing.add(outcome)

    def _failed(self, action: Action, error: SyncError) -> None:
        if isinstance(error, (Throttled, Unreachable)):
            self._pace.refused()
        if isinstance(error, Misconfigured):
            self._hopeless.append(error)
        self._recorder.failed(action, error)

    def _land(self, landed: Iterable[Landed]) -> None:
        outcomes = list(landed)
        for fetched, outcome in outcomes:  # before anything is recorded: an index that fails must keep no room
            self._bench.space.release(fetched.action.size, kept=not isinstance(outcome, SyncError))
        for fetched, outcome in outcomes:
            if isinstance(outcome, SyncError):
                self._failed(fetched.action, outcome)
            else:
                self._recorder.agreed(fetched.action, outcome, outcome.remote_size)
