"""Sending one file: read it as one state, send it on condition, and never over a stranger's only copy.

Small bodies are read whole and looked at again before the PUT; large ones are hashed first, sent in
parts, several at once, and looked at again before they become visible (promises 8 and 11).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Final, NamedTuple

from contract.paths import COMPONENT_LIMIT
from sidecar.errors import ChangedWhileReading, NotFound, PreconditionFailed, Refused, SyncError
from sidecar.local import files
from sidecar.local.directories import fingerprint_of
from sidecar.local.hashing import hash_parts, hash_whole
from sidecar.loop import stay_short
from sidecar.plan import Upload
from sidecar.remote.keys import KEY_LIMIT, key_for
from sidecar.remote.multipart import part_size
from sidecar.remote.store import (
    LARGEST_COPY,
    META_MTIME,
    META_SHA256,
    META_WRITER,
    SMALL_BODY,
    Condition,
    HashedBody,
    IfAbsent,
    IfMatch,
    ObjectInfo,
)
from sidecar.transfer.bench import Bench, Done
from sidecar.transfer.parts import FileParts
from sidecar.transfer.publish import conflict_names
from sidecar.transfer.storing import mode_metadata, options_for
from sidecar.tree import Agreed, ETag, Fingerprint, ObjectKey

FRESH: Final = 60.0  # seconds


class Contended(Refused):
    """Someone else keeps writing the same key."""

    reason = "contended"
    hint = "two writers share one key; put $(NODE_NAME) or $(POD_NAME) into the target"


def upload(bench: Bench, action: Upload) -> Done:
    key = key_for(bench.mapping.prefix, action.path)
    path = bench.path(action.path)
    fd, seen = bench.root.open_seen(path)
    try:
        stay_short(seen.st_size)  # it may have grown since it was planned
        if seen.st_size > SMALL_BODY:
            return _upload_large(bench, action, key, fd, seen)
        with bench.memory.lease(seen.st_size):
            return _upload_small(bench, action, key, fd, seen)
    finally:
        os.close(fd)


def _upload_small(bench: Bench, action: Upload, key: ObjectKey, fd: int, seen: os.stat_result) -> Done:
    path = bench.path(action.path)
    snapshot = files.read_snapshot(fd, path, fingerprint_of(seen), patient=bench.may_wait(path))
    sent = _Sent(key, len(snapshot.body), snapshot.sha256, snapshot.fingerprint, seen.st_mode, snapshot.body)
    if snapshot.settled and (etag := _already_agreed(action, sent)):
        return _done(bench, action, sent, etag, None)

    body = HashedBody.of(snapshot.body, snapshot.sha256)

    def send(condition: Condition | None) -> ETag:
        bench.throttle(len(body))
        options = options_for(bench.mapping, action.path)
        return bench.store.put(key, body, _metadata(bench, sent), condition, options)

    etag, moved = _put(bench, action, sent, send)
    return _done(bench, action, sent, etag, moved, settled=snapshot.settled)


def _upload_large(bench: Bench, action: Upload, key: ObjectKey, fd: int, seen: os.stat_result) -> Done:
    path = bench.path(action.path)
    before = fingerprint_of(seen)
    each = part_size(before.size)
    sha256, known = _hashes(bench, fd, path, before, each)
    sent = _Sent(key, before.size, sha256, before, seen.st_mode)
    if etag := _already_agreed(action, sent):
        return _done(bench, action, sent, etag, None)
    patient = bench.may_wait(path)
    parts = FileParts(bench, fd, path, before.size, each, known, patient=patient)

    def confirm() -> None:
        if not _still_the_same(bench, fd, path, sent):
            parts.differed = True
            if patient:
                raise ChangedWhileReading("read", path, "it is being written")

    def send(condition: Condition | None) -> ETag:
        metadata = _metadata(bench, sent)
        if not patient:
            metadata.pop(META_SHA256)  # it will go as it is, so nothing may be claimed of its content
        options = options_for(bench.mapping, action.path)
        return bench.store.put_large(key, before.size, parts, metadata, condition, confirm, options)

    etag, moved = _put(bench, action, sent, send)
    return _done(bench, action, sent, etag, moved, settled=not parts.differed)


def _hashes(bench: Bench, fd: int, path: str, seen: Fingerprint, each: int) -> tuple[bytes, dict[int, bytes] | None]:
    """The hash of a large file; and of each of its parts where a change may leave its times alone."""
    if bench.now() - seen.mtime_ns / 1e9 < FRESH:
        return hash_parts(fd, path, seen.size, each, bench.beat)
    return hash_whole(fd, path, seen.size, bench.beat), None


def _still_the_same(bench: Bench, fd: int, path: str, sent: _Sent) -> bool:
    """Whether what was sent is what was hashed: nothing happened to the file, or it only grew."""
    now = files.look(fd, path)
    if now == sent.fingerprint:
        return True
    return now.size >= sent.size and hash_whole(fd, path, sent.size, bench.beat) == sent.sha256


class _Sent(NamedTuple):
    key: ObjectKey
    size: int
    sha256: bytes
    fingerprint: Fingerprint
    mode: int
    body: bytes | None = None


def _put(
    bench: Bench, action: Upload, sent: _Sent, send: Callable[[Condition | None], ETag]
) -> tuple[ETag, int | None]:
    """Send on condition of what was last seen there; returns the ETag and the bytes moved."""
    expected = _expectation(action)
    if expected is not None:
        try:
            return send(expected), sent.size
        except (PreconditionFailed, NotFound):
            pass  # someone else wrote or removed it, or our own first try did arrive: look
    for _ in range(3):
        there = bench.store.head(sent.key)
        if there is not None and _holds(there, sent):
            return there.etag, None
        if there is not None and there.metadata.get(META_WRITER) != bench.writer:
            _set_aside(bench, sent.key, there)
        try:
            return send(IfMatch(there.etag) if there else IfAbsent()), sent.size
        except (PreconditionFailed, NotFound):
            continue
    raise Contended("put", sent.key, "it changes each time we look")


def _expectation(action: Upload) -> Condition | None:
    if action.listed:
        if action.remote is None:
            return IfAbsent()
        agreed = action.agreed
        return IfMatch(agreed.etag) if agreed and agreed.etag == action.remote.etag else None
    return IfMatch(action.agreed.etag) if action.agreed else IfAbsent()


def _set_aside(bench: Bench, key: ObjectKey, there: ObjectInfo) -> None:
    """Keep a version that someone else wrote: our upload must not destroy the only copy (promise 11)."""
    if there.size > LARGEST_COPY:
        stay_short(there.size)
    if not bench.contention.may_set_aside(key):
        raise Contended("put", key, "another writer changed it more than once within an hour")
    try:
        _copy_aside(bench, key, there)
    except SyncError:
        bench.contention.not_set_aside(key)
        raise


def _copy_aside(bench: Bench, key: ObjectKey, there: ObjectInfo) -> None:
    etag = there.etag
    parent, slash, name = key.rpartition("/")
    room = min(COMPONENT_LIMIT, KEY_LIMIT - len(f"{parent}{slash}".encode()))
    for copy in conflict_names(name, bench.stamp(), room):
        target = ObjectKey(f"{parent}{slash}{copy}")
        if (taken := bench.store.head(target)) is None:
            # The version that was looked at and no later one: else two writers, each setting the other's
            # aside in the same second, could write over the only copy of a third one's.
            if there.size > LARGEST_COPY:
                bench.store.copy_large(key, target, etag, bench.beat)
            else:
                bench.store.copy(key, target, etag)
            return
        if taken.etag == etag:
            return  # set aside before, by a run that was killed
    raise Contended("put", key, "there is no name left to set it aside")


def _holds(there: ObjectInfo, sent: _Sent) -> bool:
    """Whether the object already has this content; its ETag counts only as the MD5 that it often is."""
    if there.size != sent.size:
        return False
    if META_SHA256 in there.metadata:
        return there.metadata[META_SHA256] == sent.sha256.hex()
    return sent.body is not None and there.etag == hashlib.md5(sent.body, usedforsecurity=False).hexdigest()


def _already_agreed(action: Upload, sent: _Sent) -> ETag | None:
    """The object's version where only times moved: the content is what was agreed, and still there."""
    agreed = action.agreed
    if agreed is None or (agreed.sha256, agreed.local.size) != (sent.sha256, sent.size):
        return None
    if action.listed and (action.remote is None or action.remote.etag != agreed.etag):
        return None  # a listing of this cycle shows the object gone or altered
    return agreed.etag


def _metadata(bench: Bench, sent: _Sent) -> dict[str, str]:
    seconds, nanoseconds = divmod(sent.fingerprint.mtime_ns, 10**9)
    return {
        META_SHA256: sent.sha256.hex(),
        META_MTIME: f"{seconds}.{nanoseconds:09d}",
        META_WRITER: bench.writer,
        **mode_metadata(bench.mapping, sent.mode),
    }


def recheck_time(bench: Bench, seen: Fingerprint) -> float:
    """When to compare content once more: a young file may change again without moving its mtime (promise 9)."""
    now = bench.now()
    return now + FRESH if now - seen.mtime_ns / 1e9 < FRESH else 0.0


def _done(bench: Bench, action: Upload, sent: _Sent, etag: ETag, moved: int | None, *, settled: bool = True) -> Done:
    recheck_at = recheck_time(bench, sent.fingerprint)
    return Done(Agreed(action.path, sent.fingerprint, sent.sha256, etag, sent.size, recheck_at), moved, settled)
