"""One directory's names in the order of object keys, a bounded number at a time.

The kernel gives names in no order that helps, so all must have been seen before the first can be handed on.
A directory of more than :data:`WINDOW` names is read several times, and each time the smallest names
beyond those of the last time are kept: no disk is needed for sorting, and memory stays flat. What the
names stand for, and whether they can be synced, is ``scan``'s.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

WINDOW: Final = 200_000  # names of one directory that are held, half as many again while reading
_BATCH: Final = 10_000

# Asked with a path below the root that ends in "/" (empty for the root itself), names in that directory, and
# whether they are directories; answers with those that the walk is to go on with.
Kept = Callable[[str, list[str], bool], list[str]]


def everything(_below: str, names: list[str], _directories: bool) -> list[str]:
    """Passes nothing over."""
    return names


@dataclass(slots=True)
class Names:
    """Part of one directory, ascending; ``last`` is where the next part begins, None where this is the last."""

    files: list[str]  # whatever is no directory
    directories: list[str]  # each with a slash at its end
    last: str | None = None
    fault: OSError | None = None  # reading broke off here


def read_names(fd: int, below: str, kept: Kept, after: str = "", window: int = WINDOW) -> Names:
    """The next names of the open directory ``fd``, those that sort after ``after``.

    ``below`` is its path as ``kept`` wants it. At least one name comes as long as there is any.

    Raises:
        OSError: it cannot be read at all.
    """
    found = Names([], [])
    with os.scandir(fd) as entries:
        while batch := _batch(entries, found):
            files, directories = _divided(batch)
            files = kept(below, files, False)
            directories = [name + "/" for name in kept(below, directories, True)]
            if after or found.last is not None:
                files = _between(files, after, found.last)
                directories = _between(directories, after, found.last)
            found.files += files
            found.directories += directories
            if len(found.files) + len(found.directories) > window + window // 2:
                _cut(found, window)
    if len(found.files) + len(found.directories) > window:
        _cut(found, window)
    found.files.sort()
    found.directories.sort()
    return found


def _batch(entries: Iterator[os.DirEntry[str]], found: Names) -> list[os.DirEntry[str]]:
    batch: list[os.DirEntry[str]] = []
    try:
        batch.extend(islice(entries, _BATCH))
    except OSError as error:
        found.fault = error
    return batch


def _divided(batch: list[os.DirEntry[str]]) -> tuple[list[str], list[str]]:
    try:
        marks = [entry.is_dir(follow_symlinks=False) for entry in batch]
    except OSError:  # of a file system that does not tell kinds with the names
        marks = [_is_directory(entry) for entry in batch]
    if True not in marks:
        return [entry.name for entry in batch], []
    files = [entry.name for entry, mark in zip(batch, marks, strict=True) if not mark]
    return files, [entry.name for entry, mark in zip(batch, marks, strict=True) if mark]


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # whoever looks at it next meets the same, and says so


def _between(names: list[str], after: str, last: str | None) -> list[str]:
    if last is None:
        return [name for name in names if after < name]
    return [name for name in names if after < name <= last]


def _cut(found: Names, window: int) -> None:
    """Leave the smallest ``window`` names; all others, known or yet to come, are for the next time."""
    found.last = last = sorted(chain(found.files, found.directories))[window - 1]
    found.files = [name for name in found.files if name <= last]
    found.directories = [name for name in found.directories if name <= last]
