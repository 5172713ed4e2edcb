"""What a row found: the figures of each program, and each target of the issue beside its value."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measure import Cost
from benchmarks.programs import OURS


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians of one program: seconds of wall clock and CPU, MiB; None where a row does not measure it."""

    program: str
    wall: float | None
    cpu: float | None
    rss: float | None
    requests: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One target: ``value`` has to be at most ``limit``."""

    what: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value <= self.limit


@dataclass(slots=True)
class Outcome:
    """One row; ``reference`` names the program that the ratios are of when it is not the best peer."""

    row: str
    title: str
    date: str
    repeat: int
    figures: list[Figures] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    note: str = ""

    def best(self, attribute: str) -> float:
        """The best peer's value of ``wall`` or ``cpu``."""
        values: list[float | None] = [
            getattr(one, attribute) for one in self.figures if not one.program.startswith(OURS)
        ]
        return min(value for value in values if value is not None)

    def ours(self) -> Figures:
        """Our first line."""
        return next(one for one in self.figures if one.program.startswith(OURS))

    def check_ratio(self, attribute: str, limit: float) -> None:
        """Add the target that our ``wall`` or ``cpu`` is at most ``limit`` × the best peer's."""
        value = getattr(self.ours(), attribute)
        self.checks.append(Check(f"{attribute} ÷ best peer", value / self.best(attribute), limit))


def median(program: str, costs: Sequence[Cost], requests: dict[str, int] | None = None) -> Figures:
    """The figures of several runs of one program."""
    wall, cpu, rss = (statistics.median(getattr(cost, name) for cost in costs) for name in ("wall", "cpu", "rss"))
    return Figures(program, wall, cpu, rss, requests)


def to_json(outcome: Outcome) -> dict[str, Any]:
    """For ``results.json``."""
    return dataclasses.asdict(outcome)


def from_json(found: dict[str, Any]) -> Outcome:
    """The inverse of :func:`to_json`."""
    figures = [Figures(**one) for one in found.pop("figures")]
    checks = [Check(**one) for one in found.pop("checks")]
    return Outcome(**found, figures=figures, checks=checks)
