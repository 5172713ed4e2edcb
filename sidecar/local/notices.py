"""What a walk passes over, and how it is told: one notice a name."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple


class Passed(StrEnum):
    """Why the walk passed something over."""

    NOT_UTF8 = "not_utf8"
    TOO_LONG = "name_too_long"
    SPECIAL = "not_a_file"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    MISSING = "missing_source"


class Notice(NamedTuple):
    """One thing that the walk passed over; ``name`` is printable."""

    name: str
    why: Passed
    detail: str


Report = Callable[[Notice], None]


def unreadable(name: str, error: OSError) -> Notice:
    """``name`` is there and cannot be read."""
    return Notice(printable(name), Passed.UNREADABLE, error.strerror or str(error))


def printable(name: str) -> str:
    """``name`` as notices show it: bytes that are no text are spelled out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
