"""Putting downloads in place: durable first, visible second, recorded last, and nothing lost in between.

A new file is renamed in, never over anything. An existing file is *exchanged* with the download in
one atomic step, so whatever had that name, even if it was written a microsecond ago, is in our hands
afterwards and is looked at: as agreed, it is held for two more cycles in case an application still
writes through an open descriptor; otherwise it becomes a conflict copy beside the new file
(promises 7 and 10). The announcement in the index makes each step safe against a kill.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from contract.paths import COMPONENT_LIMIT
from runtime.logs import fields
from sidecar.errors import SyncError, from_os_error
from sidecar.local.directories import NotADirectory, NotAFile, Root, fingerprint_of, look_at
from sidecar.local.staging import Staging
from sidecar.local.syscalls import Unsupported, exchange, rename_new, syncfs
from sidecar.plan import Download
from sidecar.state.database import IndexBroken
from sidecar.state.index import Held, Index
from sidecar.tree import Fingerprint

log = logging.getLogger(__name__)

HOLD_CYCLES: Final = 2  # how long a replaced file may still be written to by someone who had it open
_BY_ITSELF: Final = 2**20  # bytes; flushing it costs no more by itself
_FEW: Final = 3  # up to this many files, fsync of each is cheaper than syncfs of all
CONFLICT_MARK: Final = ".conflict-"
_CONFLICT = re.compile(r"\.conflict-\d{8}T\d{6}Z(-\d+)?$")


def is_conflict_copy(path: str) -> bool:
    """Whether ``path`` names a copy that we kept of a local edit; such a file is never sent."""
    return _CONFLICT.search(path) is not None


class Fetched(NamedTuple):
    """A complete, verified download waiting in staging. ``path`` is below the exported directory."""

    action: Download
    path: str
    staged: str
    sha256: bytes
    placed: Fingerprint  # as staged; the ctime changes when it is renamed


class Publisher:
    """Puts downloads in place. The engine's thread alone uses it, but for :meth:`make_durable`."""

    def __init__(self, root: Root, staging: Staging, index: Index, stamp: Callable[[], str]) -> None:
        self._root = root
        self._staging = staging
        self._index = index
        self._stamp = stamp  # the UTC time for names, YYYYMMDDTHHMMSSZ
        self._careful = not syncfs_tells_errors(os.uname().release)  # flush each file by itself

    def make_durable(self, contents: list[Fetched], names: list[Fetched]) -> None:
        """Flush what ``contents`` hold in staging, and the ``names`` that :meth:`place` gave. From any thread.

        Raises:
            NoRoom, LocalFault: some of it may not survive a power cut: place no contents, record no names.
        """
        parents = {fetched.path.rpartition("/")[0] or "." for fetched in names}
        together = not self._careful and len(contents) + len(parents) > _FEW
        try:
            # A large one may have been written in earlier cycles, whose descriptors have heard of its errors.
            for fetched in contents:
                if not together or fetched.action.size > _BY_ITSELF:
                    _fsync(fetched.staged, self._staging.incoming)
            if together:
                syncfs(self._staging.incoming)
                return
            for parent in parents:
                with suppress(FileNotFoundError, NotADirectory), self._root.directory(parent) as directory:
                    os.fsync(directory)  # unless the workload has removed it since
        except OSError as error:
            self._careful = True  # syncfs tells of an error once, and not of whose; fsync still finds it at each file
            raise from_os_error("flush", (contents or names)[0].path, error) from error

    def place(self, fetched: Fetched) -> Fingerprint:
        """Give one durable download its name; returns the fingerprint it has there.

        Raises:
            NotAFile, NotADirectory, NoRoom, LocalFault: the download is discarded, the target untouched.
        """
        parent, _, name = fetched.path.rpartition("/")
        try:
            with self._root.directory(parent or ".", create=True) as directory:
                self._swap_in(fetched, directory, name)
                return self._as_placed(fetched, directory, name)
        except OSError as error:
            self._staging.discard(fetched.staged)
            raise from_os_error("place", fetched.path, error) from error
        except BaseException:
            self._staging.discard(fetched.staged)
            raise

    def remove(self, path: str, expected: Fingerprint) -> None:
        """Take the file ``path`` away, held for two more cycles; if it is not as ``expected``, it is kept beside.

        Raises:
            NotADirectory, NoRoom, LocalFault: it stays.
        """
        parent, _, name = path.rpartition("/")
        number = self._index.hold(path, 0, expected, HOLD_CYCLES)
        try:
            with self._root.directory(parent or ".") as directory:
                self._hold(directory, name, str(number))
                os.fsync(directory)
        except FileNotFoundError:
            self._index.release(number)
            return
        except OSError as error:
            raise from_os_error("remove", path, error) from error
        self._settle(Held(number, path, 0, expected, HOLD_CYCLES))

    def discard(self, fetched: Fetched) -> None:
        """Give up a download that was not placed."""
        self._staging.discard(fetched.staged)

    def recover(self, *, clear: bool) -> None:
        """Deal with what a killed run, or an index that is lost, left in staging; ``clear``: half downloads too.

        Raises:
            LocalFault, IndexUnusable: it cannot be looked at.
        """
        cleared = self._staging.clear() if clear else 0
        if cleared:
            log.info("unfinished downloads removed", **fields(files=cleared))
        for held in self._index.held():
            self._settle_or_keep(held)
        known = {str(held.id) for held in self._index.held()}
        try:
            for name in os.listdir(self._staging.held):
                if name not in known:
                    kept = self._staging.set_apart(name)
                    log.error("a replaced file of unknown origin was kept", **fields(path=kept))
        except OSError as error:
            raise from_os_error("recover", "staging", error) from error

    def age(self) -> None:
        """Once an ingress cycle: let go of replaced files that nobody can be writing to any more.

        Raises:
            NoRoom, IndexUnusable: it could not be noted that a cycle has passed; they are held for longer.
        """
        self._index.age_held()
        for held in self._index.held():
            if held.cycles_left <= 0:
                self._settle_or_keep(held)

    def _settle_or_keep(self, held: Held) -> None:
        try:
            self._settle(held)
        except IndexBroken:
            raise
        except SyncError as error:  # the file is held, and the next cycle comes by again
            log.debug("replaced file not let go", **fields(path=held.path, error=str(error)))

    def _swap_in(self, fetched: Fetched, directory: int, name: str) -> None:
        incoming = self._staging.incoming
        replaces = fetched.action.local is not None
        for _ in range(3):  # the name may come or go under our hands, but hardly three times
            if not replaces:
                try:
                    rename_new(incoming, fetched.staged, directory, name)
                    return
                except FileExistsError:
                    replaces = True
            try:
                look_at(directory, name, fetched.path)  # a link or directory is refused, not swapped away
                self._replace(fetched, directory, name)
                return
            except FileNotFoundError:
                replaces = False
        raise NotAFile("place", fetched.path, "the name keeps changing")

    def _replace(self, fetched: Fetched, directory: int, name: str) -> None:
        action = fetched.action
        expected = None if action.local_edited or action.local is None else action.local
        number = self._index.hold(fetched.path, fetched.placed.inode, expected, HOLD_CYCLES)
        held = Held(number, fetched.path, fetched.placed.inode, expected, HOLD_CYCLES)
        try:
            self._exchange(fetched, directory, name, str(number))
        except OSError:
            self._settle_or_keep(held)  # which finds that nothing was exchanged
            raise
        self._settle(held)

    def _exchange(self, fetched: Fetched, directory: int, name: str, held: str) -> None:
        """Afterwards ``name`` is the download, and ``held/<held>`` is what had that name."""
        staging = self._staging
        self._hold(staging.incoming, fetched.staged, held)
        try:
            exchange(staging.held, held, directory, name)
        except Unsupported:
            # Two steps instead of one: a rename by the application between them would be overwritten.
            os.rename(held, fetched.staged, src_dir_fd=staging.held, dst_dir_fd=staging.incoming)
            os.link(name, held, src_dir_fd=directory, dst_dir_fd=staging.held, follow_symlinks=False)
            os.rename(fetched.staged, name, src_dir_fd=staging.incoming, dst_dir_fd=directory)
        except OSError:
            os.rename(held, fetched.staged, src_dir_fd=staging.held, dst_dir_fd=staging.incoming)
            raise

    def _hold(self, directory: int, name: str, held: str) -> None:
        """Give a file its name among those that are held, never over another, which may be an only copy."""
        try:
            rename_new(directory, name, self._staging.held, held)
        except FileExistsError:
            kept = self._staging.set_apart(held)
            log.error("a replaced file of unknown origin was kept", **fields(path=kept))
            rename_new(directory, name, self._staging.held, held)

    def _settle(self, held: Held) -> None:
        """Decide about one held file: drop it, keep holding it, or keep it beside its successor.

        Raises:
            SyncError: the disk refused; it is held still.
        """
        try:
            status = os.stat(str(held.id), dir_fd=self._staging.held, follow_symlinks=False)
        except FileNotFoundError:
            self._index.release(held.id)
            return
        except OSError as error:
            raise from_os_error("look at", held.path, error) from error
        try:
            self._settle_found(held, status)
        except OSError as error:
            raise from_os_error("let go of", held.path, error) from error

    def _settle_found(self, held: Held, status: os.stat_result) -> None:
        if status.st_ino == held.new_inode:
            self._let_go(held)  # the exchange never happened: the bucket has this
        elif _unchanged(fingerprint_of(status), held.expected) and stat.S_ISREG(status.st_mode):
            if held.cycles_left <= 0:
                self._let_go(held)
        elif self._still_in_place(held, status):
            self._let_go(held)  # it was linked, and never replaced
        else:
            self._keep_beside(held)

    def _let_go(self, held: Held) -> None:
        os.unlink(str(held.id), dir_fd=self._staging.held)
        self._index.release(held.id)

    def _still_in_place(self, held: Held, status: os.stat_result) -> bool:
        with suppress(SyncError):
            there = self._root.look(held.path)
            return there is not None and there.inode == status.st_ino
        return False

    def _keep_beside(self, held: Held) -> None:
        name = str(held.id)
        parent, _, base = held.path.rpartition("/")
        with self._root.directory(parent or ".", create=True) as directory:
            for copy in conflict_names(base, self._stamp(), COMPONENT_LIMIT):
                try:
                    rename_new(self._staging.held, name, directory, copy)
                except FileExistsError:
                    continue
                os.fsync(directory)
                break
            else:
                return  # so many copies within a second: held until there is a name
        self._index.release(held.id)
        kept = f"{parent}/{copy}" if parent else copy
        log.warning("local edit kept beside the version from the bucket", **fields(path=held.path, kept=kept))

    def _as_placed(self, fetched: Fetched, directory: int, name: str) -> Fingerprint:
        """What to remember: our file, with the ctime it has now; a change made since must look like one."""
        placed = fetched.placed
        with suppress(FileNotFoundError, NotAFile):
            now = look_at(directory, name, fetched.path)
            if now.inode == placed.inode:
                return Fingerprint(placed.size, placed.mtime_ns, now.ctime_ns, placed.inode)
        return placed


def _unchanged(now: Fingerprint, expected: Fingerprint | None) -> bool:
    """ctime is left out: our own rename moves it."""
    if expected is None:
        return False
    return (now.size, now.mtime_ns, now.inode) == (expected.size, expected.mtime_ns, expected.inode)


def conflict_names(base: str, stamp: str, limit: int) -> list[str]:
    """Names for a copy of ``base``, in the order in which to try them, each of at most ``limit`` bytes."""
    names = []
    for number in range(1, 100):
        suffix = f".conflict-{stamp}" + (f"-{number}" if number > 1 else "")
        room = max(0, limit - len(suffix))
        names.append(base.encode()[:room].decode("utf-8", "ignore") + suffix)
    return names


def syncfs_tells_errors(release: str) -> bool:
    """Whether a kernel's ``syncfs`` reports what could not be written: since Linux 5.8, see syncfs(2)."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= (5, 8)


def _fsync(name: str, directory: int) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
