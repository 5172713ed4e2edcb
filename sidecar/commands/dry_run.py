"""``--once --dry-run``: what a cycle would do now, printed; nothing is done.

Uses the planner of the sidecar on what is seen at this moment, by a full walk and a listing, as the
first cycle of a process does. What only reading or asking could settle is printed with that condition.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TextIO

from contract.mapping import Mapping
from sidecar.commands.scene import Scene, arrow, sends
from sidecar.errors import AccessDenied, SyncError
from sidecar.local.notices import Notice, Passed
from sidecar.mirror import Absences, doubt
from sidecar.plan import Action, Compare, Download, RemoteFile, Upload, plan_egress, plan_ingress
from sidecar.remote.keys import key_for, printable
from sidecar.selection.filtering import Filter
from sidecar.sides import Seen
from sidecar.tree import Agreed, LocalEntry

LOOKED, NOT_LOOKED = 0, 1


@dataclass(slots=True)
class DryRun:
    """One run; ``now`` in seconds since the epoch."""

    scene: Scene
    now: Callable[[], float]
    out: TextIO = field(default_factory=lambda: sys.stdout)
    _planned: int = 0
    _failed: bool = False

    def run(self) -> int:
        """Print it; :data:`NOT_LOOKED` where something could not be looked at."""
        for mapping in self.scene.mappings:
            try:
                self._mapping(mapping)
            except SyncError as error:
                self._fail(mapping, str(error))
        print(f"{self._planned} files would be looked at or moved", file=self.out)
        return NOT_LOOKED if self._failed else LOOKED

    def _mapping(self, mapping: Mapping) -> None:
        filter_, seen = self.scene.filter(mapping), Seen()
        absences = Absences(filter_, mapping.delete, self.now())
        number = self.scene.scope(mapping)
        rows = self._rows(number, seen)
        here = self._here(mapping, filter_, seen)
        if sends(mapping):
            there = self._there_if_allowed(mapping, filter_, seen)
            plan: Iterator[Action] = iter(plan_egress(here, rows, there, self.now(), absences))
        else:
            there = self._there(mapping, filter_, seen)
            plan = iter(plan_ingress(here, rows, there, restore=mapping.restore, absent=absences))
        for action in plan:
            self._planned += 1
            print(f"{arrow(mapping)}: {self._words(mapping, action)}", file=self.out)
        if mapping.delete:
            self._removals(mapping, absences, seen)

    def _rows(self, number: int | None, seen: Seen) -> Iterator[Agreed]:
        for row in self.scene.index.rows(number):
            seen.rows += 1
            yield row

    def _here(self, mapping: Mapping, filter_: Filter, seen: Seen) -> Iterator[LocalEntry]:
        def notice(notice: Notice) -> None:
            if notice.why is Passed.SPECIAL or (notice.why is Passed.MISSING and not sends(mapping)):
                return
            seen.blind = True
            self._fail(mapping, f"{notice.name}: {notice.detail}")

        for entry in self.scene.here(mapping, filter_, notice):
            seen.files += 1
            yield entry
        seen.walked = True

    def _there(self, mapping: Mapping, filter_: Filter, seen: Seen) -> Iterator[RemoteFile]:
        quarantined = self.scene.there(
            mapping, filter_, lambda fault: self._say(mapping, f"never: {fault.name}: {fault.why}", ingress_only=True)
        )
        for remote in quarantined:
            seen.objects += 1
            yield remote
        seen.listed = True

    def _there_if_allowed(self, mapping: Mapping, filter_: Filter, seen: Seen) -> Iterator[RemoteFile] | None:
        listed = self._there(mapping, filter_, seen)
        try:
            first = next(listed, None)
        except AccessDenied:
            self._say(mapping, "the keys may not list: compared with the index alone")
            return None
        return _prepended(first, listed)

    def _words(self, mapping: Mapping, action: Action) -> str:
        key = key_for(mapping.prefix, action.path)
        shown, place = printable(action.path), f"{printable(key)} ({action.size} bytes)"
        if isinstance(action, Upload):
            there = action.remote is not None and action.agreed is None
            return f"upload {shown} → {place}" + (", unless the bucket has that content" if there else "")
        if isinstance(action, Compare):
            return f"compare {shown} with what was agreed, since only its times moved"
        assert isinstance(action, Download)
        edited = ", and what is there is kept beside it if it differs" if action.local_edited else ""
        return f"download {place} → {shown}{edited}"

    def _removals(self, mapping: Mapping, absences: Absences, seen: Seen) -> None:
        if not absences.wanted:
            return
        why = doubt(mapping.direction, seen, absences.total, absences.wanted, mapping.delete_limit)
        if why is not None:
            self._say(mapping, f"nothing is removed: {why}")
            return
        for row in absences.one:
            self._planned += 1
            self._say(mapping, f"remove {printable(row.path)} there, if it is still as it was agreed")

    def _say(self, mapping: Mapping, words: str, *, ingress_only: bool = False) -> None:
        if not (ingress_only and sends(mapping)):
            print(f"{arrow(mapping)}: {words}", file=self.out)

    def _fail(self, mapping: Mapping, words: str) -> None:
        self._failed = True
        self._say(mapping, f"not looked at: {words}")


def _prepended(first: RemoteFile | None, rest: Iterator[RemoteFile]) -> Iterator[RemoteFile]:
    if first is not None:
        yield first
        yield from rest
