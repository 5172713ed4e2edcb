"""Watching a directory tree by inotify, so that an idle cycle costs nothing.

A hint, never the truth: it says which names to look at before the next full walk, and it says when
it does not know (queue overflow, a tree that moved). Where it cannot watch at all, it raises
:class:`CannotWatch`, and the caller walks the tree every cycle. What it cannot see by nature are
writes through a mapping (mmap) until the file is closed; the full walk every
``DATA_SYNC_RESCAN_INTERVAL`` finds those.

A thread of its own keeps the kernel's queue from running over; :meth:`Watch.take` empties it too, so that
what happened before the call is in its answer.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from inotify_simple import Event, INotify, flags

from runtime.logs import fields
from sidecar.errors import SyncError
from sidecar.local.directories import Root

log = logging.getLogger(__name__)

# Asked with a path below the root and whether it is a directory; true: pass it over in silence.
Skip = Callable[[str, bool], bool]

MOST_WATCHES: Final = 100_000  # directories; about 25 MB here and 100 MB in the kernel
MOST_NAMES: Final = 50_000  # changed names remembered between two cycles; more, and a walk is cheaper
_GATHER: Final = 0.2  # seconds after a first event, in which the kernel folds equal ones together

_CHANGED: Final = (
    flags.CREATE | flags.MODIFY | flags.CLOSE_WRITE | flags.MOVED_TO | flags.ATTRIB | flags.DELETE | flags.MOVED_FROM
)
_GONE: Final = flags.DELETE_SELF | flags.MOVE_SELF
_MASK: Final = _CHANGED | _GONE | flags.ONLYDIR | flags.EXCL_UNLINK

# File systems whose files may change without this kernel knowing.
_REMOTE: Final = ("nfs", "cifs", "smb", "9p", "ceph", "glusterfs", "fuse", "virtiofs", "afs")


class CannotWatch(Exception):
    """The tree cannot be watched; the message says why and what an administrator can do."""


@dataclass(slots=True)
class Hints:
    """What to look at, as paths below the watched directory. ``everything``: only a walk will tell."""

    files: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)  # to be walked, with all below
    everything: bool = False

    def __bool__(self) -> bool:
        return self.everything or bool(self.files) or bool(self.directories)


class Watch:
    """The watch over one directory below an exported directory. :meth:`close` ends it.

    ``skip`` is asked as by the walk: what it answers true for is not watched.

    Raises:
        CannotWatch: limits of the kernel, or a file system that does not tell.
        FileNotFoundError: the directory is not there.
        SyncError: the directory cannot be opened.
    """

    def __init__(self, root: Root, directory: str, skip: Skip) -> None:
        self._root = root  # ours alone, closed by the caller after us
        self._directory = directory
        self._skip = skip
        self._paths: dict[int, str] = {}  # watch descriptor → path below `directory`, "" for itself
        self._hints = Hints(everything=True)
        self._lock = threading.RLock()  # around the queue and all that follows from an event
        self._broken = False
        self._stopping = threading.Event()
        _refuse_remote(root)
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            raise CannotWatch(f"{error.strerror}; raise fs.inotify.max_user_instances on the node") from error
        try:
            with root.directory(directory) as fd:
                self._identity = _identity(os.fstat(fd))
            self._add("")
        except BaseException:
            self._inotify.close()
            raise
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def take(self) -> Hints:
        """What happened since the last call; the first says ``everything``.

        Call it before looking: what happens later is in the next answer.
        """
        with self._lock:
            self._drain()
            hints, self._hints = self._hints, Hints()
            if self._broken or self._has_moved():
                hints.everything = True
        return hints

    @property
    def usable(self) -> bool:
        """Whether it still sees the directory that has the name now; if not, close it and make another."""
        with self._lock:
            return not self._broken and not self._has_moved()

    def close(self) -> None:
        """Stop watching."""
        self._stopping.set()
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._inotify.close()
        os.close(self._wake)

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._inotify.fileno(), select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while not self._broken:
            poller.poll()
            if self._stopping.wait(_GATHER):
                return
            with self._lock:
                self._drain()

    def _drain(self) -> None:
        try:
            for event in self._inotify.read(timeout=0):
                self._on(event)
        except (CannotWatch, OSError, SyncError) as error:
            if not self._broken:
                log.warning("watching ended", **fields(directory=self._directory, error=str(error)))
            self._broken = True  # whoever asks next must walk, and make another
            self._everything()

    def _on(self, event: Event) -> None:
        if event.mask & (flags.Q_OVERFLOW | flags.UNMOUNT):
            log.warning("watch queue overflowed or unmounted; walking instead", **fields(directory=self._directory))
            self._everything()
            return
        base = self._paths.get(event.wd)
        if base is None:
            return  # of a directory that left: its parent has told of it
        if event.mask & flags.IGNORED:
            del self._paths[event.wd]
            return
        if not event.name:
            if not base:
                self._everything()  # the watched directory itself was moved, removed or given other rights
            return
        path = f"{base}/{event.name}" if base else event.name
        if self._skip(self._below_root(path), bool(event.mask & flags.ISDIR)):
            return
        if not event.mask & flags.ISDIR:
            self._note(path, directory=False)
            return
        if event.mask & flags.MOVED_FROM:
            self._forget(path)
        elif event.mask & (flags.CREATE | flags.MOVED_TO | flags.ATTRIB):
            self._add(path)
        self._note(path, directory=True)

    def _add(self, path: str) -> None:
        """Watch ``path`` and all below. Each is watched before it is listed, so nothing falls between."""
        waiting = [path]
        while waiting:
            current = waiting.pop()
            with suppress(FileNotFoundError, SyncError), self._root.directory(self._below_root(current) or ".") as fd:
                self._watch(fd, current)
                with os.scandir(fd) as entries:
                    for entry in entries:
                        below = f"{current}/{entry.name}" if current else entry.name
                        if entry.is_dir(follow_symlinks=False) and not self._skip(self._below_root(below), True):
                            waiting.append(below)

    def _watch(self, fd: int, path: str) -> None:
        if len(self._paths) >= MOST_WATCHES:
            raise CannotWatch(f"more than {MOST_WATCHES} directories")
        try:
            # By descriptor, so that a link planted meanwhile cannot lead elsewhere.
            number = self._inotify.add_watch(f"/proc/self/fd/{fd}", _MASK)
        except FileNotFoundError:
            return
        except OSError as error:
            raise CannotWatch(f"{error.strerror}; raise fs.inotify.max_user_watches on the node") from error
        self._paths[number] = path

    def _forget(self, path: str) -> None:
        """A directory left: its descriptors would go on telling of it under the old name."""
        for number in [wd for wd, known in self._paths.items() if known == path or known.startswith(path + "/")]:
            with suppress(OSError):
                self._inotify.rm_watch(number)
            del self._paths[number]

    def _note(self, path: str, *, directory: bool) -> None:
        hints = self._hints
        if hints.everything:
            return
        (hints.directories if directory else hints.files).add(path)
        if len(hints.files) + len(hints.directories) > MOST_NAMES:
            self._everything()

    def _everything(self) -> None:
        self._hints = Hints(everything=True)

    def _has_moved(self) -> bool:
        try:
            with self._root.directory(self._directory) as fd:
                return _identity(os.fstat(fd)) != self._identity
        except (OSError, SyncError):
            return True

    def _below_root(self, path: str) -> str:
        if self._directory == ".":
            return path
        return f"{self._directory}/{path}" if path else self._directory


def _identity(status: os.stat_result) -> tuple[int, int]:
    assert stat.S_ISDIR(status.st_mode)
    return status.st_dev, status.st_ino


def _refuse_remote(root: Root) -> None:
    """Ask mountinfo (proc(5)) which file system the exported directory is on."""
    device = os.fstat(root.fd).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            words = line.split()
            if words[2] == wanted:
                kind = words[words.index("-") + 1]
                if kind.startswith(_REMOTE):
                    raise CannotWatch(f"files on {kind} may change unseen by this node")
                return
