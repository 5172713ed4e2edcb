"""Durations and byte counts, written the way Kubernetes users write them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

LONGEST: Final = 876_000 * 3600.0  # seconds: a hundred years; threads cannot wait for ever
MOST_BYTES: Final = 2**63 - 1  # what a Kubernetes quantity and an SQLite column hold

_UNITS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")

_SUFFIXES: Final = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?)(|k|M|G|T|Ki|Mi|Gi|Ti)")
_SHOWN: Final = 40  # characters of a bad value that a message repeats

_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")


def parse_duration(text: str) -> float:
    """Seconds in a Go-style duration (``15s``, ``500ms``, ``1m30s``; ``0`` needs no unit).

    Raises:
        ValueError: ``text`` is no such duration, or longer than :data:`LONGEST`; the message names it.
    """
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text[:_SHOWN]!r} is no duration; write for example 15s, 500ms or 1m30s")
    parts = _DURATION_PART.findall(text)
    seconds = float(sum((Decimal(number) * _UNITS[unit] for number, unit in parts), Decimal(0)))
    if seconds > LONGEST:
        raise ValueError(f"{text[:_SHOWN]!r} is longer than a hundred years")
    return seconds


def parse_period(text: str) -> float:
    """Seconds in a duration that is one second at least, as :func:`parse_duration` reads it.

    Raises:
        ValueError: no duration, or a shorter one.
    """
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"{text!r} is shorter than 1s")
    return seconds


def parse_bytes(text: str) -> int:
    """Bytes in a Kubernetes quantity (``1048576``, ``256Mi``, ``1.5G``).

    Raises:
        ValueError: ``text`` is no such quantity, or more than :data:`MOST_BYTES`.
    """
    match = _BYTES.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:_SHOWN]!r} is no byte count; write for example 1048576, 256Mi or 2G")
    size = int(Decimal(match[1]) * _SUFFIXES[match[2]])
    if size > MOST_BYTES:
        raise ValueError(f"{text[:_SHOWN]!r} is more than {MOST_BYTES} bytes")
    return size


def parse_share(text: str) -> float:
    """The fraction (0 to 1) that a percentage such as ``15%`` names.

    Raises:
        ValueError: ``text`` is no percentage between 0 and 100.
    """
    match = _PERCENT.fullmatch(text)
    if match is None or float(match[1]) > 100:
        raise ValueError(f"{text[:_SHOWN]!r} is no percentage; write for example 15%")
    return float(match[1]) / 100


def format_duration(seconds: float) -> str:
    """The shortest text that :func:`parse_duration` reads back as ``seconds`` (to the millisecond)."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"
