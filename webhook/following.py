"""Following one kind: list it, watch it, keep its facts in a table, whatever happens to the connection.

The loop ends only when it is told to. It knows nothing of what the facts mean (``facts``), of admission,
or of other kinds.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from runtime.logs import fields
from webhook.cluster import Cluster, ClusterError, Event, Gone, NotFound, Resource, Watch
from webhook.facts import name_of

log = logging.getLogger(__name__)

Json = dict[str, Any]
F = TypeVar("F")

_WATCH: Final = (240, 480)  # seconds; servers and the way to them dislike longer ones, and not all at once
_SHORTEST, _LONGEST = 0.5, 30.0  # seconds between attempts while nobody answers
_ABSENT: Final = 30.0  # seconds between looks for a kind that the cluster does not have


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait, in seconds; tests wait less."""

    shortest: float = _SHORTEST
    longest: float = _LONGEST
    absent: float = _ABSENT
    watch: tuple[int, int] = _WATCH


class Table(Generic[F]):
    """The facts of one kind by namespace and name. One thread writes, all read, nobody waits.

    A reader sees each object as it was or as it is, and a new list at once.
    """

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, F]] = {}

    def get(self, namespace: str, name: str) -> F | None:
        """The facts of one object, or None."""
        return self._rows.get(namespace, {}).get(name)

    def all(self, namespace: str) -> tuple[F, ...]:
        """The facts of every object in ``namespace`` at this moment."""
        return tuple(self._rows.get(namespace, {}).values())

    def put(self, namespace: str, name: str, facts: F) -> None:
        """Keep ``facts``."""
        self._rows.setdefault(namespace, {})[name] = facts

    def drop(self, namespace: str, name: str) -> None:
        """Forget one object, if it is there; of a namespace that is empty nothing stays."""
        rows = self._rows.get(namespace, {})
        rows.pop(name, None)
        if not rows:
            self._rows.pop(namespace, None)

    def replace(self, other: Table[F]) -> None:
        """Keep what ``other`` has and nothing else."""
        self._rows = other._rows

    def __len__(self) -> int:
        return sum(map(len, list(self._rows.values())))


@dataclass(frozen=True, slots=True)
class Kind(Generic[F]):
    """What is followed: ``facts`` makes an object small. An ``optional`` kind may be unknown to the cluster."""

    resource: Resource
    facts: Callable[[Json], F]
    table: Table[F]
    make_table: Callable[[], Table[F]] = Table
    optional: bool = False


class Follower(Generic[F]):
    """Keeps the table of one kind like the cluster's. :meth:`run` is for a thread of its own."""

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind[F],
        *,
        pace: Pace | None = None,
        before: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._kind = kind
        self._pace = pace or Pace()
        self._before = before
        self._clock = clock
        self._stopped = threading.Event()
        self._watch: Watch | None = None
        self._failures = 0
        self.filled = False
        self.heard: float | None = None  # when the table was last known to be like the cluster, by ``clock``

    @property
    def plural(self) -> str:
        """What is followed, as kubectl calls it."""
        return self._kind.resource.plural

    def run(self) -> None:
        """Follow until :meth:`stop`."""
        version = ""
        while not self._stopped.is_set():
            try:
                version = version or self._list()
                version = self._follow(version)
            except Gone as error:
                version = ""
                self._failed(error)  # a server that forgets faster than it lists must not be asked without end
            except NotFound as error:
                version = ""
                self._absent(error)
            except ClusterError as error:
                self._failed(error)
            except Exception as error:
                log.exception("the catalog's follower failed", **fields(kind=self._kind.resource.plural))
                version = ""
                self._failed(error)

    def stop(self) -> None:
        """End :meth:`run` soon; from any thread."""
        self._stopped.set()
        watch = self._watch
        if watch is not None:
            watch.close()

    def _list(self) -> str:
        """Fill the table with all there is; returns the version to watch from."""
        self._before()
        fresh, version = self._kind.make_table(), ""
        for page in self._cluster.list(self._kind.resource):
            version = page.version
            for raw in page.items:
                fresh.put(*name_of(raw), self._kind.facts(raw))
            if self._stopped.is_set():
                return version
        self._kind.table.replace(fresh)
        self._current()
        log.info("catalog filled", **fields(kind=self._kind.resource.plural, objects=len(fresh)))
        return version

    def _follow(self, version: str) -> str:
        """One watch from ``version`` to its end; returns the version to go on from."""
        self._before()
        seconds = random.randint(*self._pace.watch)  # noqa: S311 - no secret
        self._watch = watch = self._cluster.watch(self._kind.resource, version, seconds=seconds)
        if self._stopped.is_set():
            watch.close()
        self._current()
        last = version
        try:
            for event in watch:
                last = self._apply(event) or last
                self._current()
        except Gone:
            raise
        except ClusterError as error:
            self._failed(error)  # what came before it counts
        return last

    def _apply(self, event: Event) -> str:
        namespace, name = name_of(event.object)
        if event.type in ("ADDED", "MODIFIED"):
            self._kind.table.put(namespace, name, self._kind.facts(event.object))
        elif event.type == "DELETED":
            self._kind.table.drop(namespace, name)
        metadata = event.object.get("metadata") or {}
        return str(metadata.get("resourceVersion") or "")

    def _current(self) -> None:
        if self._failures:
            log.info("catalog follows again", **fields(kind=self._kind.resource.plural))
        self._failures = 0
        self.filled, self.heard = True, self._clock()

    def _absent(self, error: NotFound) -> None:
        if not self._kind.optional:
            self._failed(error)
            return
        if len(self._kind.table) or not self.filled:
            log.info("the cluster has no such resource", **fields(kind=self._kind.resource.plural))
        self._kind.table.replace(self._kind.make_table())
        self._current()
        self._stopped.wait(self._pace.absent)

    def _failed(self, error: Exception) -> None:
        if not self._failures and not self._stopped.is_set():
            log.warning("catalog lost its source", **fields(kind=self._kind.resource.plural, error=str(error)))
        pause = min(self._pace.longest, self._pace.shortest * 2 ** min(self._failures, 16))
        self._failures += 1
        self._stopped.wait(pause * random.uniform(0.5, 1))  # noqa: S311 - likewise
