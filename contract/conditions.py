"""What a person must know about one directory's sync, in words that /status carries and others act on.

The sidecar states conditions; the controller makes Events and conditions of Kubernetes objects of
them. A condition is true, false or unknown for a reason; the message is a sentence for a person and
names no file. Whoever reads a statement treats it as a stranger's: :func:`read_conditions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

AT_RISK_AFTER: Final = 1800.0  # seconds that a file may wait on the device alone before it is said to be at risk
_LONGEST_MESSAGE: Final = 1024  # characters, as Kubernetes has it for an Event
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class Condition(StrEnum):
    """What is said; the type of a Kubernetes condition."""

    SYNCED = "Synced"  # every mapping is complete, and nothing waits
    DATA_AT_RISK = "DataAtRisk"  # files exist on the device alone, for too long
    REFUSED = "Refused"  # nothing can go until someone changes something
    INGRESS_LIMITED = "IngressLimited"  # downloads wait for room on the device
    NAMES_QUARANTINED = "NamesQuarantined"  # some names can never go


class Truth(StrEnum):
    """The status of a condition, as Kubernetes spells it."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Because(StrEnum):
    """Why; the reason of a Kubernetes condition and of an Event."""

    FIRST_CYCLE = "FirstCycle"  # it has just started: not known yet, and no fault
    IN_SYNC = "InSync"
    TRANSFERRING = "Transferring"
    FILES_FAIL = "FilesFail"
    WAITING_FOR_STORAGE = "WaitingForStorage"
    DIRECTORY_UNUSABLE = "DirectoryUnusable"
    INTERNAL_ERROR = "InternalError"
    UNSENT_TOO_LONG = "UnsentTooLong"
    NOTHING_WAITS_LONG = "NothingWaitsLong"
    ACCEPTED = "Accepted"
    CREDENTIALS_REJECTED = "CredentialsRejected"
    BUCKET_MISSING = "BucketMissing"
    CLOCK_SKEWED = "ClockSkewed"
    CERTIFICATE_UNTRUSTED = "CertificateUntrusted"
    MISCONFIGURED = "Misconfigured"
    NO_ROOM = "NoRoom"
    ROOM_ENOUGH = "RoomEnough"
    NAMES_CANNOT_GO = "NamesCannotGo"
    ALL_NAMES_GO = "AllNamesGo"


# Worth an Event of type Warning while they are true. (Synced becoming true is worth one of type Normal.)
WARNINGS: Final = frozenset(Condition) - {Condition.SYNCED}


@dataclass(frozen=True, slots=True)
class Said:
    """One statement."""

    condition: Condition
    truth: Truth
    because: Because
    message: str

    def to_json(self) -> dict[str, str]:
        """As /status has it."""
        return {
            "type": self.condition.value,
            "status": self.truth.value,
            "reason": self.because.value,
            "message": self.message,
        }

    @property
    def event_type(self) -> str | None:
        """``Normal`` or ``Warning`` where a change to this is worth an Event, else None."""
        if self.truth is not Truth.TRUE:
            return None
        return "Warning" if self.condition in WARNINGS else "Normal"


def read_conditions(status: object) -> tuple[Said, ...]:
    """The statements in the body of a /status, each condition once; what is not understood is left out."""
    found: dict[Condition, Said] = {}
    for said in _statements(status):
        found.setdefault(said.condition, said)
    return tuple(found.values())


def _statements(status: object) -> Iterator[Said]:
    listed: Any = status.get("conditions") if isinstance(status, dict) else None
    for raw in listed if isinstance(listed, list) else ():
        if not isinstance(raw, dict):
            continue
        try:
            said = Condition(str(raw.get("type"))), Truth(str(raw.get("status"))), Because(str(raw.get("reason")))
        except ValueError:
            continue  # a newer sidecar knows more words
        yield Said(*said, _UNPRINTABLE.sub(" ", str(raw.get("message", "")))[:_LONGEST_MESSAGE])
