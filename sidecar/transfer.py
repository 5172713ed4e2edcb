"""Runs the actions of one mapping: many in flight, their outcomes recorded by one thread.

Workers only transfer; outcomes are recorded, and downloads are put in place, in the engine's thread. Downloads are
placed in batches, so that one flush serves many. One failing file stops nothing else; a failure
that concerns everything (wrong keys, no bucket) stops trying after a few files and only counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from queue import SimpleQueue
from typing import Final

from runtime.logs import fields
from sidecar.apply import apply
from sidecar.bench import Bench, Done, LeftAlone, Outcome
from sidecar.errors import Misconfigured, SyncError
from sidecar.plan import Action
from sidecar.publish import Fetched, Publisher
from sidecar.recorder import Recorder
from sidecar.tree import Agreed

log = logging.getLogger(__name__)

_BATCH_FILES: Final = 64
_BATCH_SECONDS: Final = 0.5
_HOPELESS: Final = 5  # failures in a row that concern everything, before the rest is only counted


class Internal(SyncError):
    """A fault of our own; the log has the traceback."""

    reason = "internal"
    hint = "please report this"


class Transfer:
    """One run of actions. ``in_flight`` bounds both parallel transfers and memory."""

    def __init__(
        self,
        bench: Bench,
        recorder: Recorder,
        publisher: Publisher,
        executor: Executor,
        in_flight: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bench = bench
        self._recorder = recorder
        self._publisher = publisher
        self._executor = executor
        self._limit = in_flight
        self._clock = clock
        self._results: SimpleQueue[tuple[Action, Outcome | SyncError]] = SimpleQueue()
        self._running = 0
        self._batch: list[Fetched] = []
        self._batch_since = 0.0
        self._hopeless: list[SyncError] = []  # failures in a row that concern everything

    def run(self, actions: Iterable[Action]) -> None:
        """Carry out ``actions`` and record what came of each.

        Raises:
            SyncError: from planning (a listing broke off) or from the index. Everything that was
                under way is finished and recorded first.
        """
        try:
            for action in actions:
                self._recorder.planned(action)
                if len(self._hopeless) >= _HOPELESS:
                    self._recorder.failed(action, self._hopeless[-1], quietly=True)
                    continue
                while self._running >= self._limit:
                    self._collect()
                self._running += 1
                self._executor.submit(self._work, action)
        finally:
            while self._running:
                self._collect()
            self._publish()
            self._recorder.commit()

    def _work(self, action: Action) -> None:
        try:
            self._results.put((action, apply(self._bench, action)))
        except SyncError as error:
            self._results.put((action, error))
        except BaseException as error:  # whatever it is, the engine must hear of it
            log.exception("transfer failed unexpectedly", **fields(path=action.path))
            self._results.put((action, Internal("transfer", action.path, type(error).__name__)))

    def _collect(self) -> None:
        action, outcome = self._results.get()
        self._running -= 1
        self._bench.alive()
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
