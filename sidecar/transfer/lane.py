"""Large transfers in a lane of their own: one each way at a time, across cycles.

So a file that takes an hour delays no small one, and none in the other direction. A cycle that plans
one hands it over and goes on; a later one records what came of it. Workers write no index here either.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final, NamedTuple

from contract.mapping import Direction
from runtime.logs import fields
from sidecar.errors import SyncError
from sidecar.plan import Action
from sidecar.state.index import Scope
from sidecar.transfer.apply import Internal, NoThread, attempt
from sidecar.transfer.bench import Bench, Outcome, Stopping
from sidecar.tree import RelativePath

log = logging.getLogger(__name__)

LARGE: Final = 64 * 2**20  # bytes; smaller ones share the cycle

# A bench whose directory stays open for as long as the transfer takes, not only for a cycle.
OwnBench = Callable[[Bench], AbstractContextManager[Bench]]


class Ended(NamedTuple):
    """A transfer of the lane that is over."""

    action: Action
    outcome: Outcome | SyncError


class Lane:
    """The transfers under way, and those that ended since anyone asked. One thread uses it."""

    def __init__(self, own_bench: OwnBench) -> None:
        self._own_bench = own_bench
        self._workers: dict[Direction, ThreadPoolExecutor] = {}
        self._under_way: set[tuple[Scope, RelativePath]] = set()
        self._ended: dict[Scope, list[Ended]] = {}
        self._changed = threading.Condition()
        self._closing = False

    def begin(self, scope: Scope, bench: Bench, action: Action) -> None:
        """Have ``action`` done, unless it is under way already, or ended and nobody has asked."""
        key = (scope, action.path)
        with self._changed:
            if key in self._under_way or any(one.action.path == action.path for one in self._ended.get(scope, ())):
                return  # planned before it was known to have ended
            self._under_way.add(key)
        direction = bench.mapping.direction
        if direction not in self._workers:
            self._workers[direction] = ThreadPoolExecutor(1, thread_name_prefix=f"large-{direction.value}")
        try:
            self._workers[direction].submit(self._work, scope, bench, action)
        except RuntimeError as error:
            self._workers.pop(direction).shutdown(wait=False, cancel_futures=True)
            self._end(scope, action, NoThread("transfer", action.path, str(error)))

    def ended(self, scope: Scope) -> list[Ended]:
        """What ended of ``scope`` since the last call."""
        with self._changed:
            return self._ended.pop(scope, [])

    def wait(self, scope: Scope) -> None:
        """Until nothing of ``scope`` is under way."""
        with self._changed:
            self._changed.wait_for(lambda: not any(one == scope for one, _ in self._under_way))

    def strays(self, scopes: Iterable[Scope]) -> list[Ended]:
        """What ended of other scopes than these: nobody will record it any more."""
        known = set(scopes)
        with self._changed:
            gone = [scope for scope in self._ended if scope not in known]
            return [one for scope in gone for one in self._ended.pop(scope)]

    def close(self) -> None:
        """End what is under way; it goes on with the next sidecar."""
        self._closing = True
        for workers in self._workers.values():
            workers.shutdown(wait=True, cancel_futures=True)

    def _work(self, scope: Scope, bench: Bench, action: Action) -> None:
        def beat() -> None:
            if self._closing:
                raise Stopping("sync", bench.path(action.path), "the sidecar ends")
            bench.beat()

        self._end(scope, action, self._attempt(replace(bench, beat=beat), action))

    def _end(self, scope: Scope, action: Action, outcome: Outcome | SyncError) -> None:
        with self._changed:
            self._under_way.discard((scope, action.path))
            self._ended.setdefault(scope, []).append(Ended(action, outcome))
            self._changed.notify_all()

    def _attempt(self, bench: Bench, action: Action) -> Outcome | SyncError:
        try:
            with self._own_bench(bench) as own:
                return attempt(own, action)
        except SyncError as error:  # the directory itself cannot be opened
            return error
        except Exception as error:  # whatever it is, somebody waits for this one
            log.exception("transfer failed unexpectedly", **fields(path=action.path))
            return Internal("transfer", action.path, type(error).__name__)
