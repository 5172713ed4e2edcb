"""What a device needs: how things are → the next step and what to say about it. Pure.

One step at a time: after it, everything is looked at again, so that it does not matter where the controller
was killed. :func:`plan` decides; ``device_reconciler`` looks and acts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from contract.names import DEVICE_FINALIZER
from controller import claims
from controller.claims import Phase
from controller.conditions import FALSE, TRUE, UNKNOWN, Condition
from controller.resources import Json
from controller.settings import DELETE, RETAIN, StorageSettings

BOUND: Final = "Bound"
CREDENTIALS_READY: Final = "CredentialsReady"
CONFLICT: Final = "Conflict"
READY: Final = "Ready"
RECLAIM_DIFFERS: Final = "ReclaimPolicyDiffers"  # there only while it is true

_LOOK_AGAIN: Final = 5.0  # seconds, while something is awaited that no watch tells of
_NO_RESOURCE_AGAIN: Final = 15.0  # seconds until the cluster is asked again whether it has claims
_NAMED_PODS: Final = 5  # pods that a message names


class Step(Enum):
    """One act, after which everything is looked at again."""

    HOLD = "add our finalizer"  # before there is anything to give back
    CREATE = "create the claim"
    ADOPT = "make the claim ours"
    KEEP = "leave the claim behind, labelled"
    DELETE = "delete the claim"
    LET_GO = "remove our finalizer"


@dataclass(frozen=True, slots=True)
class Facts:
    """How things are with one device."""

    device: Json
    claim: Json | None = None  # the ObjectBucketClaim of the device's name
    claims_served: bool = True  # whether the cluster has ObjectBucketClaims
    namespace_ending: bool = False
    syncing: tuple[str, ...] = ()  # pods that still sync with the device; looked up at deletion only
    unsent: tuple[str, ...] = ()  # what pods left behind and is being sent, in words; looked up at deletion only
    waited: float = 0.0  # seconds since the deletion was asked for
    class_policy: str = ""  # the reclaim policy of the claim's storage class; empty when unknown
    credentials: Condition | None = None  # what the sidecars say; None: none has said anything

    @property
    def name(self) -> str:
        return str(self.device["metadata"]["name"])

    @property
    def leaving(self) -> bool:
        """Whether the device is being deleted."""
        return bool(self.device["metadata"].get("deletionTimestamp"))

    @property
    def held(self) -> bool:
        """Whether the device cannot go before we let it."""
        return DEVICE_FINALIZER in (self.device["metadata"].get("finalizers") or ())

    @property
    def external(self) -> tuple[str, str]:
        """Names of the ConfigMap and Secret of ``spec.storage.s3``."""
        s3 = _s3(self.device)
        return str(s3.get("configMapName") or ""), str(s3.get("secretName") or "")

    @property
    def asks_for_claim(self) -> bool | None:
        """``createOBC``; None when it is left out."""
        asked = _s3(self.device).get("createOBC")
        return asked if isinstance(asked, bool) else None

    @property
    def ours(self) -> bool:
        return self.claim is not None and claims.is_ours(self.claim)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now; ``step`` is None when there is nothing but to tell, and to wait."""

    step: Step | None = None
    conditions: tuple[Condition, ...] = ()
    data_obc: str | None = None  # for status.dataObc
    storage: str | None = None  # for status.storage
    again: float | None = None  # seconds until the next look; None: when something is heard
    events: tuple[Condition, ...] = field(default=())  # to tell before ``step``: the device is gone afterwards


def plan(facts: Facts, settings: StorageSettings) -> Plan:
    """The next step for the device, and what its status is to say."""
    if facts.leaving:
        return _leave(facts, settings)
    step = _next_step(facts, settings)
    if step is not None:
        return Plan(step)
    waits_for_resource = not facts.claims_served and wants_claim(facts, settings)
    return Plan(
        conditions=_conditions(facts, settings),
        data_obc=facts.name if facts.claim is not None else None,
        storage=_storage(facts),
        again=_NO_RESOURCE_AGAIN if waits_for_resource else None,
    )


def wants_claim(facts: Facts, settings: StorageSettings) -> bool:
    """Whether the device is to have a claim."""
    if any(facts.external):
        return False  # also with createOBC: true, which the condition Conflict refuses
    return settings.auto_create if facts.asks_for_claim is None else facts.asks_for_claim


