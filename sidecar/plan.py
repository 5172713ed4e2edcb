"""Decides, purely, what one mapping needs: streams of what is seen in, actions out.

All streams ascend by path, and so do the actions; none is held in memory. Nothing here does I/O:
the same streams always give the same actions, and once these are carried out the next plan is
empty. Absence leads to no action; who wants to know of it is told. Rules are numbered as in ``docs/SYNC.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol, TypeVar

from sidecar.tree import Agreed, ETag, Fingerprint, LocalEntry, RelativePath


class RemoteFile(NamedTuple):
    """An object under the path it has on the device."""

    path: RelativePath
    size: int
    etag: ETag
    modified: float


class Upload(NamedTuple):
    """Send the file as it is now. ``remote`` is what a listing of this cycle showed, if there was one."""

    path: RelativePath
    local: Fingerprint
    agreed: Agreed | None
    remote: RemoteFile | None = None
    listed: bool = False  # whether `remote` being None means that the object is not there

    @property
    def size(self) -> int:
        """Bytes this will move, at most."""
        return self.local.size

    @property
    def since(self) -> float:
        """Since when (seconds since the epoch) the other side has waited for this."""
        return self.local.ctime_ns / 1e9


class Compare(NamedTuple):
    """Read the file and compare it with what was agreed: perhaps only its inode or times moved."""

    path: RelativePath
    local: Fingerprint
    agreed: Agreed

    @property
    def size(self) -> int:
        """Bytes this may move."""
        return self.local.size

    @property
    def since(self) -> float:
        """As :attr:`Upload.since`."""
        return self.local.ctime_ns / 1e9


class Download(NamedTuple):
    """Bring the object; ``local`` is what the device has under that name.

    When ``local`` is not what was agreed, the workload has edited it, and it is kept beside.
    """

    path: RelativePath
    remote: RemoteFile
    local: Fingerprint | None
    agreed: Agreed | None

    @property
    def size(self) -> int:
        """Bytes this will move."""
        return self.remote.size

    @property
    def since(self) -> float:
        """When the object was written, by the server's clock."""
        return self.remote.modified

    @property
    def local_edited(self) -> bool:
        """Whether the device holds something that the bucket may not have."""
        return self.local is not None and (self.agreed is None or self.local != self.agreed.local)


Action = Upload | Compare | Download

# One path as it is on the device, in the index and in the bucket.
Aligned = tuple[RelativePath, LocalEntry | None, Agreed | None, RemoteFile | None]


class Absent(NamedTuple):
    """A file that was agreed on and is missing where it comes from; ``both``: known to be missing there, too."""

    agreed: Agreed
    both: bool


def _unheard(_absent: Absent) -> None:
    pass


def plan_egress(
    local: Iterable[LocalEntry],
    agreed: Iterable[Agreed],
    remote: Iterable[RemoteFile] | None,
    now: float,
    absent: Callable[[Absent], None] = _unheard,
) -> Iterator[Upload | Compare]:
    """What must go to the bucket (rules 3 to 6, 9, 11, 12).

    ``remote`` is a listing to reconcile with, or None in an ordinary cycle, which then needs no
    request at all. ``now`` is in seconds since the epoch, for content checks that are due.
    """
    yield from plan_egress_from(aligned(local, agreed, remote or ()), now, absent, listed=remote is not None)


def plan_egress_from(
    rows: Iterable[Aligned], now: float, absent: Callable[[Absent], None] = _unheard, *, listed: bool = True
) -> Iterator[Upload | Compare]:
    """As :func:`plan_egress`, of what is aligned already; where all three sides agree, nothing need come."""
    for path, seen, known, there in rows:
        if seen is None:  # removed on the device: no action, and remembered in case it returns
            if known is not None:
                absent(Absent(known, listed and there is None))
            continue
        action = _egress(path, seen.fingerprint, known, there, listed=listed, now=now)
        if action is not None:
            yield action


def plan_ingress(
    local: Iterable[LocalEntry],
    agreed: Iterable[Agreed],
    remote: Iterable[RemoteFile],
    *,
    restore: bool = True,
    absent: Callable[[Absent], None] = _unheard,
) -> Iterator[Compare | Download]:
    """What must come to the device (rules 3 to 5, 10). ``restore``: bring back what the workload deleted."""
    for path, seen, known, there in aligned(local, agreed, remote):
        if there is None:  # removed from the bucket: no action
            if known is not None:
                absent(Absent(known, seen is None))
            continue
        action = _ingress(path, seen.fingerprint if seen else None, known, there, restore=restore)
        if action is not None:
            yield action


def plan_egress_of(changed: Iterable[tuple[LocalEntry, Agreed | None]], now: float) -> Iterator[Upload | Compare]:
    """As :func:`plan_egress` without a listing, for files that are known to need a look."""
    for seen, known in changed:
        action = _egress(seen.path, seen.fingerprint, known, None, listed=False, now=now)
        if action is not None:
            yield action


def plan_ingress_of(
    differing: Iterable[tuple[RemoteFile, Agreed | None]],
    look: Callable[[RelativePath], Fingerprint | None],
    *,
    restore: bool = True,
) -> Iterator[Compare | Download]:
    """As :func:`plan_ingress`, for objects that are new, or whose version or file may not be what was agreed.

    ``look`` is asked for the fingerprint of each one's file.
    """
    for there, known in differing:
        action = _ingress(there.path, look(there.path), known, there, restore=restore)
        if action is not None:
            yield action


def _egress(
    path: RelativePath, local: Fingerprint, known: Agreed | None, there: RemoteFile | None, *, listed: bool, now: float
) -> Upload | Compare | None:
    if known is None or (listed and not _same_object(known, there)):
        return Upload(path, local, known, there, listed)
    if local == known.local:
        return Compare(path, local, known) if known.recheck_at and known.recheck_at <= now else None
    if local.same_content_likely(known.local):
        return Compare(path, local, known)
    return Upload(path, local, known, there, listed)


def _ingress(
    path: RelativePath, local: Fingerprint | None, known: Agreed | None, there: RemoteFile, *, restore: bool
) -> Compare | Download | None:
    if known is None or not _same_object(known, there):
        return Download(path, there, local, known)
    if local is None:
        return Download(path, there, None, known) if restore else None
    if local != known.local and local.same_content_likely(known.local):
        return Compare(path, local, known)
    return None  # in sync, or edited by the workload while the bucket stood still: its edit stays


def _same_object(known: Agreed, there: RemoteFile | None) -> bool:
    return there is not None and (there.etag, there.size) == (known.etag, known.remote_size)


class _HasPath(Protocol):
    @property
    def path(self) -> RelativePath: ...


_L = TypeVar("_L", bound=_HasPath)
_A = TypeVar("_A", bound=_HasPath)
_R = TypeVar("_R", bound=_HasPath)


def aligned(
    local: Iterable[_L], agreed: Iterable[_A], remote: Iterable[_R]
) -> Iterator[tuple[RelativePath, _L | None, _A | None, _R | None]]:
    """Merge three ascending streams by path, one row a path."""
    locals_, agreeds, remotes = iter(local), iter(agreed), iter(remote)
    one, two, three = next(locals_, None), next(agreeds, None), next(remotes, None)
    while one or two or three:
        path = min(item.path for item in (one, two, three) if item is not None)
        row_one = one if one is not None and one.path == path else None
        row_two = two if two is not None and two.path == path else None
        row_three = three if three is not None and three.path == path else None
        yield path, row_one, row_two, row_three
        one = next(locals_, None) if row_one is not None else one
        two = next(agreeds, None) if row_two is not None else two
        three = next(remotes, None) if row_three is not None else three
