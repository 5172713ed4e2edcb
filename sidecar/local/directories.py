"""Reaching files below the exported directory without ever leaving it.

Every step from the root is taken by descriptor with ``O_NOFOLLOW``: a symbolic link that an
application plants, even between two of our calls, is an error and never a way out. Reading and
replacing file contents is ``files``' and ``staging``'s; this module only opens and looks.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

from sidecar.errors import LocalFault, SyncError, from_os_error
from sidecar.local.syscalls import open_beneath
from sidecar.tree import Fingerprint

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO must not wait for a writer. It has no effect on regular files.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotADirectory(LocalFault):
    """A component on the way is a symbolic link or no directory."""

    reason = "not_a_directory"
    hint = "symbolic links are never followed; use real directories"


class NotAFile(LocalFault):
    """The name is there, but it is no regular file."""

    reason = "not_a_file"


def fingerprint_of(status: os.stat_result) -> Fingerprint:
    """The fingerprint in the answer of ``stat``."""
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class Root:
    """The exported directory, held open. ``path`` is for messages and statistics only.

    Raises:
        LocalFault: the directory is not there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise from_os_error("open", path, error) from error

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def directory(self, path: str, *, create: bool = False) -> Iterator[int]:
        """A descriptor of the directory ``path`` (``.`` for the root), closed on leaving.

        With ``create``, missing components are made (mode 0777 less the umask, as an application would).

        Raises:
            FileNotFoundError: a component is missing and ``create`` is false.
            NotADirectory: a component is a link or a file.
            LocalFault, NoRoom: the file system refused.
        """
        fd = self._descend(path, create=create)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def open_file(self, path: str) -> Iterator[int]:
        """A descriptor for reading the regular file ``path``, closed on leaving.

        Raises:
            FileNotFoundError: it vanished.
            NotAFile: it is a link, directory, FIFO, socket or device.
            LocalFault: the file system refused.
        """
        fd, _ = self.open_seen(path)
        try:
            yield fd
        finally:
            os.close(fd)

    def open_seen(self, path: str) -> tuple[int, os.stat_result]:
        """As :meth:`open_file`: the descriptor, which the caller closes, and what ``fstat`` said of it."""
        fd = open_beneath(self.fd, path, _FILE)
        if fd is None:
            parent, _, name = path.rpartition("/")
            with self.directory(parent or ".") as directory:
                fd = _open(directory, name, path)
        return fd, _regular(fd, path)

    def identity(self, path: str) -> str:
        """What tells the directory ``path`` from another that has its name later: its inode, and its mount.

        Raises:
            LocalFault: it is not there, or the way is barred.
        """
        try:
            with self.directory(path) as fd:
                found, root = os.fstat(fd), os.fstat(self.fd)
        except OSError as error:
            raise from_os_error("look at", path, error) from error
        # Device numbers may change with a restart of the node; within the volume its owner record speaks.
        return f"{found.st_ino}:{0 if found.st_dev == root.st_dev else found.st_dev}"

    def look(self, path: str) -> Fingerprint | None:
        """The fingerprint of the regular file ``path``, None where nothing is there.

        Raises:
            NotAFile: something else is there.
            NotADirectory, LocalFault: the way there is barred.
        """
        parent, _, name = path.rpartition("/")
        with suppress(FileNotFoundError), self.directory(parent or ".") as directory:
            return look_at(directory, name, path)
        return None

    def _descend(self, path: str, *, create: bool) -> int:
        if path == ".":
            return os.dup(self.fd)
        fd = open_beneath(self.fd, path, _DIRECTORY)
        if fd is not None:
            return fd
        fd = os.dup(self.fd)
        try:
            for name in path.split("/"):
                deeper = self._step(fd, name, path, create=create)
                os.close(fd)
                fd = deeper
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _step(self, fd: int, name: str, path: str, *, create: bool) -> int:
        try:
            return os.open(name, _DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            if not create:
                raise
        except OSError as error:
            raise _barred(path, name, error) from error
        try:
            with suppress(FileExistsError):
                os.mkdir(name, 0o777, dir_fd=fd)
            # The new name must survive a power cut, or the files made below it would not.
            os.fsync(fd)
            return os.open(name, _DIRECTORY, dir_fd=fd)
        except OSError as error:
            raise _barred(path, name, error) from error


def look_at(directory: int, name: str, path: str) -> Fingerprint:
    """The fingerprint of the regular file ``name`` in an open ``directory``; ``path`` is for messages.

    Raises:
        FileNotFoundError: nothing is there.
        NotAFile: something else is there.
    """
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise from_os_error("look at", path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise NotAFile("look at", path, f"it is {kind_of(status.st_mode)}")
    return fingerprint_of(status)


def kind_of(mode: int) -> str:
    """What a file that is not regular is, in words."""
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
    }
    return kinds.get(stat.S_IFMT(mode), "no regular file")


def _open(directory: int, name: str, path: str) -> int:
    try:
        return os.open(name, _FILE, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotAFile("open", path, "it is a symbolic link, FIFO or socket") from error
        raise from_os_error("open", path, error) from error


def _regular(fd: int, path: str) -> os.stat_result:
    """What is behind ``fd``, which is closed where that is no regular file."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise NotAFile("open", path, f"it is {kind_of(status.st_mode)}")
    return status


def _barred(path: str, name: str, error: OSError) -> SyncError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return NotADirectory("open", path, f"{name!r} is a symbolic link or no directory")
    return from_os_error("open", path, error)
