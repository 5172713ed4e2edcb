"""The one line that the log has for a cycle and direction: loud when something went wrong, else quiet."""

from __future__ import annotations

import logging
from collections import Counter

from contract.mapping import Direction
from runtime.logs import fields
from sidecar.errors import SyncError
from sidecar.reporting.tally import Result, Tally
from sidecar.selection.settling import StillSettling

log = logging.getLogger(__name__)


def log_cycle(direction: Direction, cycle: int, result: Result, tallies: list[Tally], seconds: float) -> None:
    """At DEBUG when idle, INFO when all went or only settles, else WARNING."""
    errors: list[SyncError] = [tally.error for tally in tallies if tally.error is not None]
    removed = sum(tally.removed for tally in tallies)
    reasons = sum((tally.reasons for tally in tallies), Counter[str]())
    idle = result is Result.OK and not removed and not any(tally.done for tally in tallies)
    calm = set(reasons) <= {StillSettling.reason} and not errors
    log.log(
        logging.DEBUG if idle else logging.INFO if calm else logging.WARNING,
        "cycle",
        **fields(
            direction=direction.value,
            cycle=cycle,
            result=result.value,
            files=sum(tally.transferred for tally in tallies),
            bytes=sum(tally.moved_bytes for tally in tallies),
            **({"removed": removed} if removed else {}),
            pending=sum(tally.pending_files for tally in tallies),
            seconds=round(seconds, 3),
            **({"reasons": dict(reasons)} if reasons else {}),
            **({"error": "; ".join(map(str, errors))} if errors else {}),
        ),
    )
