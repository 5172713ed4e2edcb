"""One device: look, let ``devices`` decide, act, and tell. All I/O for EdgeDevices is here.

Every act is repeatable and every write conditional, so that a kill or another controller in between changes
nothing but who does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from contract.names import DEVICE_FINALIZER
from controller import claims, conditions, devices, pods
from controller.cluster import Cluster
from controller.conditions import Condition
from controller.devices import Facts, Plan, Step
from controller.errors import Exists, Forbidden, NotFound, Unavailable
from controller.events import NORMAL, WARNING, Recorder
from controller.metrics import Metrics
from controller.resources import CLAIMS, EDGE_DEVICES, NAMESPACES, PODS, STORAGE_CLASSES, Json, Key, key_of
from controller.settings import StorageSettings
from runtime.logs import fields

log = logging.getLogger(__name__)

_STEPS: Final = 8  # at once; a device needs three

Credentials = Callable[[str, str], Condition | None]
Unsent = Callable[[Json], tuple[str, ...]]


class DeviceReconciler:
    """See the module. ``credentials`` tells what the sidecars of a device (namespace, name) say of its keys.

    ``unsent`` has what pods left behind sent, once none of them syncs any more, and names what is still waited for.
    """

    def __init__(
        self,
        cluster: Cluster,
        events: Recorder,
        metrics: Metrics,
        settings: StorageSettings,
        credentials: Credentials = lambda _namespace, _name: None,
        unsent: Unsent = lambda _device: (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cluster, self._events, self._metrics = cluster, events, metrics
        self._settings = settings
        self._credentials = credentials
        self._unsent = unsent
        self._now = now
        self._steps: dict[Step, Callable[[Facts], None]] = {
            Step.HOLD: self._hold,
            Step.CREATE: self._create,
            Step.ADOPT: self._adopt,
            Step.KEEP: self._keep,
            Step.DELETE: self._delete,
            Step.LET_GO: self._let_go,
        }

    def everything(self) -> Iterator[Key]:
        """All devices."""
        return (key_of(device) for device in self._cluster.list(EDGE_DEVICES))

    def reconcile(self, namespace: str, name: str) -> float | None:
        """Make the device as it should be; see :class:`controller.reconcile.Reconciler`."""
        for _ in range(_STEPS):
            facts = self._look(namespace, name)
            if facts is None:
                self._metrics.claim(namespace, name, None)
                return None
            plan = devices.plan(facts, self._settings)
            self._tell(facts.device, plan.events)
            if plan.step is None:
                self._metrics.claim(namespace, name, claims.phase(facts.claim).value if facts.claim else None)
                self._write_status(facts.device, plan)
                return plan.again
            log.info("device step", **fields(namespace=namespace, device=name, step=plan.step.value))
            self._steps[plan.step](facts)
        raise Unavailable("reconcile", f"{namespace}/{name}", f"not settled after {_STEPS} steps")

    # Looking

    def _look(self, namespace: str, name: str) -> Facts | None:
        device = self._cluster.find(EDGE_DEVICES, namespace, name)
        if device is None:
            return None
        served = self._cluster.serves(CLAIMS)
        claim = self._cluster.find(CLAIMS, namespace, name) if served else None
        leaving = bool(device["metadata"].get("deletionTimestamp"))
        ours = claim is not None and claims.is_ours(claim)
        releasing = leaving and ours and not self._is_ending(namespace)
        syncing = self._syncing(namespace, name) if releasing else ()
        in_time = self._waited(device) < self._settings.release_limit
        return Facts(
            device=device,
            claim=claim,
            claims_served=served,
            namespace_ending=self._is_ending(namespace),
            syncing=syncing,
            unsent=self._unsent(device) if releasing and in_time and not syncing else (),
            waited=self._waited(device),
            class_policy=self._class_policy(claim) if claim is not None and ours and not leaving else "",
            credentials=self._credentials(namespace, name),
        )

    def _is_ending(self, namespace: str) -> bool:
        found = self._cluster.find(NAMESPACES, "", namespace)
        return found is None or bool(found["metadata"].get("deletionTimestamp"))

    def _syncing(self, namespace: str, device: str) -> tuple[str, ...]:
        return pods.syncing_with(device, self._cluster.list(PODS, namespace))

    def _waited(self, device: Json) -> float:
        asked = device["metadata"].get("deletionTimestamp")
        if not asked:
            return 0.0
        return (self._now() - datetime.fromisoformat(asked)).total_seconds()

    def _class_policy(self, claim: Json) -> str:
        try:
            found = self._cluster.find(STORAGE_CLASSES, "", claims.storage_class(claim))
        except Forbidden:
            return ""  # a right that is optional: without it there is no warning
        return str((found or {}).get("reclaimPolicy") or ("Delete" if found else ""))

    # Acting

    def _hold(self, facts: Facts) -> None:
        held = [*(facts.device["metadata"].get("finalizers") or ()), DEVICE_FINALIZER]
        self._set_finalizers(facts.device, held)

    def _let_go(self, facts: Facts) -> None:
        held = [one for one in facts.device["metadata"].get("finalizers") or () if one != DEVICE_FINALIZER]
        with suppress(NotFound):
            self._set_finalizers(facts.device, held)

    def _set_finalizers(self, device: Json, finalizers: list[str]) -> None:
        metadata = device["metadata"]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}}
        self._cluster.patch(EDGE_DEVICES, metadata["namespace"], metadata["name"], patch)

    def _create(self, facts: Facts) -> None:
        namespace = facts.device["metadata"]["namespace"]
        wanted = claims.manifest(namespace, facts.name, self._settings.storage_class)
        try:
            self._cluster.create(CLAIMS, namespace, wanted)
        except Exists:
            return  # made in between; whose it is, the next look tells
        except NotFound:
            self._cluster.forget_served()
            raise

    def _adopt(self, facts: Facts) -> None:
        assert facts.claim is not None
        self._patch_claim(facts, claims.adoption(facts.claim))

    def _keep(self, facts: Facts) -> None:
        assert facts.claim is not None
        self._patch_claim(facts, claims.retention(facts.claim))

    def _patch_claim(self, facts: Facts, patch: Json) -> None:
        with suppress(NotFound):
            self._cluster.patch(CLAIMS, facts.device["metadata"]["namespace"], facts.name, patch)

    def _delete(self, facts: Facts) -> None:
        assert facts.claim is not None
        metadata = facts.claim["metadata"]
        self._cluster.delete(CLAIMS, metadata["namespace"], facts.name, uid=metadata["uid"])

    # Telling

    def _write_status(self, device: Json, plan: Plan) -> None:
        before = device.get("status") or {}
        if not plan.conditions:
            return
        was = before.get("conditions") or []
        generation = device["metadata"].get("generation") or 0
        kept = (
            was
            if any(one.type == devices.RECLAIM_DIFFERS for one in plan.conditions)
            else conditions.without(was, devices.RECLAIM_DIFFERS)
        )
        now = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        after = {
            "dataObc": plan.data_obc,
            "storage": plan.storage,
            "conditions": conditions.merged(kept, now, generation, plan.conditions),
            "observedGeneration": generation,
        }
        if all(before.get(key) == value for key, value in after.items()):
            return
        # Told first: a kill in between tells the same Event again, which counts it up, and none is lost.
        self._tell(device, [one for one in conditions.changed(was, plan.conditions) if not one.quiet])
        metadata = device["metadata"]
        patch: dict[str, Any] = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": after}
        with suppress(NotFound):
            self._cluster.patch(EDGE_DEVICES, metadata["namespace"], metadata["name"], patch, subresource="status")

    def _tell(self, device: Json, what: tuple[Condition, ...] | list[Condition]) -> None:
        for one in what:
            self._events.tell(device, WARNING if one.warning else NORMAL, one.reason, one.message)
