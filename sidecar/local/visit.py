"""Looking at files that somebody named, and at what is below named directories, instead of the whole tree.

As ``scan`` walks, so that what comes of it is the same; who names them is the watcher, or an earlier pass.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from sidecar.errors import SyncError
from sidecar.local.directories import NotAFile, Root
from sidecar.local.names import Kept, everything
from sidecar.local.notices import Notice, Passed, Report, printable
from sidecar.local.scan import PATH_LIMIT, is_text, walk
from sidecar.tree import LocalEntry, RelativePath


def visit(
    root: Root,
    directory: str,
    names: Iterable[str],
    directories: Iterable[str],
    report: Report,
    kept: Kept = everything,
) -> Iterator[LocalEntry]:
    """As :func:`~sidecar.local.scan.walk`, of only these ``names`` and all below these ``directories``.

    What is gone is passed over.
    """
    below = "" if directory == "." else directory + "/"

    def one(path: str) -> Iterator[LocalEntry]:
        def told(notice: Notice) -> None:
            inside = "" if notice.name == below + path else notice.name
            if notice.why is not Passed.MISSING:  # gone again: nothing to say
                report(Notice(f"{path}/{inside}", notice.why, notice.detail))

        for entry in walk(root, below + path, told, kept):
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
    if not is_text(name):
        if _is_there(root, below + name):
            report(Notice(printable(name), Passed.NOT_UTF8, "the name is not UTF-8; rename the file"))
        return True
    too_long = len(name.encode()) > PATH_LIMIT
    if too_long and _is_there(root, below + name):
        report(Notice(name, Passed.TOO_LONG, f"the path is longer than {PATH_LIMIT} bytes"))
    return too_long


def _is_there(root: Root, path: str) -> bool:
    try:
        return root.look(path) is not None
    except SyncError:
        return True  # no regular file, or out of reach