def _next_step(facts: Facts, settings: StorageSettings) -> Step | None:
    if facts.namespace_ending:
        return None  # nothing is created there any more
    wanted = wants_claim(facts, settings)
    missing = wanted and facts.claims_served and facts.claim is None
    if missing or facts.ours or (wanted and _may_adopt(facts)):
        if not facts.held:
            return Step.HOLD
    elif facts.held:
        return Step.LET_GO  # nothing here is ours to give back
    if missing:
        return Step.CREATE
    if facts.claim is None or claims.phase(facts.claim) is Phase.TERMINATING:
        return None
    if wanted and (_may_adopt(facts) or (facts.ours and claims.is_kept(facts.claim))):
        return Step.ADOPT
    return None


def _may_adopt(facts: Facts) -> bool:
    """A claim that somebody else made becomes ours only if the device asks for one outright."""
    return facts.claim is not None and not facts.ours and facts.asks_for_claim is True


# What the status says


def _conditions(facts: Facts, settings: StorageSettings) -> tuple[Condition, ...]:
    conflict, bound = _conflict(facts), _bound(facts, settings)
    found = [conflict, bound, _credentials(facts, bound), _ready(facts, conflict, bound)]
    differs = _reclaim_differs(facts, settings)
    return tuple(found if differs is None else [*found, differs])


def _conflict(facts: Facts) -> Condition:
    if facts.asks_for_claim and any(facts.external):
        message = (
            "createOBC: true and names in spec.storage.s3 exclude each other; no claim is made: "
            "remove createOBC, or configMapName and secretName"
        )
        return Condition(CONFLICT, TRUE, "ClaimAndExternal", message, warning=True)
    if facts.claim is not None and not facts.ours:
        message = (
            f"ObjectBucketClaim {facts.name} was made by somebody else: it is used, and never removed; "
            "createOBC: true makes it this device's"
        )
        return Condition(CONFLICT, TRUE, "ClaimNotOurs", message, warning=True)
    return Condition(CONFLICT, FALSE, "None", "nothing contradicts itself", quiet=True)


def _bound(facts: Facts, settings: StorageSettings) -> Condition:
    if facts.claim is not None:
        return _phase(facts, claims.phase(facts.claim))
    if wants_claim(facts, settings) and not facts.claims_served:
        message = "this cluster has no ObjectBucketClaims (yet): name a ConfigMap and a Secret in spec.storage.s3"
        return Condition(BOUND, FALSE, "NoClaimResource", message, warning=True)
    if any(facts.external):
        return Condition(BOUND, FALSE, "External", "storage is what spec.storage.s3 names; no claim", quiet=True)
    message = "no claim is wanted (createOBC, storage.obc.autoCreate), and spec.storage.s3 names nothing"
    return Condition(BOUND, FALSE, "NoClaim", message, quiet=True)


def _phase(facts: Facts, phase: Phase) -> Condition:
    assert facts.claim is not None
    name, where = facts.name, claims.storage_class(facts.claim)
    if phase is Phase.BOUND:
        return Condition(BOUND, TRUE, "ClaimBound", f"ObjectBucketClaim {name} has bucket {claims.bucket(facts.claim)}")
    if phase is Phase.TERMINATING:
        message = f"ObjectBucketClaim {name} is being deleted; once it is gone, a new one is made if one is wanted"
        return Condition(BOUND, FALSE, "ClaimTerminating", message, warning=True)
    if phase is Phase.FAILED:
        message = f"the provisioner of storage class {where!r} failed; its log and the claim's events say why"
        return Condition(BOUND, FALSE, "ClaimFailed", message, warning=True)
    if phase is Phase.RELEASED:
        message = f"ObjectBucketClaim {name} lost its bucket; delete the claim to have a new one made"
        return Condition(BOUND, FALSE, "ClaimReleased", message, warning=True)
    message = f"ObjectBucketClaim {name} waits for the provisioner of storage class {where!r}"
    return Condition(BOUND, FALSE, "Provisioning", message)


def _credentials(facts: Facts, bound: Condition) -> Condition:
    """We read no Secret: only a sidecar that has tried can tell whether the keys are complete."""
    if facts.credentials is not None:
        return facts.credentials
    if bound.status == TRUE or any(facts.external):
        message = "no sidecar has reported yet; this controller reads no Secrets"
        return Condition(CREDENTIALS_READY, UNKNOWN, "NotReported", message, quiet=True)
    return Condition(CREDENTIALS_READY, FALSE, "NoStorage", "there is no storage yet", quiet=True)


