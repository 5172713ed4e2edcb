"""The walk: every regular file below a directory, in the order of a bucket listing.

A directory sorts as ``name/``, so that the paths come in the byte order of object keys and the
walk merges with a listing and with the index. Links, FIFOs, sockets and devices are reported and
passed over; a directory that cannot be read is reported, and the walk goes on.
"""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sidecar.errors import SyncError
from sidecar.local.directories import NotAFile, Root, fingerprint_of, kind_of
from sidecar.tree import LocalEntry, RelativePath

CONFLICT_MARK: Final = ".conflict-"
PATH_LIMIT: Final = 1024  # bytes; nothing longer fits a key


class Passed(StrEnum):
    """Why the walk passed something over."""

    NOT_UTF8 = "not_utf8"
    TOO_LONG = "name_too_long"
    SPECIAL = "not_a_file"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    MISSING = "missing_source"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that the walk passed over; ``name`` is printable."""

    name: str
    why: Passed
    detail: str


Report = Callable[[Notice], None]
# Asked with a path below the root and whether it is a directory; true: pass it over in silence.
Skip = Callable[[str, bool], bool]


def nothing(_path: str, _directory: bool) -> bool:
    """The skip that passes nothing over."""
    return False


@dataclass(frozen=True, slots=True)
class _Child:
    sort_key: str
    name: str
    status: os.stat_result


def walk(root: Root, directory: str, report: Report, skip: Skip = nothing) -> Iterator[LocalEntry]:
    """Regular files below ``directory`` of ``root``, paths relative to it, ascending.

    ``skip`` is asked of everything met; a directory that is skipped is not entered. A missing ``directory`` is
    reported once and yields nothing. Memory: the names of one directory on each level.
    """
    below = "" if directory == "." else directory + "/"
    try:
        with root.directory(directory):
            pass
    except FileNotFoundError:
        report(Notice(directory, Passed.MISSING, "the source directory is not there (yet)"))
        return
    except SyncError as error:
        report(Notice(directory, Passed.UNREADABLE, str(error)))
        return
    levels = [iter(_children(root, directory, "", report, skip))]
    trail = [""]
    while levels:
        child = next(levels[-1], None)
        if child is None:
            levels.pop()
            trail.pop()
            continue
        path = trail[-1] + child.name
        if stat.S_ISDIR(child.status.st_mode):
            levels.append(iter(_children(root, below + path, path + "/", report, skip)))
            trail.append(path + "/")
        else:
            yield LocalEntry(RelativePath(path), fingerprint_of(child.status))


def visit(
    root: Root,
    directory: str,
    names: Iterable[str],
    directories: Iterable[str],
    report: Report,
    skip: Skip = nothing,
) -> Iterator[LocalEntry]:
    """As :func:`walk`, of only these ``names`` and all below these ``directories``; what is gone is passed over."""
    below = "" if directory == "." else directory + "/"

    def one(path: str) -> Iterator[LocalEntry]:
        def told(notice: Notice) -> None:
            inside = "" if notice.name == below + path else notice.name
            if notice.why is not Passed.MISSING:  # gone again: nothing to say
                report(Notice(f"{path}/{inside}", notice.why, notice.detail))

        for entry in walk(root, below + path, told, skip):
            yield LocalEntry(RelativePath(f"{path}/{entry.path}"), entry.fingerprint)

    outermost = _outermost(directories)
    walked = set(outermost)
    others = [name for name in names if walked.isdisjoint(_parents(name))]
    streams = [one(path) for path in outermost if not _name_fault(root, below, path, report)]
    last = None
    for entry in heapq.merge(_looked_at(root, below, others, report), *streams, key=lambda entry: entry.path):
        if entry.path != last:
            yield entry
        last = entry.path


def _looked_at(root: Root, below: str, names: Iterable[str], report: Report) -> Iterator[LocalEntry]:
    for name in sorted(name for name in names if not _name_fault(root, below, name, report)):
        try:
            seen = root.look(below + name)
        except NotAFile as error:
            report(Notice(name, Passed.SPECIAL, error.detail))
            continue
        except SyncError as error:
            report(Notice(name, Passed.UNREADABLE, str(error)))
            continue
        if seen is not None:
            yield LocalEntry(RelativePath(name), seen)


def _outermost(directories: Iterable[str]) -> list[str]:
    found: list[str] = []
    for path in sorted(directories, key=lambda path: path + "/"):
        if not found or not path.startswith(found[-1] + "/"):
            found.append(path)
    return found


def _parents(path: str) -> Iterator[str]:
    cut = path.find("/")
    while cut >= 0:
        yield path[:cut]
        cut = path.find("/", cut + 1)


def _name_fault(root: Root, below: str, name: str, report: Report) -> bool:
    """Whether ``name`` cannot be synced; it is reported then, if it is still there."""
    try:
        too_long = len(name.encode()) > PATH_LIMIT
    except UnicodeEncodeError:
        if _is_there(root, below + name):
            report(Notice(printable(name), Passed.NOT_UTF8, "the name is not UTF-8; rename the file"))
        return True
    if too_long and _is_there(root, below + name):
        report(Notice(name, Passed.TOO_LONG, f"the path is longer than {PATH_LIMIT} bytes"))
    return too_long


def _is_there(root: Root, path: str) -> bool:
    try:
        return root.look(path) is not None
    except SyncError:
        return True  # no regular file, or out of reach


def _children(root: Root, directory: str, trail: str, report: Report, skip: Skip) -> list[_Child]:
    below = "" if directory == "." else directory + "/"
    found: list[_Child] = []
    try:
        with root.directory(directory) as fd, os.scandir(fd) as entries:
            for entry in entries:
                if skip(below + entry.name, entry.is_dir(follow_symlinks=False)):
                    continue
                child = _child(entry, trail, report)
                if child is not None:
                    found.append(child)
    except FileNotFoundError:
        return []  # removed since its parent was read
    except SyncError as error:
        report(Notice(printable(trail or directory), Passed.UNREADABLE, str(error)))
    except OSError as error:
        report(Notice(printable(trail or directory), Passed.UNREADABLE, error.strerror or str(error)))
    found.sort(key=lambda child: child.sort_key)
    return found


def _child(entry: os.DirEntry[str], trail: str, report: Report) -> _Child | None:
    shown = printable(trail + entry.name)
    try:
        length = len((trail + entry.name).encode())
    except UnicodeEncodeError:
        report(Notice(shown, Passed.NOT_UTF8, "the name is not UTF-8; rename the file"))
        return None
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        report(Notice(shown, Passed.UNREADABLE, error.strerror or str(error)))
        return None
    if length > PATH_LIMIT:
        report(Notice(shown, Passed.TOO_LONG, f"the path is longer than {PATH_LIMIT} bytes"))
        return None
    if stat.S_ISDIR(status.st_mode):
        return _Child(entry.name + "/", entry.name, status)
    if stat.S_ISREG(status.st_mode):
        return _Child(entry.name, entry.name, status)
    report(Notice(shown, Passed.SPECIAL, f"it is {kind_of(status.st_mode)}, which is never synced"))
    return None


def printable(name: str) -> str:
    """``name`` as notices show it: bytes that are no text are spelled out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
