"""``make bench``: our sidecar and its peers, alternating, on the same servers and files.

Prints a table for each row and writes ``RESULTS.md``, ``results.json`` and ``results.svg``; a quick run only
prints. Figures of one row compare with each other, not with those of another sitting.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.native import NoCompiler
from benchmarks.outcome import Outcome
from benchmarks.plot import draw
from benchmarks.report import PLOT, keep, show
from benchmarks.rows import LONG, ROWS, Row, measure


def main() -> int:
    """Measure the rows that are asked for; 1 when one of them could not be measured."""
    options = _options()
    if options.render:
        draw(keep([], _order(), options.remark), PLOT)
        return 0
    console = Console(width=None if sys.stdout.isatty() else 150)
    rows = [row for row in ROWS if row.row in options.only] if options.only else ROWS
    if options.quick and not options.only:
        rows = [row for row in rows if row.row not in LONG]
    found, failed = [], []
    for row in rows:
        outcomes = _measure(row, console, quick=options.quick, repeat=options.repeat)
        failed += [] if outcomes else [row.row]
        found += outcomes
        if not options.quick and outcomes:
            kept = keep(outcomes, _order(), options.remark)
            draw(kept, PLOT)
    missed = sum(not check.met for outcome in found for check in outcome.checks)
    console.print(f"{sum(len(one.checks) for one in found)} targets, {missed} missed; not measured: {failed or 'none'}")
    return 1 if failed else 0


def _measure(row: Row, console: Console, *, quick: bool, repeat: int) -> list[Outcome]:
    top = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        outcomes = measure(
            row, top, quick=quick, repeat=repeat, say=lambda text: console.print(f"  {text}", style="dim")
        )
    except (NoCompiler, RuntimeError) as error:
        console.print(f"[red]{row.row} was not measured[/]: {error}")
        return []
    finally:
        shutil.rmtree(top, ignore_errors=True)
    for outcome in outcomes:
        show(console, outcome)
    return outcomes


def _order() -> list[str]:
    """Rows as the issue lists them; a rescan follows the idle row that it was measured with."""
    return [name for row in ROWS for name in (row.row, row.row.replace("idle", "rescan"))]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [row.row for row in ROWS]
    parser.add_argument("--only", action="append", choices=names, metavar="ROW", help=f"one of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="small sizes, no row of minutes, nothing written")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of each row (default 3)")
    parser.add_argument("--render", action="store_true", help="write RESULTS.md anew from results.json")
    parser.add_argument("--remark", default="", help="a sentence for the top of RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
