"""Conditions of a status, as Kubernetes keeps them: one per type, its time changing with its status only. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from controller.resources import Json

TRUE: Final = "True"
FALSE: Final = "False"
UNKNOWN: Final = "Unknown"
_MESSAGE_LIMIT: Final = 1024  # characters; Kubernetes allows more, and nobody reads them


@dataclass(frozen=True, slots=True)
class Condition:
    """What is the case, why in one word, and for people in a sentence."""

    type: str
    status: str
    reason: str
    message: str
    warning: bool = False  # worth an Event of type Warning
    quiet: bool = False  # worth no Event


def merged(before: Iterable[Json], now: str, generation: int, wanted: Iterable[Condition]) -> list[Json]:
    """The list for a status: ``wanted``, with the times of ``before`` where the status is the same.

    Types that are not wanted are left as they are: they may be somebody else's.
    """
    old = {one["type"]: one for one in before}
    for one in wanted:
        was = old.get(one.type)
        kept = was is not None and was.get("status") == one.status and was.get("lastTransitionTime")
        old[one.type] = {
            "type": one.type,
            "status": one.status,
            "reason": one.reason,
            "message": one.message[:_MESSAGE_LIMIT],
            "observedGeneration": generation,
            "lastTransitionTime": was["lastTransitionTime"] if kept and was else now,
        }
    return sorted(old.values(), key=lambda one: str(one["type"]))


def without(conditions: Iterable[Json], *types: str) -> list[Json]:
    """``conditions`` but for these types."""
    return [one for one in conditions if one["type"] not in types]


def changed(before: Iterable[Json], wanted: Iterable[Condition]) -> list[Condition]:
    """Those of ``wanted`` that say something else than ``before`` did: status or reason differ."""
    old = {one["type"]: (one.get("status"), one.get("reason")) for one in before}
    return [one for one in wanted if old.get(one.type) != (one.status, one.reason)]
