"""How long egress may go on while ingress waits: a reserved share of the time. Order is ``precedence.py``'s."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

SHARE: Final = 30.0  # seconds that a pass of egress may take before ingress has its turn, and at least one interval


class Turn:
    """How long a pass may begin new transfers: without end where ``seconds`` is None."""

    def __init__(self, seconds: float | None, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = None if seconds is None else clock() + seconds

    @property
    def over(self) -> bool:
        """Whether what is left waits for the next cycle."""
        return self._end is not None and self._clock() >= self._end
