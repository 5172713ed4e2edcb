"""What injected pods are, and what they last said: raw pods and ``/status`` → facts; and the memory of them.

What a pod says is a stranger's word: numbers are bounded, texts cut, and nothing of it becomes a name. Asking
is ``asking``'s, what becomes of it ``status``'.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from contract import names
from contract.conditions import Condition, Said, read_conditions
from contract.spec import OWNER, Owner
from controller import directories
from controller.directories import Directory
from controller.pods import annotations_of, is_drain, is_injected, is_over, status_of
from controller.resources import Json

_MOST: Final = 2**53  # beyond it JSON numbers are not exact, and no device has so many bytes
_LONGEST_ERROR: Final = 256  # characters
_TLS: Final = "DATA_SYNC_LISTEN_TLS_CERT"


@dataclass(frozen=True, slots=True)
class Pod:
    """An injected pod, as far as it matters here."""

    namespace: str
    name: str
    uid: str
    node: str
    workload: str
    device: str
    kind: str  # of the directory's owner
    created: str
    running: bool = False
    ready: bool = False
    terminating: bool = False
    sent: bool = False  # its sidecar has ended, and left nothing unsent
    address: str = ""  # host and port to ask; empty where it cannot be asked
    silent: str = ""  # why it cannot be asked, in words; empty also where it has no address yet
    mappings: str = ""  # the annotation
    directory: Directory | None = None  # that it may leave files in

    @property
    def reference(self) -> Json:
        """The pod as an Event names it."""
        metadata = {"name": self.name, "namespace": self.namespace, "uid": self.uid}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


@dataclass(frozen=True, slots=True)
class Report:
    """What a sidecar said. A number is None where it does not know it yet."""

    said: tuple[Said, ...] = ()
    pending_files: int | None = None  # of egress
    pending_bytes: int | None = None
    last_upload: float | None = None  # seconds since the epoch; None: nothing since the sidecar started
    last_error: str = ""  # in words, without names of files
    standby: bool = False  # another sidecar holds the directory, and this one says what that one knows

    def about(self, condition: Condition) -> Said | None:
        """What it said of ``condition``."""
        return next((one for one in self.said if one.condition is condition), None)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A pod, and the last that was heard of it. Times are seconds since the epoch."""

    pod: Pod
    report: Report | None = None
    heard: float | None = None
    asked: float | None = None
    fault: str = ""  # why the last asking failed
    tries: int = 0  # in vain, since it last answered
    silent_since: float | None = None  # the first of them


@dataclass(frozen=True, slots=True)
class Left:
    """A directory without pods; ``sent``: nothing in it is known to be unsent."""

    directory: Directory
    sent: bool


Place = tuple[str, str, str, str, str]  # namespace, device, workload, node, kind of the owner


def place_of(pod: Pod) -> Place | None:
    """The directory that the pod uses, or None where nothing of it stays."""
    if pod.directory is None:
        return None
    return (pod.namespace, pod.device, pod.workload, *pod.directory.key)


def read_pod(raw: Json) -> Pod | None:
    """The facts of ``raw``; None when it is not injected, or is a drain, of which its Job tells."""
    if not is_injected(raw) or is_drain(raw):
        return None
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    said, sidecar = status_of(raw), _sidecar(spec)
    owner = _owner(sidecar)
    address, silent = _address(spec, status, sidecar)
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=str(spec.get("nodeName") or ""),
        workload=str(said.get("workload") or ""),
        device=str(said.get("device") or ""),
        kind=owner.kind if owner is not None else "",
        created=str(metadata.get("creationTimestamp") or ""),
        running=status.get("phase") == "Running",
        ready=any(one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions") or ()),
        terminating=bool(metadata.get("deletionTimestamp")) or is_over(raw),
        sent=_left_nothing(status),
        address=address,
        silent=silent,
        mappings=annotations_of(raw).get(names.MAPPINGS, ""),
        directory=directories.of_pod(raw, owner.kind if owner is not None else ""),
    )


def read_report(body: object) -> Report:
    """What the body of a ``/status`` says; of a body that says nothing, an empty report."""
    if not isinstance(body, dict):
        return Report()
    listed = body.get("mappings")
    mappings = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    egress = [one for one in mappings if one.get("direction") == "egress"]
    times = [time for one in egress if (time := _number(one.get("last_transfer")))]
    return Report(
        said=read_conditions(body),
        pending_files=_total(egress, "pending_files"),
        pending_bytes=_total(egress, "pending_bytes"),
        last_upload=max(times, default=None),
        last_error=next((error for one in mappings if (error := _error(one))), ""),
        standby=body.get("role") == "standby",
    )


