"""The plot: every target's value as a share of its limit, so that one look says what is met and by how much."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.outcome import Outcome

_LEAST = 0.01  # shares below this are drawn as this: the axis is logarithmic


def draw(rows: list[Outcome], target: Path) -> None:
    """Write ``target`` (SVG)."""
    checks = [(f"{row.row}: {check.what}", check) for row in rows for check in row.checks if check.limit > 0]
    # The same figures give the same file.
    with mpl.rc_context({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(9, 1 + 0.22 * len(checks)), layout="constrained")
        axes = figure.subplots()
        shares = [max(check.value / check.limit, _LEAST) for _, check in checks]
        colours = ["tab:green" if check.met else "tab:red" for _, check in checks]
        axes.barh([label for label, _ in checks], shares, color=colours)
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xscale("log")
        axes.set_xlabel("value ÷ target (left of the line: met)")
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(target, format="svg", metadata={"Date": None})