def _ready(facts: Facts, conflict: Condition, bound: Condition) -> Condition:
    if conflict.reason == "ClaimAndExternal":
        return Condition(READY, FALSE, conflict.reason, conflict.message, quiet=True)
    if bound.status == TRUE:
        return Condition(READY, TRUE, "ClaimBound", f"data go to the bucket of claim {facts.name}", quiet=True)
    config_map, secret = facts.external
    if config_map and secret:
        message = f"data go where ConfigMap {config_map} and Secret {secret} say"
        return Condition(READY, TRUE, "External", message, quiet=True)
    if config_map:
        message = "no secretName: only pods with s3-credentials: chain can use this storage"
        return Condition(READY, UNKNOWN, "NoSecret", message, warning=True)
    if secret:
        return Condition(READY, FALSE, "HalfExternal", "spec.storage.s3 lacks configMapName", warning=True)
    return Condition(READY, FALSE, bound.reason, bound.message, quiet=True)


def _reclaim_differs(facts: Facts, settings: StorageSettings) -> Condition | None:
    """A claim's bucket follows its storage class: say so where that is not what our policy promises."""
    if not facts.ours or not facts.class_policy or facts.class_policy == settings.reclaim_policy:
        return None
    fate = "keeps the bucket" if facts.class_policy == RETAIN else "deletes the bucket with its claim"
    message = (
        f"storage.obc.reclaimPolicy is {settings.reclaim_policy}, but the claim's storage class has "
        f"{facts.class_policy}: it {fate}"
    )
    return Condition(RECLAIM_DIFFERS, TRUE, "StorageClassDiffers", message, warning=True)


# Leaving


def _leave(facts: Facts, settings: StorageSettings) -> Plan:
    if not facts.held:
        return Plan()
    if facts.claim is None or not facts.ours or claims.phase(facts.claim) is Phase.TERMINATING:
        return Plan(Step.LET_GO)
    if facts.namespace_ending:
        return Plan(Step.LET_GO, events=(_said("StorageReleased", "the namespace ends, and its claims with it"),))
    if facts.syncing and facts.waited < settings.release_limit:
        return _wait_for_pods(facts, settings)
    if facts.unsent and facts.waited < settings.release_limit:
        return _wait_for_files(facts, settings)
    late = f"; {_named(facts.syncing)} still synced after the limit" if facts.syncing else ""
    if settings.reclaim_policy == DELETE:
        message = f"deleting ObjectBucketClaim {facts.name}, and with it the bucket{late}"
        return Plan(Step.DELETE, events=(_said("StorageReleased", message, warning=bool(late)),))
    if claims.is_kept(facts.claim):
        return Plan(Step.LET_GO)
    message = f"ObjectBucketClaim {facts.name} and its bucket are kept, by storage.obc.reclaimPolicy{late}"
    return Plan(Step.KEEP, events=(_said("StorageKept", message, warning=bool(late)),))


def _wait_for_pods(facts: Facts, settings: StorageSettings) -> Plan:
    message = (
        f"{_named(facts.syncing)} still sync with this device; its storage is released when they are gone, "
        f"or {settings.release_limit:.0f} s after the deletion"
    )
    waiting = Condition(READY, FALSE, "WaitingForPods", message, warning=True)
    left = settings.release_limit - facts.waited
    return Plan(
        conditions=(waiting,), data_obc=facts.name, storage=_storage(facts), again=max(0.1, min(_LOOK_AGAIN, left))
    )


def _storage(facts: Facts) -> str | None:
    """Where files go; the claim takes precedence once it is bound."""
    config_map, secret = facts.external
    if facts.claim is not None and (claims.phase(facts.claim) is Phase.BOUND or not config_map):
        return f"claim/{facts.name}"
    return "external/" + "+".join(name for name in (config_map, secret) if name) if config_map else None


def _wait_for_files(facts: Facts, settings: StorageSettings) -> Plan:
    message = (
        f"files that no pod looks after any more are sent: {', '.join(facts.unsent[:_NAMED_PODS])}; the storage is "
        f"released when that is done, or {settings.release_limit:.0f} s after the deletion"
    )
    waiting = Condition(READY, FALSE, "SendingFiles", message)
    left = settings.release_limit - facts.waited
    return Plan(conditions=(waiting,), data_obc=facts.name, again=max(0.1, min(_LOOK_AGAIN, left)))


def _named(pods: tuple[str, ...]) -> str:
    more = f" and {len(pods) - _NAMED_PODS} more" if len(pods) > _NAMED_PODS else ""
    return f"pods {', '.join(pods[:_NAMED_PODS])}{more}"


def _said(reason: str, message: str, *, warning: bool = False) -> Condition:
    return Condition(READY, FALSE, reason, message, warning=warning)


def _s3(device: Json) -> Json:
    storage = (device.get("spec") or {}).get("storage") or {}
    found = storage.get("s3") if isinstance(storage, dict) else None
    return found if isinstance(found, dict) else {}
