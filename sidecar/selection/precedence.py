"""Small and oldest first: many soon, and nobody waits behind a giant. Pure but for the clock it is handed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from sidecar.plan import Action

WINDOW: Final = 1000  # actions put in order at once; all of a pass would have to be held
_SECONDS: Final = 0.5  # a window that fills slowly goes as far as it is


def small_and_oldest_first(actions: Iterable[Action], most: int) -> Iterator[Action]:
    """Up to ``most`` actions in order, after all of them are known; any more follow as they come."""
    rest = iter(actions)
    yield from sorted(islice(rest, most), key=_order)
    yield from rest


def in_windows(actions: Iterable[Action], clock: Callable[[], float]) -> Iterator[Action]:
    """As the plan comes, in order within each window. Whatever ends the plan, what came before goes."""
    window: list[Action] = []
    began = clock()
    try:
        for action in actions:
            window.append(action)
            if len(window) >= WINDOW or clock() - began >= _SECONDS:
                ready, window = window, []
                yield from sorted(ready, key=_order)
                began = clock()
    except GeneratorExit:
        raise
    except BaseException:
        yield from sorted(window, key=_order)
        raise
    yield from sorted(window, key=_order)


def _order(action: Action) -> tuple[int, float]:
    return action.size, action.since
