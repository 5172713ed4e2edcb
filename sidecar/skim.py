"""Compares two ascending streams by the thousand, and hands on only where they differ.

Pure. One side comes in runs, the other is taken as it is needed; both are lists of plain tuples that
begin with the path, and where nothing changed a run costs one comparison of two lists. What a
difference means is ``plan``'s.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, Final, TypeVar

A = TypeVar("A", bound=tuple[Any, ...])
B = TypeVar("B", bound=tuple[Any, ...])

# The next rows, so many (at least one is asked for); fewer only at the end.
Take = Callable[[int], list[B]]

_MORE: Final = 1000  # rows taken at once where many have nothing beside them
_path = itemgetter(0)


def skim(runs: Iterable[list[A]], take: Take[B], alone: Callable[[list[B]], None]) -> Iterator[tuple[A, B | None]]:
    """Everything in ``runs`` whose row is not equal, beside that row, or None where there is none.

    Rows that have nothing beside them go to ``alone``, some at a time. Memory: one run, and as many rows.
    """
    for one in _skimmed(runs, take):
        if isinstance(one, list):
            alone(one)
        else:
            yield one


def skim_both(runs: Iterable[list[A]], take: Take[B]) -> Iterator[tuple[A | None, B | None]]:
    """As :func:`skim`, with rows that have nothing beside them in their place, one by one."""
    for one in _skimmed(runs, take):
        if isinstance(one, list):
            yield from ((None, row) for row in one)
        else:
            yield one


def _skimmed(runs: Iterable[list[A]], take: Take[B]) -> Iterator[tuple[A, B | None] | list[B]]:
    rows: list[B] = []
    for run in runs:
        missing = len(run) - len(rows)
        if missing > 0:
            rows += take(missing)
        if rows[: len(run)] == run:
            del rows[: len(run)]
        else:
            yield from _differences(run, rows, take)
    while rows or (rows := take(_MORE)):
        yield rows
        rows = []


def _differences(run: list[A], rows: list[B], take: Take[B]) -> Iterator[tuple[A, B | None] | list[B]]:
    """As :func:`_skimmed`, of one run; takes from ``rows`` what lies up to its last path."""
    at = 0
    for one in run:
        path = one[0]
        while at == len(rows) or rows[at][0] < path:
            end = bisect_left(rows, path, at, key=_path)
            if end > at:
                yield rows[at:end]
            at = end
            if at < len(rows):
                break
            rows[:], at = take(_MORE), 0
            if not rows:
                break
        if at < len(rows) and rows[at][0] == path:
            row = rows[at]
            at += 1
            if row != one:
                yield one, row
        else:
            yield one, None
    del rows[:at]
