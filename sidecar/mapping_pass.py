"""One mapping, one pass: look at both sides, plan, apply, and count what came of it.

A pass never raises: whatever ended it early is in its tally. What lives longer than a pass (index,
store, lock) is handed in by the engine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

from contract.mapping import Direction, Mapping
from contract.names import OWN_DIR
from contract.paths import contains
from runtime.logs import fields
from sidecar.budget import BudgetSpent, RequestBudget, cost
from sidecar.errors import AccessDenied, SyncError
from sidecar.local.directories import Root
from sidecar.local.scan import walk_runs
from sidecar.local.watch import Hints
from sidecar.mirror import Absences, Mirror
from sidecar.plan import Action, Download, plan_egress_from, plan_egress_of, plan_ingress, plan_ingress_of
from sidecar.reconcile import Reconcile
from sidecar.relist import Relist
from sidecar.remote.keys import listing_prefix
from sidecar.remote.order import ListingOutOfOrder, Ordering
from sidecar.remote.store import ObjectStore
from sidecar.reporting.metrics import Metrics
from sidecar.reporting.progress import Tally
from sidecar.rescan import Rescan
from sidecar.selection.attention import Attention, Named, Reconciliation
from sidecar.selection.filtering import Filter
from sidecar.selection.patience import Patience
from sidecar.selection.settling import Settling, StillSettling
from sidecar.sides import Sides
from sidecar.state.index import Index, Scope
from sidecar.transfer.apply import Internal
from sidecar.transfer.bench import Bench
from sidecar.transfer.lane import Lane
from sidecar.transfer.pace import Pace
from sidecar.transfer.publish import Publisher
from sidecar.transfer.recorder import Recorder
from sidecar.transfer.transfer import Aside, Transfer
from sidecar.transfer.turns import Turn
from sidecar.tree import RelativePath, Version

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tools:
    """What passes share: long-lived parts of the engine, for one store."""

    store: ObjectStore
    index: Index
    ordering: Ordering
    reconciliation: Reconciliation
    patience: Patience
    budget: RequestBudget
    settling: Settling | None  # None at the end: whatever is there goes
    named: Named
    attention: Attention
    filter: Filter
    hints: Hints  # what the watcher saw since this mapping's last pass
    metrics: Metrics
    pace: Pace
    lane: Lane
    turn: Turn
    wait: bool  # for large files too


class Pass:
    """One pass over one mapping."""

    def __init__(self, tools: Tools, bench: Bench, publisher: Publisher, scope: Scope, tally: Tally) -> None:
        self._tools = tools
        self._bench = bench
        self._publisher = publisher
        self._mapping = bench.mapping
        self._scope = scope
        self._tally = tally
        self._walked_at: float | None = None  # when the walk began that has seen every file

    def run(self, select: Callable[[Iterator[Action]], Iterable[Action]] = lambda actions: actions) -> None:
        """Sync the mapping. ``select`` may reorder or cut short what was planned."""
        try:
            number = self._tools.index.scope(self._scope)
            try:
                self._once(number, select)
            except ListingOutOfOrder:
                self._start_over()
                self._once(number, select)
        except SyncError as error:
            self._failed(error)
        except Exception as error:
            log.exception("a pass failed unexpectedly", **fields(mapping=str(self._mapping)))
            self._failed(Internal("sync", self._mapping.directory, type(error).__name__))
        finally:
            self._remember()
        if self._walked_at is not None and self._tally.complete and not self._tally.reasons:
            # Every file was seen, and every large one gone on with: what is left unfinished is nobody's.
            self._tools.store.end_abandoned(listing_prefix(self._mapping.prefix), self._walked_at)

    def _once(self, number: int, select: Callable[[Iterator[Action]], Iterable[Action]]) -> None:
        tools, egress = self._tools, self._mapping.direction is Direction.EGRESS
        sides, absences = self._sides(), Absences(tools.filter, self._mapping.delete, self._bench.now())
        plan = self._egress if egress else self._ingress
        self._transfer(number, self._affordable(select(self._settled(plan(number, sides, absences)))))
        attention = tools.attention
        attention.proven = attention.proven or self._tally.done > 0
        if attention.denied is not None and not attention.proven:
            self._failed_quietly(attention.denied)  # nothing shows yet that these keys may do anything at all
        everything = sides.seen.walked if egress else sides.seen.listed
        if everything and self._tally.error is None:
            mirror = Mirror(self._bench, tools.index, number, self._publisher, tools.attention, self._tally)
            mirror.settle(absences, sides.seen)

    def _remember(self) -> None:
        """What the next pass builds on; after a pass that broke off it walks, since hints are lost."""
        attention, tally = self._tools.attention, self._tally
        attention.skipped, attention.indexed, attention.ingress_bytes = (
            tally.skipped,
            tally.indexed,
            tally.ingress_bytes,
        )
        if tally.error is not None:
            attention.distrust()

    def _transfer(self, number: int, actions: Iterable[Action]) -> None:
        tools = self._tools
        recorder = Recorder(
            self._bench, tools.index, number, self._tally, tools.metrics, tools.patience, tools.attention
        )
        aside = Aside(tools.lane, self._scope, tools.wait)
        Transfer(self._bench, recorder, self._publisher, tools.pace, aside, tools.turn).run(actions)

    def _start_over(self) -> None:
        """Forget what the broken-off listing said; what was transferred is in the index."""
        done, moved = self._tally.transferred, self._tally.moved_bytes
        self._tally.reset()
        self._tally.transferred, self._tally.moved_bytes = done, moved

    def _egress(self, number: int, sides: Sides, absences: Absences) -> Iterator[Action]:
        now = self._bench.now()
        reconciling = self._tools.reconciliation.due(number)
        if not reconciling and not self._must_walk() and not self._something_left(number, sides):
            sides.carry_on()
            yield from plan_egress_of(sides.changed(number), now)
            return
        listing = self._listing_if_possible(sides) if reconciling else None
        started = time.time()
        rescan = Rescan(sides, self._tools.index, number, self._tools.attention, absences, now)
        if listing is None:
            yield from plan_egress_of(rescan.differing(), now)
        else:
            yield from plan_egress_from(Reconcile(rescan, listing).differing(), now, absences)
        self._walked_at = started
        if reconciling and self._tally.error is None:
            self._tools.reconciliation.done(number)

    def _ingress(self, number: int, sides: Sides, absences: Absences) -> Iterator[Action]:
        restore = self._mapping.restore
        if not self._must_walk():
            sides.carry_on()
            relist = Relist(sides, self._tools.index, number, absences, sides.touched())
            yield from plan_ingress_of(relist.differing(), sides.look, restore=restore)
            return
        yield from plan_ingress(sides.walk(), sides.rows(number), sides.listing(), restore=restore, absent=absences)

    def _sides(self) -> Sides:
        tools = self._tools
        return Sides(
            self._bench,
            tools.index,
            tools.ordering,
            tools.filter,
            tools.attention,
            tools.hints,
            tools.named,
            tools.metrics,
            self._tally,
        )

    def _must_walk(self) -> bool:
        """Whether nothing less than the whole tree will do."""
        return self._tools.hints.everything or self._tools.attention.needs_walk

    def _settled(self, actions: Iterator[Action]) -> Iterator[Action]:
        """Without the files that were not quiet for long enough; those stay pending."""
        settling, wanted = self._tools.settling, self._mapping.settle
        if settling is None or not wanted:
            yield from actions
            return
        for action in actions:
            path = self._bench.path(action.path)
            if isinstance(action, Download) or settling.quiet(path, action.local, wanted, self._bench.now()):
                yield action
            else:
                self._tally.plan(action)
                self._tally.fail(path, StillSettling("send", path, f"it was changed less than {wanted:g} s ago"))
                self._tools.attention.look_again(action.path)

    def _affordable(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Without what today's requests do not suffice for; that stays pending until tomorrow.

        What was let through here is set apart, or a larger file's worker might be the quicker one.
        """
        budget, promised, at_first = self._tools.budget, 0, None
        if budget.limit is None:
            yield from actions
            return
        for action in actions:
            left = budget.left()
            if left is None:
                yield action
                continue
            at_first = left if at_first is None else at_first
            left = min(left, at_first - promised)
            if cost(action) <= left:
                promised += cost(action)
                yield action
                continue
            path = self._bench.path(action.path)
            self._tally.plan(action)
            self._tally.fail(path, BudgetSpent("sync", path, f"{left} requests are left of this day"))
            self._tools.attention.look_again(action.path)

    def _something_left(self, number: int, sides: Sides) -> bool:
        """Whether the watcher tells of what may have been removed: only a walk can show what is missing."""
        if not self._mapping.delete:
            return False
        hints, index = self._tools.hints, self._tools.index
        names = map(RelativePath, hints.files)
        return bool(hints.directories) or any(
            sides.look(name) is None and index.get(number, name) is not None for name in names
        )

    def _listing_if_possible(self, sides: Sides) -> Iterator[list[Version]] | None:
        """The listing to reconcile with; None where the server gives none.

        Keys that may write but not list are common, and no error. Whatever else it is, the walk goes
        on without: what waits on the device must be counted, above all while the server is down.
        """
        listing = sides.versions()
        try:
            first = next(listing, None)
        except AccessDenied as error:
            log.warning("reconciling skipped: the keys may not list", **fields(error=str(error)))
            self._tools.attention.denied = error
            return None
        except ListingOutOfOrder:
            raise
        except SyncError as error:
            self._failed(error)
            return None
        self._tools.attention.denied = None
        return _prepended(first, listing)

    def _failed_quietly(self, error: SyncError) -> None:
        self._tally.fail(self._mapping.directory, error)
        self._count(error.reason)

    def _failed(self, error: SyncError) -> None:
        self._tally.end_early(error)
        self._count(error.reason)

    def _count(self, reason: str) -> None:
        self._tools.metrics.errors.labels(self._mapping.direction.value, reason).inc()


def ingress_size(root: Root, mappings: Iterable[Mapping]) -> int:
    """Bytes on the device below the directories of ``mappings``, each counted once."""
    directories = sorted({mapping.directory for mapping in mappings})
    outermost = [one for one in directories if not any(other != one and contains(other, one) for other in directories)]
    runs = (run for directory in outermost for run in walk_runs(root, directory, lambda _: None, _without_own))
    return sum(sum(map(itemgetter(1), run)) for run in runs)


def _without_own(below: str, names: list[str], _directories: bool) -> list[str]:
    return names if below or OWN_DIR not in names else [name for name in names if name != OWN_DIR]


def _prepended(first: T | None, rest: Iterator[T]) -> Iterator[T]:
    if first is not None:
        yield first
        yield from rest
