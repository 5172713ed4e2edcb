"""What a pass must look at, what it must list, and what was told already.

A pass does not always walk the whole tree. Between two full walks the watcher names what changed.
Beside that, three kinds of names need another look though nothing touched them: files that could not
go last time, files that were so fresh that their content is compared once more, and files sent while
being written. They are kept here, bounded; where the bound is reached, or anything went wrong, the
next pass walks everything.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sidecar.errors import SyncError
from sidecar.local.notices import Notice, printable
from sidecar.local.watch import Hints
from sidecar.tree import RelativePath

MOST_NAMES: Final = 50_000
MOST_NOTICES: Final = 10_000


class Attention:
    """For one mapping. The engine's thread alone uses it.

    ``interval``: seconds after which the tree is walked although nothing was seen; 0: always.
    """

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._walked: float | None = None
        self._again: set[RelativePath] = set()
        self._rechecks: list[tuple[float, RelativePath]] = []
        self._notices: list[Notice] = []
        self.skipped = 0  # counts of the last walk, carried on by the passes after it
        self.indexed = 0
        self.ingress_bytes = 0
        self.denied: SyncError | None = None  # the keys may not list, or may nothing at all
        self.proven = False  # something was transferred with these keys
        self.held_back: SyncError | None = None  # why removals wait, until a walk sees it otherwise

    @property
    def needs_walk(self) -> bool:
        """Whether the next pass must walk the whole tree."""
        if self._walked is None or self._interval == 0:
            return True
        return self._clock() - self._walked >= self._interval

    def begin_walk(self) -> None:
        """A full walk begins: it meets by itself whatever was remembered here."""
        self._again.clear()
        self._rechecks.clear()
        self._notices.clear()
        self._walked = self._clock()

    def distrust(self) -> None:
        """Something was missed: the next pass walks."""
        self._walked = None

    def another_bucket(self) -> None:
        """What was learned of the bucket and the keys concerns others now."""
        self.denied, self.proven = None, False
        self.distrust()

    def look_again(self, path: RelativePath) -> None:
        """``path`` did not go, or must go once more: look at it in the next pass."""
        self._again.add(path)
        if len(self._again) > MOST_NAMES:
            self.distrust()

    def recheck(self, path: RelativePath, at: float) -> None:
        """Compare the content of ``path`` after ``at`` (seconds since the epoch)."""
        heapq.heappush(self._rechecks, (at, path))
        if len(self._rechecks) > MOST_NAMES:
            self.distrust()

    def stands(self, notice: Notice) -> None:
        """The walk passed something over, and will not come by again before the next one."""
        self._notices.append(notice)
        if len(self._notices) > MOST_NOTICES:
            self.distrust()

    def standing(self, hints: Hints) -> list[Notice]:
        """What the walk passed over and nobody has touched since."""
        if hints.files or hints.directories:
            names = {printable(path) for path in hints.files | hints.directories}
            below = tuple(printable(path) + "/" for path in hints.directories)  # walked anew, with all in it
            self._notices = [
                notice for notice in self._notices if notice.name not in names and not notice.name.startswith(below)
            ]
        return self._notices

    def take(self, now: float) -> set[RelativePath]:
        """The names to look at in this pass; forgotten here until something asks for them again."""
        names, self._again = self._again, set()
        while self._rechecks and self._rechecks[0][0] <= now:
            names.add(heapq.heappop(self._rechecks)[1])
        return names


@dataclass(slots=True)
class Reconciliation:
    """When each scope's egress was last held against a real listing. Monotonic seconds."""

    interval: float  # 0: only at start
    clock: Callable[[], float] = time.monotonic
    _last: dict[int, float] = field(default_factory=dict)

    def due(self, scope: int) -> bool:
        """Whether this cycle should list."""
        last = self._last.get(scope)
        return last is None or (self.interval > 0 and self.clock() - last >= self.interval)

    def done(self, scope: int) -> None:
        """It was listed to the end."""
        self._last[scope] = self.clock()


class Named:
    """Names that the log has told of once; bounded, so that at the worst one is told again."""

    def __init__(self, limit: int = 10_000) -> None:
        self._names: set[str] = set()
        self._limit = limit

    def first_time(self, name: str) -> bool:
        """True when ``name`` was not asked for before; it counts as told then."""
        if name in self._names:
            return False
        if len(self._names) >= self._limit:
            self._names.clear()
        self._names.add(name)
        return True
