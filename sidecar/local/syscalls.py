"""System calls that Python does not offer: opening below a directory, exchanging two names, flushing, writing early."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import lru_cache
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)
_NOREPLACE: Final = 1
_EXCHANGE: Final = 2
_OPENAT2: Final = 437  # on every architecture
_HOW_SIZE: Final = 24
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_MMAP_THRESHOLD: Final = -3  # of mallopt(3)
_kept: list[ctypes.Structure] = []  # what the kernel is handed must stay where it is
# What a file system that lacks a flag answers.
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class Unsupported(OSError):
    """The file system or the C library cannot do it; do it another way."""


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@lru_cache(maxsize=4)
def _how(flags: int) -> ctypes.c_void_p:
    how = _How(flags, 0, _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH)
    _kept.append(how)
    return ctypes.cast(ctypes.pointer(how), ctypes.c_void_p)


def open_beneath(root: int, path: str, flags: int) -> int | None:
    """Open ``path`` below the directory ``root`` in one call that follows no link; None where that did not work.

    Which may mean anything, an old kernel included: go step by step then, and meet the reason. See openat2(2).
    """
    fd = _libc.syscall(_OPENAT2, root, os.fsencode(path), _how(flags), _HOW_SIZE)
    return fd if fd >= 0 else None


def exchange(one_dir: int, one: str, other_dir: int, other: str) -> None:
    """Swap two names atomically; both must exist. See renameat2(2), RENAME_EXCHANGE.

    Raises:
        Unsupported: not on this file system.
        OSError: as renameat2 says.
    """
    _renameat2(one_dir, one, other_dir, other, _EXCHANGE)


def rename_new(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Rename, failing where ``target`` exists; atomic. Falls back to link and unlink.

    Raises:
        FileExistsError: ``target`` is there.
        OSError: neither way works.
    """
    try:
        _renameat2(source_dir, source, target_dir, target, _NOREPLACE)
    except Unsupported:
        os.link(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir, follow_symlinks=False)
        os.unlink(source, dir_fd=source_dir)


def syncfs(fd: int) -> None:
    """Make everything written so far on the file system of ``fd`` durable. See syncfs(2)."""
    if _libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def start_writing(fd: int, offset: int, size: int) -> None:
    """Have the disk begin to write part of a file, without waiting for it. A hint: see sync_file_range(2)."""
    call = getattr(_libc, "sync_file_range", None)
    if call is not None:
        call(fd, ctypes.c_int64(offset), ctypes.c_int64(size), ctypes.c_uint(2))


def give_back_large_blocks() -> None:
    """Have memory of a MiB and more go back to the system as soon as it is free: glibc; elsewhere a hint at most.

    By itself glibc keeps whatever is no larger than the largest block that was ever freed: after one large file
    its parts lie scattered in the heap, which then never shrinks (116 MiB instead of 40 at mixed load).
    """
    call = getattr(_libc, "mallopt", None)
    if call is not None:
        call(_MMAP_THRESHOLD, 2**20)


def _renameat2(source_dir: int, source: str, target_dir: int, target: str, flags: int) -> None:
    call = getattr(_libc, "renameat2", None)  # glibc 2.28, musl 1.2.6
    if call is None:
        raise Unsupported(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(source_dir, os.fsencode(source), target_dir, os.fsencode(target), flags) == 0:
        return
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        raise Unsupported(number, os.strerror(number), target)
    raise OSError(number, os.strerror(number), target)
