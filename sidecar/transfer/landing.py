"""Downloads on their way from staging to their names: flushed in groups, beside the transfers that go on.

A file may get its name when its content is durable, and be recorded when its name is. Both take a flush,
which takes the disk as long for one file as for a hundred: so one flush serves the contents of one group
and the names of the group before, in a thread of its own, and whatever arrives meanwhile is the next group.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final

from runtime.logs import fields
from sidecar.errors import SyncError
from sidecar.transfer.apply import Internal
from sidecar.transfer.crew import Crew
from sidecar.transfer.publish import Fetched, Publisher
from sidecar.tree import Agreed, Fingerprint

log = logging.getLogger(__name__)

FILES: Final = 64  # that make a group worth its flush
SECONDS: Final = 0.5  # after which it is flushed however few there are
MOST: Final = 2000  # files in a group, before more are waited with

# What became of one download: where it is what both sides agree on, or why it is not there.
Landed = tuple[Fetched, Agreed | SyncError]


@dataclass(slots=True)
class _Group:
    contents: list[Fetched] = field(default_factory=list)  # in staging
    names: list[tuple[Fetched, Fingerprint]] = field(default_factory=list)  # in place, not yet to be believed
    error: SyncError | None = None

    def __bool__(self) -> bool:
        return bool(self.contents or self.names)


class Landing:
    """See the module. The engine's thread alone uses it; ``wake`` is called from another when a flush has ended."""

    def __init__(
        self, publisher: Publisher, wake: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._publisher = publisher
        self._wake = wake
        self._clock = clock
        self._next = _Group()
        self._since = 0.0  # when the first of them came
        self._flusher: Crew[_Group] | None = None
        self._flushing = False
        self._flushed: SimpleQueue[_Group] = SimpleQueue()

    @property
    def busy(self) -> bool:
        """Whether something is on its way down."""
        return self._flushing or bool(self._next)

    def add(self, fetched: Fetched) -> None:
        """``fetched`` is complete in staging."""
        if not self._next:
            self._since = self._clock()
        self._next.contents.append(fetched)

    def landed(self) -> Iterator[Landed]:
        """What has landed since the last call. Begins a flush where one is due; waits for one only if too many do."""
        while self._flushing and (not self._flushed.empty() or len(self._next.contents) >= MOST):
            yield from self._ended(self._flushed.get())
        if self._due():
            self._begin()

    def all_landed(self) -> Iterator[Landed]:
        """Everything that was added, however long it takes."""
        while self.busy:
            if not self._flushing:
                self._begin()
            yield from self._ended(self._flushed.get())

    def close(self) -> None:
        """Let the thread go; nothing may be under way."""
        if self._flusher is not None:
            self._flusher.dismiss()

    def _due(self) -> bool:
        if self._flushing or not self._next:
            return False
        return len(self._next.contents) >= FILES or self._clock() - self._since >= SECONDS

    def _begin(self) -> None:
        if self._flusher is None:
            self._flusher = Crew("flush", self._flush)
        group, self._next = self._next, _Group()
        self._flushing = True
        try:
            self._flusher.give(group, 1)
        except RuntimeError:  # the container may have no more threads
            self._flush(group)

    def _flush(self, group: _Group) -> None:
        try:
            self._publisher.make_durable(group.contents, [fetched for fetched, _ in group.names])
        except SyncError as error:
            group.error = error
        except Exception as error:  # whatever it is, somebody waits for this group
            log.exception("flush failed unexpectedly")
            group.error = Internal("flush", "staging", type(error).__name__)
        self._flushed.put(group)
        self._wake()

    def _ended(self, group: _Group) -> Iterator[Landed]:
        self._flushing = False
        if group.error is not None:
            yield from self._lost(group, group.error)
            return
        if group.contents and not self._next:
            self._since = self._clock()
        for fetched in group.contents:
            try:
                self._next.names.append((fetched, self._publisher.place(fetched)))
            except SyncError as error:
                yield fetched, error
            except Exception as error:
                log.exception("placing failed unexpectedly", **fields(path=fetched.path))
                yield fetched, Internal("place", fetched.path, type(error).__name__)
        for fetched, local in group.names:
            remote = fetched.action.remote
            yield fetched, Agreed(remote.path, local, fetched.sha256, remote.etag, remote.size)

    def _lost(self, group: _Group, error: SyncError) -> Iterator[Landed]:
        """Contents may be torn after a power cut: they go. Names may be gone after it: nothing is said of them."""
        for fetched in group.contents:
            self._publisher.discard(fetched)
            yield fetched, error
        for fetched, _ in group.names:
            yield fetched, error
