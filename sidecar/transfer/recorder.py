"""Writes down what came of each action: in the index, the tally, the metrics and the log.

One line in the log for an outcome, with the same field names each time. The engine's thread alone
uses it, so the index has one writer.
"""

from __future__ import annotations

import logging

from runtime.logs import fields
from sidecar.errors import ChangedWhileReading, SyncError
from sidecar.plan import Action, Download
from sidecar.reporting.metrics import Metrics
from sidecar.reporting.progress import Tally
from sidecar.selection.attention import Attention
from sidecar.selection.patience import Patience
from sidecar.state.index import Index
from sidecar.transfer.bench import Bench, Done
from sidecar.tree import Agreed

log = logging.getLogger(__name__)


class Recorder:
    """The outcomes of one pass over one mapping."""

    def __init__(
        self,
        bench: Bench,
        index: Index,
        scope: int,
        tally: Tally,
        metrics: Metrics,
        patience: Patience,
        attention: Attention,
    ) -> None:
        self._bench = bench
        self._index = index
        self._scope = scope
        self._tally = tally
        self._metrics = metrics
        self._patience = patience
        self._attention = attention
        self._direction = bench.mapping.direction.value

    def planned(self, action: Action) -> None:
        """``action`` is going to be tried."""
        self._tally.plan(action)

    def under_way(self, action: Action) -> None:
        """``action`` goes on beside this pass: it stays pending, and the next pass looks at it again."""
        self._tally.under_way += 1
        self._attention.look_again(action.path)

    def ended_after_all(self) -> None:
        """One of those of which :meth:`under_way` was said has ended in this pass."""
        self._tally.under_way -= 1

    def put_off(self) -> None:
        """What was planned waits for the next cycle, which has to find it anew."""
        self._tally.under_way += 1
        self._attention.distrust()

    def left_alone(self, action: Action) -> None:
        """There was nothing to do for ``action``."""
        self._tally.drop(action)

    def done(self, action: Action, done: Done) -> None:
        """Both sides of ``action`` agree now; raises when the index cannot be written."""
        self.agreed(action, done.agreed, done.moved)
        path = self._bench.path(action.path)
        if done.settled:
            self._patience.found_still(path)
        else:
            self._tally.leave_pending(action)
            self._attention.look_again(action.path)

    def agreed(self, action: Action, agreed: Agreed, moved: int | None) -> None:
        """As :meth:`done`; ``moved`` is the size of the body, None when none had to go."""
        self._index.record(self._scope, agreed)
        self._tally.finish(action, moved)
        if agreed.recheck_at:
            self._attention.recheck(action.path, agreed.recheck_at)
        if action.agreed is None:
            self._tally.indexed += 1
        if moved is None:
            return
        self._metrics.moved(self._bench.mapping.direction, moved)
        if isinstance(action, Download):
            self._tally.ingress_bytes += moved
        log.info(
            "downloaded" if isinstance(action, Download) else "uploaded",
            **fields(path=self._bench.path(action.path), bytes=moved),
        )

    def failed(self, action: Action, error: SyncError, *, quietly: bool = False) -> None:
        """``action`` could not be done; ``quietly`` when the same was logged often enough."""
        path = self._bench.path(action.path)
        if isinstance(error, ChangedWhileReading):
            self._patience.found_changing(path)
        self._tally.fail(path, error, action.since)
        self._attention.look_again(action.path)
        self._metrics.errors.labels(self._direction, error.reason).inc()
        if not quietly:
            log.warning("file not synced", **fields(path=path, reason=error.reason, error=str(error)))

    def commit(self) -> None:
        """Make everything recorded so far durable."""
        self._index.commit()
