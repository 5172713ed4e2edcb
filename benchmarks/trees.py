"""The files that are synced: the same for every program of a row."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Final

SMALL: Final = 4096  # bytes
GIB: Final = 1 << 30
_PER_DIRECTORY: Final = 100
# Files that were just written are looked at a second time; an hour later nothing is just written.
_AGE: Final = 3600  # seconds


def path_of(directory: Path, number: int) -> Path:
    """Where file ``number`` lies; the null server's ``_fill`` uses the same names."""
    return directory / f"{number // _PER_DIRECTORY:04}" / f"{number:06}"


def small(directory: Path, count: int, size: int = SMALL) -> int:
    """``count`` files of ``size`` bytes, a hundred to a directory, all different; returns all bytes."""
    when = time.time() - _AGE
    for number in range(count):
        path = path_of(directory, number)
        if number % _PER_DIRECTORY == 0:
            path.parent.mkdir(parents=True)
        body = (number.to_bytes(8, "big") * (size // 8 + 1))[:size]
        _write(path, body, when)
    return count * size


def mixed(directory: Path, count: int) -> int:
    """``count`` files between 1 KiB and 2 MiB, evenly on a logarithmic scale, by a fixed seed; returns all bytes."""
    chance = random.Random(7)  # noqa: S311 - the same sizes in every run
    block = chance.randbytes(2 << 20)
    when, total = time.time() - _AGE, 0
    for number in range(count):
        path = path_of(directory, number)
        if number % _PER_DIRECTORY == 0:
            path.parent.mkdir(parents=True)
        size = int(2 ** chance.uniform(10, 21))
        start = chance.randrange(len(block))
        _write(path, (block[start:] + block[:start])[:size], when)
        total += size
    return total


def huge(directory: Path, size: int) -> int:
    """One file of ``size`` bytes."""
    path = path_of(directory, 0)
    path.parent.mkdir(parents=True)
    block = random.Random(7).randbytes(1 << 20)  # noqa: S311
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(block)
    os.utime(path, (time.time() - _AGE,) * 2)
    return size


def change(directory: Path, count: int, token: int) -> int:
    """Rewrite one file in a hundred of ``count``, same size, other content; returns how many."""
    for number in range(0, count, 100):
        path_of(directory, number).write_bytes((b"%08d" % token) * (SMALL // 8))
    return len(range(0, count, 100))


def measure(directory: Path) -> tuple[int, int]:
    """Files and bytes below ``directory``."""
    sizes = [os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(directory) for name in names]
    return len(sizes), sum(sizes)


def _write(path: Path, body: bytes, when: float) -> None:
    with path.open("wb", buffering=0) as file:
        file.write(body)
        os.utime(file.fileno(), (when, when))
