"""The walk: every regular file below a directory, in the order of a bucket listing.

A directory sorts as ``name/``, so that the paths come in the byte order of object keys and the
walk merges with a listing and with the index. Links, FIFOs, sockets and devices are reported and
passed over; a directory that cannot be read is reported, and the walk goes on.

What can be asked of a whole directory is asked once, not of each of its files: a million files are a
million calls of ``stat`` and little else. Reading names is ``names``'; looking at single files is ``visit``'s.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from typing import Final

from sidecar.errors import SyncError
from sidecar.local.directories import Root, kind_of
from sidecar.local.names import WINDOW, Kept, Names, everything, read_names
from sidecar.local.notices import Notice, Passed, Report, printable, unreadable
from sidecar.tree import LocalEntry, Outline, entry_of

PATH_LIMIT: Final = 1024  # bytes; nothing longer fits a key
RUN: Final = 1000  # files of one directory that are looked at, and handed on, at once
_KIND: Final = 0o170000  # the bits that S_ISREG and its like look at
_REGULAR: Final = stat.S_IFREG


def walk(root: Root, directory: str, report: Report, kept: Kept = everything) -> Iterator[LocalEntry]:
    """As :func:`walk_runs`, one by one."""
    for run in walk_runs(root, directory, report, kept):
        yield from map(entry_of, run)


def walk_runs(
    root: Root, directory: str, report: Report, kept: Kept = everything, window: int = WINDOW
) -> Iterator[list[Outline]]:
    """Regular files below ``directory`` of ``root``, paths relative to it, ascending; never an empty list.

    Only what is ``kept`` is reported or entered. A missing ``directory`` is reported once and yields nothing.
    Memory: at most ``window`` names of one directory on each level.
    """
    try:
        with root.directory(directory):
            pass
    except FileNotFoundError:
        report(Notice(directory, Passed.MISSING, "the source directory is not there (yet)"))
        return
    except SyncError as error:
        report(Notice(directory, Passed.UNREADABLE, str(error)))
        return
    yield from _Walk(root, directory, report, kept, window).runs()


class _Walk:
    """A ``trail`` is a path below the start that ends in a slash, empty for the start."""

    def __init__(self, root: Root, directory: str, report: Report, kept: Kept, window: int) -> None:
        self._root = root
        self._directory = directory
        self._below = "" if directory == "." else directory + "/"
        self._report = report
        self._kept = kept
        self._window = window

    def runs(self) -> Iterator[list[Outline]]:
        levels = [self._level("")]
        while levels:
            for found in levels[-1]:
                if isinstance(found, str):
                    levels.append(self._level(found))
                    break
                yield found
            else:
                levels.pop()

    def _level(self, trail: str) -> Iterator[list[Outline] | str]:
        """Runs of files, and the trails of the directories between them."""
        try:
            after: str | None = ""
            while after is not None:
                names, looked = self._part(trail, after)
                start = 0
                for directory in names.directories:
                    end = bisect_left(names.files, directory, start)
                    yield from self._slices(trail, names.files[start:end], looked and looked[start:end])
                    yield trail + directory
                    start = end
                yield from self._slices(trail, names.files[start:], looked and looked[start:])
                after = names.last
        except (OSError, SyncError) as error:
            self._cannot_read(trail, error)

    def _part(self, trail: str, after: str) -> tuple[Names, list[Outline] | None]:
        """The next names below ``trail``, and what they are where these are few."""
        with self._open(trail) as fd:
            names = read_names(fd, self._below + trail, self._kept, after, self._window)
            names.files = self._sound(trail, names.files)
            names.directories = self._sound(trail, names.directories)
            looked = self._look(fd, trail, names.files) if len(names.files) <= RUN else None
        if looked is not None and len(looked) < len(names.files):
            names.files = [outline[0][len(trail) :] for outline in looked]
        if names.fault is not None and names.last is None:
            self._cannot_read(trail, names.fault)  # what was met before that is good
        return names, looked

    def _slices(self, trail: str, names: list[str], looked: list[Outline] | None) -> Iterator[list[Outline]]:
        if looked is not None:
            if looked:
                yield looked
            return
        for first in range(0, len(names), RUN):
            with self._open(trail) as fd:
                run = self._look(fd, trail, names[first : first + RUN])
            if run:
                yield run

    def _open(self, trail: str) -> AbstractContextManager[int]:
        return self._root.directory((self._below + trail)[:-1] or ".")

    def _cannot_read(self, trail: str, error: OSError | SyncError) -> None:
        name = trail or self._directory
        if isinstance(error, FileNotFoundError):
            return  # removed since its parent was read
        if isinstance(error, OSError):
            self._report(unreadable(name, error))
        else:
            self._report(Notice(printable(name), Passed.UNREADABLE, str(error)))

    def _sound(self, trail: str, names: list[str]) -> list[str]:
        """Those that can be object keys. Names that are short and UTF-8 altogether are so one by one."""
        if not names:
            return names
        joined = "/".join(names)
        longest = max(map(len, names)) * (1 if joined.isascii() else 4)  # bytes, at most
        if longest + len(trail.encode()) <= PATH_LIMIT and is_text(joined):
            return names
        return [name for name in names if self._is_sound(trail + name.removesuffix("/"))]

    def _is_sound(self, path: str) -> bool:
        if not is_text(path):
            self._report(Notice(printable(path), Passed.NOT_UTF8, "the name is not UTF-8; rename the file"))
        elif len(path.encode()) > PATH_LIMIT:
            self._report(Notice(path, Passed.TOO_LONG, f"the path is longer than {PATH_LIMIT} bytes"))
        else:
            return True
        return False

    def _look(self, fd: int, trail: str, names: list[str]) -> list[Outline]:
        """The regular files among ``names``."""
        look, found = os.stat, list[Outline]()
        with suppress(OSError):  # one of them is gone, or cannot be looked at: which, is found out below
            found = [
                (trail + name, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, 0.0)
                for name in names
                if (seen := look(name, dir_fd=fd, follow_symlinks=False)).st_mode & _KIND == _REGULAR
            ]
        if len(found) == len(names):
            return found
        known = {outline[0]: outline for outline in found}
        each = (known.get(trail + name) or self._look_at(fd, name, trail + name) for name in names)
        return [outline for outline in each if outline is not None]

    def _look_at(self, fd: int, name: str, path: str) -> Outline | None:
        try:
            seen = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._report(unreadable(path, error))
            return None
        if stat.S_ISREG(seen.st_mode):
            return path, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, 0.0
        if not stat.S_ISDIR(seen.st_mode):  # else it was a file just now: the next walk enters it
            kind = kind_of(seen.st_mode)
            self._report(Notice(printable(path), Passed.SPECIAL, f"it is {kind}, which is never synced"))
        return None


def is_text(name: str) -> bool:
    """Whether ``name`` is UTF-8 on the disk."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
