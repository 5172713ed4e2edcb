"""All rows of the issue's table, in its order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from benchmarks.admission import Admission
from benchmarks.outcome import Outcome
from benchmarks.servers import running
from benchmarks.standing import Changed, IdleEgress, IdleIngress, Resting
from benchmarks.transfers import TRANSFERS, Transfer

Row = Transfer | Changed | IdleEgress | IdleIngress | Resting | Admission

_CHANGED: Final = next(one for one in TRANSFERS if one.changed)
ROWS: Final[list[Row]] = [
    *(one for one in TRANSFERS if not one.changed),
    Changed("changed", _CHANGED),
    IdleEgress("idle-10k", 10_000),
    IdleEgress("idle-100k", 100_000),
    IdleEgress("idle-1m", 1_000_000),
    IdleIngress("idle-ingress", 100_000),
    Resting("resting", 10_000),
    Admission("admission", 1_000),
]
# What a quick run leaves out: filling these takes minutes.
LONG: Final = {"idle-100k", "idle-1m"}


def measure(row: Row, top: Path, *, quick: bool, repeat: int, say: Callable[[str], None]) -> list[Outcome]:
    """All that one row finds, on a server of its own and files below ``top``.

    Raises:
        NoCompiler: its server cannot be built here.
        RuntimeError: a program failed or did not do its work.
    """
    with running(row.server) if row.server else nullcontext() as server:
        anything: Any = server  # a row names its kind of server itself
        found = row.measure(anything, top, quick=quick, repeat=repeat, say=say)
    return found if isinstance(found, list) else [found]
