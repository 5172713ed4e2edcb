"""The hook by which a request inside a longer operation is tried again: a page, a part.

The wrapper around a store (``retry.py``) can only repeat a whole call; a listing that broke in its
hundredth page, or an upload in its hundredth part, must not start over. Who tries again, how often
and when is decided there alone: the adapter only says what may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Attempt(Protocol):
    """Calls ``request`` until it succeeds or nothing is to be gained; raises what it raised last."""

    def __call__(self, operation: str, request: Callable[[], T], /) -> T: ...


def once(_operation: str, request: Callable[[], T], /) -> T:
    """The attempt that never tries again."""
    return request()
