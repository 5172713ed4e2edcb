"""Carries out one action: open, check, transfer, check. Runs in worker threads, many at once.

What comes back is an outcome for the engine to record; nothing here writes the index. Whatever is
raised is a :class:`~sidecar.errors.SyncError`, and leaves both sides as they were.
"""

from __future__ import annotations

import logging

from contract.mapping import Direction
from runtime.logs import fields
from sidecar.errors import ChangedWhileReading, Refused, SyncError
from sidecar.local import files
from sidecar.loop import LongWork, stay_short
from sidecar.plan import Action, Compare, Upload
from sidecar.transfer.bench import Bench, Done, LeftAlone, Outcome
from sidecar.transfer.download import download
from sidecar.transfer.upload import recheck_time, upload

log = logging.getLogger(__name__)


class Vanished(Refused):
    """The file is gone since the walk saw it."""

    reason = "vanished"


class Internal(SyncError):
    """A fault of our own; the log has the traceback."""

    reason = "internal"
    hint = "please report this"


class NoThread(SyncError):
    """A larger file needs a thread, and the container may have no more."""

    reason = "no_thread"
    hint = "raise the limit of processes (pids) of the pod"


def attempt(bench: Bench, action: Action) -> Outcome | SyncError:
    """As :func:`apply`, with what went wrong as a value: whatever it is, the engine must hear of it.

    Raises:
        LongWork: this is a task, and it takes a thread.
    """
    try:
        return apply(bench, action)
    except LongWork:
        raise
    except SyncError as error:
        return error
    except BaseException as error:
        log.exception("transfer failed unexpectedly", **fields(path=action.path))
        return Internal("transfer", action.path, type(error).__name__)


def apply(bench: Bench, action: Action) -> Outcome:
    """Carry out ``action``.

    Raises:
        SyncError: it could not be done; both sides are as they were.
    """
    bench.beat()
    try:
        if isinstance(action, Upload):
            return upload(bench, action)
        if isinstance(action, Compare):
            return _compare(bench, action)
        return download(bench, action)
    except FileNotFoundError as error:
        raise Vanished("open", bench.path(action.path), "it was removed meanwhile") from error


def _compare(bench: Bench, action: Compare) -> Done | LeftAlone:
    path = bench.path(action.path)
    with bench.root.open_file(path) as fd:
        now = files.look(fd, path)
        stay_short(now.size)
        sha256 = files.hash_file(fd, path, now.size, bench.beat)
        if files.look(fd, path) != now:
            raise ChangedWhileReading("compare", path, "it is being written")
    if sha256 == action.agreed.sha256:
        return Done(action.agreed._replace(local=now, recheck_at=recheck_time(bench, now)), moved=None)
    if bench.mapping.direction is Direction.EGRESS:
        return upload(bench, Upload(action.path, now, action.agreed))
    return LeftAlone()
