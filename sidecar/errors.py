"""What can go wrong while syncing. The class says what to do about it::

    SyncError
    ├── Transient                  try again in this cycle, with backoff
    │   ├── Unreachable              no connection, or it broke
    │   └── Throttled                the server asks for patience
    ├── Refused                    this file cannot go now; the next cycle tries again
    │   ├── NotFound                 the object is not there
    │   ├── PreconditionFailed       somebody else wrote the object meanwhile
    │   ├── ChangedWhileReading      the file changed under our hands
    │   ├── Corrupted                what arrived is not what was announced
    │   ├── NoRoom                   the device must keep its space
    │   └── LocalFault               the file system said no
    ├── Quarantined                this name can never go; say so once, by name
    └── Misconfigured              nothing can go until someone changes something
        ├── AccessDenied             keys are wrong, or may not do this
        ├── NoSuchBucket
        ├── ClockSkewed              the device's clock is too far off
        └── Untrusted                the server's certificate does not verify

Library exceptions stop at the adapters (``remote/s3.py``, ``local/``): what passes them is one of these.
"""

from __future__ import annotations

import errno
from typing import ClassVar


class SyncError(Exception):
    """Base class. ``reason`` is the metric label and the word on ``/status``: constant for a class.

    ``operation`` is what was tried (``put``, ``rename``), ``subject`` what it was tried on (a path,
    a key, an endpoint), ``hint`` what a person can do about it.
    """

    reason: ClassVar[str] = "error"
    hint: ClassVar[str] = ""

    def __init__(self, operation: str, subject: str, detail: str = "", *, hint: str = "") -> None:
        super().__init__(operation, subject, detail)
        self.operation = operation
        self.subject = subject
        self.detail = detail
        if hint:
            self.hint = hint  # type: ignore[misc]  # an instance may know better than its class

    def __str__(self) -> str:
        text = f"{self.operation} {self.subject}"
        if self.detail:
            text += f": {self.detail}"
        if self.hint:
            text += f" ({self.hint})"
        return text


class Transient(SyncError):
    """May work when simply tried again."""

    reason = "server"


class Unreachable(Transient):
    """The server did not answer, or the connection broke."""

    reason = "unreachable"
    hint = "check BUCKET_HOST, BUCKET_PORT and the network"


class Throttled(Transient):
    """The server asks to slow down (503 SlowDown, 429)."""

    reason = "throttled"


class Refused(SyncError):
    """This file cannot go now; nothing is recorded, so the next cycle tries again."""

    reason = "refused"


class NotFound(Refused):
    """There is no such object (any more)."""

    reason = "not_found"


class PreconditionFailed(Refused):
    """The object is not in the state that was asked for: someone else wrote it."""

    reason = "changed_remotely"


class ChangedWhileReading(Refused):
    """The file changed between being opened and being sent."""

    reason = "changed_while_reading"


class Corrupted(Refused):
    """What arrived does not have the announced size or hash."""

    reason = "corrupted"


class NoRoom(Refused):
    """The free-space floor or a ceiling forbids it."""

    reason = "no_room"
    hint = "free space on the device, or raise DATA_SYNC_INGRESS_MAX_BYTES or lower DATA_SYNC_MIN_FREE"


class LocalFault(Refused):
    """The file system refused: permission, I/O error, read-only, full."""

    reason = "local"


class Quarantined(SyncError):
    """A name that cannot exist on the other side; it is reported by name and never repaired."""

    reason = "quarantined"


class Misconfigured(SyncError):
    """Nothing can be moved until someone changes the configuration."""

    reason = "misconfigured"


class AccessDenied(Misconfigured):
    """The server does not accept the keys, or they may not do this."""

    reason = "access_denied"
    hint = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy"


class NoSuchBucket(Misconfigured):
    """The bucket does not exist."""

    reason = "no_such_bucket"
    hint = "create the bucket or correct BUCKET_NAME"


class ClockSkewed(Misconfigured):
    """The server refuses because the device's clock differs too much."""

    reason = "clock_skew"
    hint = "set the device's clock"


class Untrusted(Misconfigured):
    """The server's certificate does not verify, or it does not speak TLS."""

    reason = "tls"
    hint = "put the server's CA into tls.crt of the Secret, or correct BUCKET_SCHEME"


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def from_os_error(operation: str, path: str, error: OSError) -> SyncError:
    """The error tree's view of ``error``: a full disk is :class:`NoRoom`, all else :class:`LocalFault`."""
    kind = NoRoom if error.errno in _FULL else LocalFault
    return kind(operation, path, error.strerror or str(error))
