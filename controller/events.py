"""Kubernetes Events: what happened to an object, told once.

An Event's name is made from what it says, so that telling it again, also after a restart, counts the same
Event up instead of adding one. Each object has a small allowance. An Event that cannot be written is logged
and forgotten: it never stops what it tells of.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from controller.cluster import Cluster
from controller.errors import ClusterError, Exists
from controller.resources import EVENTS, Json
from runtime.logs import fields

log = logging.getLogger(__name__)

T = TypeVar("T")

NORMAL: Final = "Normal"
WARNING: Final = "Warning"
COMPONENT: Final = "data-sync-controller"

_BURST: Final = 25  # Events for one object at once
_REFILL: Final = 1 / 60  # Events a second afterwards
_REPEAT_AFTER: Final = 300.0  # seconds within which the same is not told again
_REMEMBERED: Final = 4096
_MESSAGE_LIMIT: Final = 1024  # characters, which is the API's


class Recorder:
    """See the module. Safe to use from every thread."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._clock = clock
        self._lock = threading.Lock()
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()  # Event → (when, how often)
        self._allowances: OrderedDict[str, tuple[float, float]] = OrderedDict()  # uid → (left, as of)

    def normal(self, about: Json, reason: str, message: str) -> None:
        """Tell of something that is as it should be."""
        self.tell(about, NORMAL, reason, message)

    def warning(self, about: Json, reason: str, message: str) -> None:
        """Tell of something that somebody should look at."""
        self.tell(about, WARNING, reason, message)

    def tell(self, about: Json, kind: str, reason: str, message: str) -> None:
        """Write the Event, unless it was just written or the object's allowance is used up."""
        message = message[:_MESSAGE_LIMIT]
        name = _name(about, kind, reason, message)
        count = self._allowed(about["metadata"]["uid"], name)
        if not count:
            return
        try:
            self._write(about, name, kind, reason, message, count)
        except ClusterError as error:
            log.info("event not written", **fields(reason=reason, about=about["metadata"]["name"], error=str(error)))

    def _allowed(self, uid: str, name: str) -> int:
        """How often this will have been told; 0: not now."""
        now = self._clock()
        with self._lock:
            told, count = self._told.get(name, (float("-inf"), 0))
            if now - told < _REPEAT_AFTER:
                return 0
            left, since = self._allowances.get(uid, (float(_BURST), now))
            left = min(float(_BURST), left + (now - since) * _REFILL)
            if left < 1:
                return 0
            _remember(self._allowances, uid, (left - 1, now))
            _remember(self._told, name, (now, count + 1))
            return count + 1

    def _write(self, about: Json, name: str, kind: str, reason: str, message: str, count: int) -> None:
        namespace, now = about["metadata"].get("namespace") or "default", _now()
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": _reference(about),
            "type": kind,
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": COMPONENT,
        }
        try:
            self._cluster.create(EVENTS, namespace, event)
        except Exists:
            # Who told it before, perhaps before a restart, is not asked: that would be one more right.
            again = {"count": max(2, count), "lastTimestamp": now}
            self._cluster.patch(EVENTS, namespace, name, again)


def _remember(memory: OrderedDict[str, T], key: str, value: T) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _name(about: Json, kind: str, reason: str, message: str) -> str:
    said = "\0".join((about["metadata"]["uid"], kind, reason, message))
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    return f"{about['metadata']['name'][:200].rstrip('.-')}.{digest}"


def _reference(about: Json) -> Json:
    metadata = about["metadata"]
    reference = {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": metadata["name"]}
    reference |= {key: metadata[key] for key in ("namespace", "uid", "resourceVersion") if metadata.get(key)}
    return reference


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