class Sightings:
    """The memory. Safe to use from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Sighting] = {}  # by uid
        self._left: dict[Place, Left] = {}  # directories whose last pod has ended
        self.complete = False  # whether all pods were listed once

    def all(self) -> list[Sighting]:
        """Every pod that is there."""
        with self._lock:
            return list(self._known.values())

    def of_workload(self, namespace: str, workload: str) -> list[Sighting]:
        """The pods of a workload."""
        return [one for one in self.all() if (one.pod.namespace, one.pod.workload) == (namespace, workload)]

    def of_device(self, namespace: str, device: str) -> list[Sighting]:
        """The pods that sync with a device."""
        return [one for one in self.all() if (one.pod.namespace, one.pod.device) == (namespace, device)]

    def see(self, pod: Pod) -> Pod | None:
        """``pod`` is there; what was known of it before, or None."""
        with self._lock:
            before = self._known.get(pod.uid)
            self._known[pod.uid] = Sighting(pod) if before is None else replace(before, pod=pod)
            place = place_of(pod)
            if place is not None:
                self._left.pop(place, None)
            return None if before is None else before.pod

    def lose(self, uid: str) -> Pod | None:
        """That pod is gone; what was known of it."""
        with self._lock:
            before = self._known.pop(uid, None)
            if before is None:
                return None
            place = place_of(before.pod)
            if place is not None and before.pod.directory is not None:
                # The last one to end has seen all that was there.
                self._left[place] = Left(before.pod.directory, before.pod.sent)
            return before.pod

    def left_nothing(self, place: Place) -> bool:
        """Whether the last pod in that directory is known to have sent everything."""
        with self._lock:
            found = self._left.get(place)
            return found is not None and found.sent

    def left(self, namespace: str, device: str) -> list[tuple[str, Directory]]:
        """Workload and directory, where pods have ended and files may be left."""
        with self._lock:
            found = [(place, one) for place, one in self._left.items() if place[:2] == (namespace, device)]
        return [(place[2], one.directory) for place, one in found if not one.sent]

    def was_drained(self, place: Place, directory: Directory) -> None:
        """Everything in that directory was sent."""
        with self._lock:
            self._left[place] = Left(directory, sent=True)

    def see_only(self, namespace: str, pods: Iterable[Pod]) -> None:
        """Of ``namespace`` exactly these are there."""
        now = {pod.uid: pod for pod in pods}
        for pod in now.values():
            self.see(pod)
        for sighting in self.all():
            if sighting.pod.namespace == namespace and sighting.pod.uid not in now:
                self.lose(sighting.pod.uid)

    def uids(self) -> frozenset[str]:
        """The pods that are known now."""
        with self._lock:
            return frozenset(self._known)

    def see_all(
        self, pods: Iterable[Pod], known_before: frozenset[str] | None = None
    ) -> list[tuple[Pod | None, Pod | None]]:
        """These are there: what changed, each as it was and as it is.

        Of the others those are gone that were known before the list was asked for (None: all of them).
        """
        now = {pod.uid: pod for pod in pods}
        with self._lock:
            candidates = self._known.keys() if known_before is None else self._known.keys() & known_before
            gone = [self._known[uid].pod for uid in candidates if uid not in now]
        changed: list[tuple[Pod | None, Pod | None]] = [(self.lose(pod.uid), None) for pod in gone]
        for pod in now.values():
            before = self.see(pod)
            if before != pod:
                changed.append((before, pod))
        self.complete = True
        return changed

    def hear(self, uid: str, report: Report, when: float) -> Report | None:
        """The pod said this; what it said before."""
        with self._lock:
            before = self._known.get(uid)
            if before is None:
                return None
            self._known[uid] = replace(
                before, report=report, heard=when, asked=when, fault="", tries=0, silent_since=None
            )
            return before.report

    def miss(self, uid: str, fault: str, when: float) -> None:
        """The pod did not answer; what it said last stays known."""
        with self._lock:
            before = self._known.get(uid)
            if before is not None:
                since = when if before.silent_since is None else before.silent_since
                after = replace(before, asked=when, tries=before.tries + 1, silent_since=since)
                self._known[uid] = replace(after, fault=fault[:_LONGEST_ERROR])


def _sidecar(spec: Json) -> Json:
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return next(one for one in containers if one.get("name") == names.SIDECAR_CONTAINER)


def _owner(sidecar: Json) -> Owner | None:
    text = next((one.get("value") for one in sidecar.get("env") or () if one.get("name") == OWNER), None)
    try:
        return Owner.from_json(str(text).replace("$$", "$")) if text else None
    except ValueError:
        return None


def _address(spec: Json, status: Json, sidecar: Json) -> tuple[str, str]:
    if spec.get("hostNetwork") is True:
        return "", "it shares its node's network, where its sidecar listens on loopback alone"
    port = next((one for one in sidecar.get("ports") or () if one.get("name") == names.PORT_NAME), None)
    if port is None:
        return "", "its sidecar has no port"
    if any(one.get("name") == _TLS and one.get("value") for one in sidecar.get("env") or ()):
        return "", "its sidecar speaks TLS, and nothing says which certificate would be its own"
    host = str(status.get("podIP") or "")
    if not host or status.get("phase") != "Running":
        return "", ""
    return (f"[{host}]" if ":" in host else host) + f":{port['containerPort']}", ""


def _left_nothing(status: Json) -> bool:
    """Whether the sidecar has ended, and its last words are that nothing waits."""
    states = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    ended = next((one.get("state") or {} for one in states if one.get("name") == names.SIDECAR_CONTAINER), {})
    last = ended.get("terminated")
    if not isinstance(last, dict) or last.get("exitCode") != 0:
        return False
    try:
        words = json.loads(last.get("message") or "null")
    except (ValueError, RecursionError):
        return False
    return isinstance(words, dict) and words.get("pending_files") == 0 and not words.get("errors")


def _total(mappings: list[dict[str, Any]], key: str) -> int | None:
    numbers = [_number(one.get(key)) for one in mappings]
    known = [int(number) for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
        return None
    return value


def _error(mapping: dict[str, Any]) -> str:
    problems = mapping.get("problems")
    first = problems[0] if isinstance(problems, list) and problems else None
    words = first.get("words") if isinstance(first, dict) else mapping.get("last_error_reason")
    return " ".join(str(words or "").split())[:_LONGEST_ERROR]
