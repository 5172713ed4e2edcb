"""Whose directory this is, and which sidecar may work on it.

The owner record says which workload the directory belongs to and gives it an id that marks every
object sent from it. The lock lets exactly one sidecar sync; another waits and takes over at once
when the holder ends, however it ends. ``prepare`` is what the init container runs, before any
application mounts the directory.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import uuid
from dataclasses import asdict
from typing import Final, NamedTuple

from contract.names import OWN_DIR
from contract.spec import Owner
from sidecar.errors import Misconfigured, from_os_error

OWNER_FILE: Final = "owner"
LOCK_FILE: Final = "lock"
SET_ASIDE: Final = "set-aside"

# The top directory where nobody says which user writes: like /tmp, and each file stays its writer's.
_OPEN_TO_ALL: Final = 0o1777
_GROUP_WRITABLE: Final = 0o2775


class ForeignDirectory(Misconfigured):
    """The directory belongs to another workload."""

    reason = "foreign_directory"
    hint = "give this workload a name or volume of its own"


class OwnerRecord(NamedTuple):
    """What the file says: the id of the directory, and its owner where that is known."""

    id: str
    owner: Owner | None


class Lock:
    """An exclusive lock on a state directory; it ends with the process, also by ``kill -9``."""

    def __init__(self, state_dir: str) -> None:
        self._path = f"{state_dir}/{LOCK_FILE}"
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return self._fd is not None

    def acquire(self) -> bool:
        """Try to take it, without waiting; true when this process holds it afterwards.

        A lock on a file that lost its name keeps nobody out: it is given up, and the one in its place tried.

        Raises:
            LocalFault: the lock file cannot be opened.
        """
        if self._fd is not None:
            if identity(self._path) == identity(self._fd):
                return True
            self.release()
        try:
            fd = self._open()
        except OSError as error:
            raise from_os_error("lock", self._path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError as error:
            os.close(fd)
            raise from_os_error("lock", self._path, error) from error
        self._fd = fd
        return True

    def _open(self) -> int:
        flags = os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self._path, flags | os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            return os.open(self._path, flags | os.O_RDONLY)  # which locks as well

    def release(self) -> None:
        """Give it up; the next sidecar takes it at its next try."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def identity(file: str | int) -> tuple[int, int] | None:
    """Which file has this path or descriptor: device and inode; None where there is none."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def open_state(state_dir: str, owner: Owner | None) -> OwnerRecord:
    """Make the state directory where it is missing, and return its record, written if there was none.

    Raises:
        ForeignDirectory: the record names another owner.
        LocalFault, NoRoom: the directory cannot be used.
    """
    try:
        _make(state_dir)
        record = _read(state_dir)
        if record is None:
            record = OwnerRecord(uuid.uuid4().hex, owner)
            _write(state_dir, record)
    except OSError as error:
        raise from_os_error("open", state_dir, error) from error
    if owner and record.owner and not record.owner.same_as(owner):
        raise ForeignDirectory("open", state_dir, f"it belongs to {_described(record.owner)}")
    return record


def _make(state_dir: str) -> None:
    """The state directory; a link in its place, which an application may have planted, is never followed.

    Raises:
        Misconfigured: something else is there.
    """
    os.makedirs(os.path.dirname(state_dir), mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(state_dir, 0o700)
    if not stat.S_ISDIR(os.lstat(state_dir).st_mode):
        raise Misconfigured("open", state_dir, "it is no directory of ours; remove it to go on")


def read_record(state_dir: str) -> OwnerRecord | None:
    """The record of a directory as it is; None where there is none yet. Changes nothing.

    Raises:
        Misconfigured: it is no owner record.
        LocalFault: it cannot be read.
    """
    try:
        return _read(state_dir)
    except OSError as error:
        raise from_os_error("read", state_dir, error) from error


def prepare(export_dir: str, owner: Owner | None, uid: int | None, gid: int | None, stamp: str) -> str | None:
    """What the init container does: settle whose directory this is, and make its top usable. Never recursive.

    Content of another owner is moved aside, never read; returns where to, or None. Safe to repeat
    after a kill at any point: the new record is written last.

    Raises:
        ForeignDirectory: the other owner's sidecar is still running.
        LocalFault, NoRoom: the file system refused.
    """
    state_dir = f"{export_dir}/{OWN_DIR}"
    try:
        _make(state_dir)
        aside = _settle_owner(export_dir, state_dir, owner, stamp)
        sidecar_uid = uid if uid is not None else os.geteuid()  # root, in a pod
        os.chown(state_dir, sidecar_uid, -1)
        os.chmod(state_dir, 0o700)
        for name in (OWNER_FILE, LOCK_FILE):
            with contextlib.suppress(FileNotFoundError):
                os.chown(f"{state_dir}/{name}", sidecar_uid, -1, follow_symlinks=False)
        if os.geteuid() == 0:  # else the volume is as its maker gave it to the pod's user
            _make_top_usable(export_dir, uid, gid)
    except OSError as error:
        raise from_os_error("prepare", export_dir, error) from error
    return aside


def _settle_owner(export_dir: str, state_dir: str, owner: Owner | None, stamp: str) -> str | None:
    record = _read(state_dir)
    if record is not None and (owner is None or record.owner is None or record.owner.same_as(owner)):
        return None
    aside = None
    if record is not None:
        lock = Lock(state_dir)
        if not lock.acquire():
            assert record.owner is not None  # the case above
            raise ForeignDirectory("prepare", export_dir, f"{_described(record.owner)} is still syncing it")
        try:
            aside = _set_aside(export_dir, state_dir, stamp)
        finally:
            lock.release()
    _write(state_dir, OwnerRecord(uuid.uuid4().hex, owner))
    return aside


def _set_aside(export_dir: str, state_dir: str, stamp: str) -> str:
    """Move everything but the record into ``.data-sync/set-aside/<stamp>``, where no application can look."""
    aside = f"{state_dir}/{SET_ASIDE}/{stamp}"
    os.makedirs(f"{aside}/{OWN_DIR}", mode=0o700, exist_ok=True)
    for name in os.listdir(export_dir):
        if name != OWN_DIR:
            os.rename(f"{export_dir}/{name}", f"{aside}/{name}")
    for name in os.listdir(state_dir):
        if name not in (SET_ASIDE, OWNER_FILE, LOCK_FILE):
            os.rename(f"{state_dir}/{name}", f"{aside}/{OWN_DIR}/{name}")
    return aside


def _make_top_usable(export_dir: str, uid: int | None, gid: int | None) -> None:
    if uid is None and gid is None:
        os.chmod(export_dir, _OPEN_TO_ALL)
        return
    os.chown(export_dir, uid if uid is not None else -1, gid if gid is not None else -1)
    os.chmod(export_dir, _GROUP_WRITABLE if gid is not None else 0o755)


def _read(state_dir: str) -> OwnerRecord | None:
    try:
        with open(f"{state_dir}/{OWNER_FILE}", encoding="utf-8") as file:
            raw = json.load(file)
        owner = Owner.from_json(json.dumps(raw["owner"])) if raw["owner"] else None
        return OwnerRecord(str(raw["id"]), owner)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        # A torn record cannot come from us (it is renamed into place); someone else wrote there.
        raise Misconfigured("read", f"{state_dir}/{OWNER_FILE}", "it is no owner record; remove it to go on") from error


def _write(state_dir: str, record: OwnerRecord) -> None:
    owner = asdict(record.owner) if record.owner else None
    replace_file(f"{state_dir}/{OWNER_FILE}", json.dumps({"id": record.id, "owner": owner}))


def replace_file(path: str, text: str) -> None:
    """Write a small file so that a reader sees the old text or the new, also after a power cut."""
    fresh = f"{path}.new"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _described(owner: Owner) -> str:
    uid = f" (namespace UID {owner.namespace_uid})" if owner.namespace_uid else ""
    return f"{owner.kind} {owner.namespace}/{owner.name}{uid}"
