"""Which replica leads: a Lease, as client-go keeps it.

The leader renews; others wait until it has not for a whole duration, by their own clock, so that clocks of
two nodes are never compared. A leader that cannot renew stops leading before others may begin. Should two
lead for a moment all the same, every write is conditional: what one did, the other finds done.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from controller.cluster import Cluster
from controller.errors import ClusterError, Conflict, NotFound
from controller.resources import LEASES, Json
from runtime.logs import fields

log = logging.getLogger(__name__)

DURATION: Final = 15.0  # seconds without renewal after which another may take over
_LEADS_FOR: Final = 10.0  # seconds after its last renewal that a leader still leads; less than DURATION
_EVERY: Final = 2.0  # seconds between attempts


class Leadership:
    """See the module. ``on_start`` is called each time this replica begins to lead."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        name: str,
        identity: str,
        on_start: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._namespace, self._name = cluster, namespace, name
        self.identity = identity
        self._on_start = on_start
        self._clock = clock
        self._until = float("-inf")  # leads until then
        self._led = False
        self._seen: tuple[str, float] = ("", 0.0)  # the lease's version, and since when it is that
        self.attempted = False  # whether the API server ever answered
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def leading(self) -> bool:
        """Whether this replica may act now."""
        return self._clock() < self._until

    def start(self) -> None:
        """Keep trying, in the background."""
        self._thread = threading.Thread(target=self._run, name="leadership", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop leading, and let another begin at once."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(DURATION)
        if self.leading:
            self._until = float("-inf")
            self._release()

    def attempt(self) -> bool:
        """Take or renew the lease if that can be; whether this replica leads."""
        now = self._clock()
        try:
            if self._take(now):
                self._until = now + _LEADS_FOR
            elif self.leading:
                self._until = float("-inf")  # somebody took it
            self.attempted = True
        except Conflict:
            log.debug("another replica was faster")
        except ClusterError as error:
            log.warning("the lease cannot be held", **fields(error=str(error)))
        self._tell()
        return self.leading

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.attempt()
            except Exception:  # leading is lost by itself when this goes on
                log.exception("leadership failed")
            self._stopping.wait(_EVERY)

    def _take(self, now: float) -> bool:
        try:
            lease = self._cluster.get(LEASES, self._namespace, self._name)
        except NotFound:
            self._cluster.create(LEASES, self._namespace, self._lease(None))
            return True
        spec, version = lease.get("spec") or {}, str(lease["metadata"]["resourceVersion"])
        if version != self._seen[0]:
            self._seen = (version, now)
        held = spec.get("holderIdentity") or ""
        waited = now - self._seen[1]
        if held not in ("", self.identity) and waited < float(spec.get("leaseDurationSeconds") or DURATION):
            return False
        self._cluster.update(LEASES, self._lease(lease))
        return True

    def _lease(self, before: Json | None) -> Json:
        spec = dict((before or {}).get("spec") or {})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if spec.get("holderIdentity") != self.identity:
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (before is not None)
            spec["acquireTime"] = now
        spec |= {"holderIdentity": self.identity, "leaseDurationSeconds": int(DURATION), "renewTime": now}
        metadata = before["metadata"] if before else {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}

    def _release(self) -> None:
        try:
            lease = self._cluster.get(LEASES, self._namespace, self._name)
            if lease["spec"].get("holderIdentity") == self.identity:
                lease["spec"]["holderIdentity"] = ""
                self._cluster.update(LEASES, lease)
        except ClusterError as error:
            log.info("the lease was not released", **fields(error=str(error)))

    def _tell(self) -> None:
        if self.leading == self._led:
            return
        self._led = self.leading
        log.info("leading" if self._led else "not leading", **fields(identity=self.identity))
        if self._led:
            self._on_start()
