"""Fetching one object into staging, verified; putting it in place is ``publish``'s."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress

from sidecar.errors import ChangedWhileReading, Corrupted, from_os_error
from sidecar.local import files
from sidecar.local.directories import fingerprint_of
from sidecar.local.staging import Incoming, write_all
from sidecar.plan import Download
from sidecar.remote.keys import key_for
from sidecar.remote.store import META_MTIME, META_SHA256, NoRanges, ObjectInfo
from sidecar.transfer.bench import Bench, Done, Outcome
from sidecar.transfer.publish import Fetched
from sidecar.transfer.ranges import Ranges, worthwhile
from sidecar.transfer.storing import mode_from
from sidecar.tree import Agreed, ETag, ObjectKey


def download(bench: Bench, action: Download) -> Outcome:
    """Fetch the object, unless the device turns out to have its content already.

    Raises:
        SyncError: it cannot be had, or nothing may be put there. Nothing is left in staging.
    """
    path = bench.path(action.path)
    local = bench.root.look(path)  # refuses links and directories before a byte is fetched
    key = key_for(bench.mapping.prefix, action.path)
    unknown = local is not None and (action.local_edited or local != action.local)
    if unknown and (same := _already_there(bench, action, key)):
        return same
    bench.space.reserve(action.remote.size, path)
    try:
        with bench.staging.create(path) as incoming:
            fetched = _fetch(bench, action, key, incoming)
            # Without a hash at the object it takes the whole body to see that the device has it already:
            # perhaps a kill came between placing this very file and recording it.
            same = _equal(bench, action, fetched.sha256, action.remote.etag, action.remote.size) if unknown else None
    except BaseException:
        bench.space.release(action.remote.size, kept=False)
        raise
    if same is None:
        return fetched
    bench.staging.discard(fetched.staged)
    bench.space.release(action.remote.size, kept=False)
    return same


def _already_there(bench: Bench, action: Download, key: ObjectKey) -> Done | None:
    """Settle a file that was never agreed on by the hash at the object, without fetching the body."""
    info = bench.store.head(key)
    if info is None or META_SHA256 not in info.metadata:
        return None
    try:
        sha256 = bytes.fromhex(info.metadata[META_SHA256])
    except ValueError:
        return None  # somebody else's idea of a hash
    return _equal(bench, action, sha256, info.etag, info.size)


def _equal(bench: Bench, action: Download, sha256: bytes, etag: ETag, size: int) -> Done | None:
    """The agreement, where the file on the device has this content."""
    path = bench.path(action.path)
    try:
        with bench.root.open_file(path) as fd:
            before = files.look(fd, path)
            if before.size != size or files.hash_file(fd, path, size, bench.beat) != sha256:
                return None
            if files.look(fd, path) != before:
                return None
    except (FileNotFoundError, ChangedWhileReading):
        return None
    return Done(Agreed(action.path, before, sha256, etag, size), None)


def _fetch(bench: Bench, action: Download, key: ObjectKey, incoming: Incoming) -> Fetched:
    path = bench.path(action.path)
    info, sha256 = _body(bench, action, key, incoming)
    if info.metadata.get(META_SHA256, sha256.hex()) != sha256.hex():
        raise Corrupted("get", key, f"the body does not have the SHA-256 in its metadata ({META_SHA256})")
    mtime, mode = _mtime_ns(info), mode_from(bench.mapping, info.metadata)
    try:
        if mode is not None:
            os.fchmod(incoming.fd, mode)
        os.utime(incoming.fd, ns=(mtime, mtime))
        placed = fingerprint_of(os.fstat(incoming.fd))
    except OSError as error:
        raise from_os_error("write", path, error) from error
    return Fetched(action, path, incoming.name, sha256, placed)


def _body(bench: Bench, action: Download, key: ObjectKey, incoming: Incoming) -> tuple[ObjectInfo, bytes]:
    """Fetch the body into staging; returns what is known of the object, and the SHA-256 of what came."""
    size, etag, path = action.remote.size, action.remote.etag, bench.path(action.path)
    if worthwhile(size):
        with suppress(NoRanges):
            return Ranges(bench, key, etag, size, incoming.fd, path).fetch()
    digest = hashlib.sha256()
    received = 0
    with bench.store.get(key, etag) as download:
        for chunk in download.chunks:
            bench.beat()
            bench.throttle(len(chunk))
            try:
                write_all(incoming.fd, chunk)
            except OSError as error:
                raise from_os_error("write", path, error) from error
            digest.update(chunk)
            received += len(chunk)
    if received != size:
        raise Corrupted("get", key, f"{received} bytes came, {size} were listed")
    return download.info, digest.digest()


def _mtime_ns(info: ObjectInfo) -> int:
    """The writer's mtime where it is told, else the server's; never negative or absurd."""
    text = info.metadata.get(META_MTIME, "")
    seconds, dot, fraction = text.partition(".")
    if seconds.isascii() and seconds.isdigit() and len(seconds) <= 11:
        nanoseconds = fraction[:9].ljust(9, "0") if dot else "0"
        if nanoseconds.isascii() and nanoseconds.isdigit():
            return int(seconds) * 10**9 + int(nanoseconds)
    return int(info.modified * 1e9)
