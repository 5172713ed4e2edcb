"""Runs the actions of one mapping: many in flight, their outcomes recorded by one thread.

Workers only transfer; outcomes are recorded, and downloads are put in place, in the engine's thread. Downloads are
placed in batches, so that one flush serves many. One failing file stops nothing else; a failure
that concerns everything (wrong keys, no bucket) stops trying after a few files and only counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Final

from sidecar.errors import Misconfigured, SyncError, Throttled, Unreachable
from sidecar.loop import Loop
from sidecar.plan import Action
from sidecar.state.index import Scope
from sidecar.transfer.apply import attempt
from sidecar.transfer.bench import Bench, Done, LeftAlone, Outcome
from sidecar.transfer.crew import Crew
from sidecar.transfer.lane import LARGE, Lane
from sidecar.transfer.pace import Pace
from sidecar.transfer.publish import Fetched, Publisher
from sidecar.transfer.recorder import Recorder
from sidecar.transfer.turns import Turn
from sidecar.tree import Agreed, RelativePath

log = logging.getLogger(__name__)

SMALL: Final = 32 * 2**10  # bytes; what is larger has work enough for a thread of its own
_BATCH_FILES: Final = 64
_BATCH_SECONDS: Final = 0.5
_HOPELESS: Final = 5  # failures in a row that concern everything, before the rest is only counted


@dataclass(frozen=True, slots=True)
class Aside:
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
        self._publisher = publisher
        self._pace = pace
        self._aside = aside
        self._turn = turn
        self._workers: Crew[Action] | None = None  # made with the first action: most passes have none
        self._clock = clock
        self._results: SimpleQueue[tuple[Action, Outcome | SyncError]] = SimpleQueue()
        self._loop: Loop | None = None  # likewise
        self._running = self._aside_running = 0
        self._batch: list[Fetched] = []
        self._batch_since = 0.0
        self._recorded: set[RelativePath] = set()  # of the lane, in this run
        self._waiting: set[RelativePath] = set()  # handed to the lane, or found there, in this run
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
            self._finish()
            if self._workers is not None:
                self._workers.dismiss()
            if self._loop is not None:
                self._loop.close()
            self._publish()
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
            while self._running >= self._pace.limit:
                self._collect()
            self._begin(action)

    def _finish(self) -> None:
        while self._running:
            self._collect()

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
            return
        if self._workers is None:
            self._workers = Crew("transfer", self._work_aside)
        self._aside_running += 1
        self._workers.give(action, self._aside_running)

    def _work(self, action: Action) -> None:
        self._results.put((action, attempt(self._bench, action)))

    def _work_aside(self, action: Action) -> None:
        self._work(action)
        if self._loop is not None:
            self._loop.wake()

    def _collect(self) -> None:
        assert self._loop is not None
        while self._loop.busy and self._results.empty():
            self._loop.step()
        action, outcome = self._results.get()
        self._aside_running -= action.size > SMALL
        self._pace.ended(action.size, full=self._running >= self._pace.limit)
        self._running -= 1
        self._bench.alive()
        self._record(action, outcome)

    def _record(self, action: Action, outcome: Outcome | SyncError) -> None:
        if isinstance(outcome, SyncError):
            self._failed(action, outcome)
            return
        self._hopeless.clear()
        if isinstance(outcome, LeftAlone):
            self._recorder.left_alone(action)
        elif isinstance(outcome, Done):
            self._recorder.done(action, outcome)
        else:
            self._gather(outcome)

    def _failed(self, action: Action, error: SyncError) -> None:
        if isinstance(error, (Throttled, Unreachable)):
            self._pace.refused()
        if isinstance(error, Misconfigured):
            self._hopeless.append(error)
        self._recorder.failed(action, error)

    def _gather(self, fetched: Fetched) -> None:
        if not self._batch:
            self._batch_since = self._clock()
        self._batch.append(fetched)
        if len(self._batch) >= _BATCH_FILES or self._clock() - self._batch_since > _BATCH_SECONDS:
            self._publish()

    def _publish(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        try:
            self._publisher.make_durable(batch)
        except SyncError as error:
            for fetched in batch:
                self._publisher.discard(fetched)
                self._give_back(fetched, error)
            return
        placed = [pair for pair in map(self._place, batch) if pair is not None]
        try:
            self._publisher.make_names_durable([fetched for fetched, _ in placed])
        except SyncError as error:  # they are there, but may not survive a power cut: say nothing of them
            for fetched, _ in placed:
                self._give_back(fetched, error)
            return
        for fetched, agreed in placed:
            self._bench.space.release(fetched.action.size, kept=True)
            self._recorder.agreed(fetched.action, agreed, agreed.remote_size)

    def _place(self, fetched: Fetched) -> tuple[Fetched, Agreed] | None:
        try:
            local = self._publisher.place(fetched)
        except SyncError as error:
            self._give_back(fetched, error)
            return None
        remote = fetched.action.remote
        return fetched, Agreed(remote.path, local, fetched.sha256, remote.etag, remote.size)

    def _give_back(self, fetched: Fetched, error: SyncError) -> None:
        self._bench.space.release(fetched.action.size, kept=False)
        self._failed(fetched.action, error)
