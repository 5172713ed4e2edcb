"""The objects of a fake cluster, their versions, and what happened to them: etcd and the registry in one.

Strict where programs rely on it: optimistic locking, UID preconditions, generations, finalizers, status
apart from the rest, names from ``generateName``, a history that ends. No schemas: real ones are checked by
the real API server in ``tests/cluster``.
"""

from __future__ import annotations

import copy
import re
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.fakes.cluster import failures, patches
from tests.fakes.cluster.resources import BUILT_IN, Json, ResourceType, from_definition
from tests.fakes.cluster.selectors import Matches

Key = tuple[str, str]  # namespace (empty for cluster-wide ones) and name

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the history; ``before`` is None for what was created, ``after`` for what went."""

    version: int
    kind: ResourceType
    before: Json | None
    after: Json | None
    last: Json  # the object as the event shows it

    def event(self, matches: Matches) -> Json | None:
        """The watch event for a watcher with this selector: leaving the selection is a deletion to it."""
        was = self.before is not None and matches(self.before)
        now = self.after is not None and matches(self.after)
        if not was and not now:
            return None
        name = "ADDED" if not was else "MODIFIED" if now else "DELETED"
        return {"type": name, "object": self.last}


class Store:
    """See the module. Thread-safe; objects go in and come out as copies."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.kinds: dict[tuple[str, str], ResourceType] = {(kind.group, kind.plural): kind for kind in BUILT_IN}
        self.version = 100
        self.oldest = self.version  # watches from before this version are Expired
        self.history: list[Change] = []
        # Called after each change, with the store locked: the cluster's own controllers.
        self.after_change: list[Callable[[], None]] = []
        # Admission: (operation, kind, object) → the object to store, or Refused.
        self.admission: list[Callable[[str, ResourceType, Json], Json]] = []
        self.hold_pods = False  # a deleted pod stays, terminating, until finish_pod
        self._objects: dict[ResourceType, dict[Key, Json]] = {}
        self._settling = False
        self.removals = 0  # how many objects went, ever

    # Reading

    def kind(self, plural: str, group: str = "") -> ResourceType:
        """The type of that name; one of ``plural.group`` is taken apart."""
        if not group and "." in plural:
            plural, _, group = plural.partition(".")
        found = self.kinds.get((group, plural))
        if found is None:
            raise failures.no_such_path()
        return found

    def get(self, kind: ResourceType, namespace: str, name: str) -> Json:
        with self.lock:
            return copy.deepcopy(self._get(kind, namespace, name))

    def find(self, kind: ResourceType, namespace: str, name: str) -> Json | None:
        with self.lock:
            return copy.deepcopy(self._all(kind).get((namespace, name)))

    def list(self, kind: ResourceType, namespace: str = "", matches: Matches = lambda _: True) -> list[Json]:
        """All of a kind, by namespace and name; an empty namespace means every one."""
        with self.lock:
            rows = sorted(self._all(kind).items())
            return [copy.deepcopy(one) for key, one in rows if namespace in ("", key[0]) and matches(one)]

    # Writing

    def create(self, kind: ResourceType, namespace: str, body: Json, *, dry_run: bool = False) -> Json:
        with self.lock:
            new = self._new(kind, namespace, body)
            new = self._admitted("CREATE", kind, new)
            name = new["metadata"]["name"]
            if (namespace, name) in self._all(kind):
                raise failures.exists(kind, name)
            if dry_run:
                return new
            self._check_namespace(kind, namespace, name)
            self._commit(kind, None, new)
            self._settle()
            return copy.deepcopy(self._all(kind).get((namespace, name), new))

    def update(
        self, kind: ResourceType, namespace: str, name: str, body: Json, *, subresource: str = "", dry_run: bool = False
    ) -> Json:
        with self.lock:
            before = self._get(kind, namespace, name)
            needs_version = kind.custom or kind.plural == "leases"
            if needs_version and not body["metadata"].get("resourceVersion"):
                raise failures.invalid(kind, name, "metadata.resourceVersion: must be specified for an update")
            return self._replace(kind, before, copy.deepcopy(body), subresource, dry_run=dry_run)

    def patch(
        self,
        kind: ResourceType,
        namespace: str,
        name: str,
        content_type: str,
        patch: Any,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Json:
        with self.lock:
            before = self._get(kind, namespace, name)
            after = patches.patched(kind, content_type, copy.deepcopy(before), patch)
            if after["metadata"].get("uid") != before["metadata"]["uid"]:
                raise failures.invalid(kind, name, "metadata.uid: Invalid value: field is immutable")
            return self._replace(kind, before, after, subresource, dry_run=dry_run)

    def delete(self, kind: ResourceType, namespace: str, name: str, options: Json | None = None) -> Json | None:
        """The object as it stays behind, or None when it is gone."""
        with self.lock:
            before = self._get(kind, namespace, name)
            self._check_preconditions(kind, before, (options or {}).get("preconditions") or {})
            if (options or {}).get("dryRun"):
                return before
            after = self._marked(kind, before)
            stays = bool(after["metadata"].get("finalizers")) or self._is_held(kind, after)
            if not stays:
                self._commit(kind, before, None)
            elif after != before:
                self._commit(kind, before, after)
            self._settle()
            return copy.deepcopy(self._all(kind).get((namespace, name)))

    def finish_pod(self, namespace: str, name: str) -> None:
        """What kubelet does at the end of a pod: take it away."""
        with self.lock:
            pod = self._get(self.kind("pods"), namespace, name)
            self._commit(self.kind("pods"), pod, None)
            self._settle()

    def compact(self) -> None:
        """Forget the history, as etcd does after five minutes: who continues an old watch is told 410."""
        with self.lock:
            self.history.clear()
            self.oldest = self.version
            self.changed.notify_all()

    def touch(self) -> None:
        """Let the cluster's controllers look, for example after one was added."""
        with self.lock:
            self._settle()

    def changes(self, kind: ResourceType, since: int) -> Iterator[Change]:
        """What happened to a kind after ``since``, with the store locked."""
        first = self.history[0].version if self.history else 0  # versions follow each other without a gap
        return (change for change in self.history[max(0, since + 1 - first) :] if change.kind == kind)

    def peek(self, kind: ResourceType) -> Iterator[Json]:
        """All of a kind without copying, for the cluster's controllers, which change nothing in place."""
        return iter(list(self._all(kind).values()))

    # Within

    def _all(self, kind: ResourceType) -> dict[Key, Json]:
        return self._objects.setdefault(kind, {})

    def _get(self, kind: ResourceType, namespace: str, name: str) -> Json:
        found = self._all(kind).get((namespace, name))
        if found is None:
            raise failures.not_found(kind, name)
        return found

    def _new(self, kind: ResourceType, namespace: str, body: Json) -> Json:
        new = copy.deepcopy(body)
        new["apiVersion"], new["kind"] = kind.api_version, kind.kind
        metadata = new.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + secrets.token_hex(3)[:5]
        name = metadata.get("name")
        if not name or len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
            raise failures.invalid(kind, name or "", "metadata.name: a lowercase RFC 1123 subdomain is required")
        if metadata.get("namespace", namespace) != namespace:
            raise failures.bad_request("the namespace of the provided object does not match the namespace sent")
        if kind.namespaced:
            metadata["namespace"] = namespace
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = _now()
        metadata.pop("deletionTimestamp", None)
        metadata.pop("resourceVersion", None)
        metadata["generation"] = 1
        if kind.status:
            new.pop("status", None)
        return _with_defaults(kind, new)

    def _check_namespace(self, kind: ResourceType, namespace: str, name: str) -> None:
        if not kind.namespaced:
            return
        namespaces = self.kind("namespaces")
        found = self._all(namespaces).get(("", namespace))
        if found is None:
            raise failures.not_found(namespaces, namespace)
        if found["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            causes = [{"reason": "NamespaceTerminating", "message": why, "field": "metadata.namespace"}]
            raise failures.forbidden(kind, name, why, causes)

    def _admitted(self, operation: str, kind: ResourceType, new: Json) -> Json:
        for hook in self.admission:
            new = hook(operation, kind, new)
        return new

    def _replace(self, kind: ResourceType, before: Json, after: Json, subresource: str, *, dry_run: bool) -> Json:
        name = before["metadata"]["name"]
        self._check_preconditions(kind, before, after["metadata"])
        after = _combined(kind, before, after, subresource)
        old, new = (set(one["metadata"].get("finalizers") or ()) for one in (before, after))
        deleting = bool(before["metadata"].get("deletionTimestamp"))
        if deleting and new - old:
            why = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted"
            raise failures.invalid(kind, name, why)
        if not subresource:
            after = self._admitted("UPDATE", kind, after)
        if dry_run or after == before:
            return copy.deepcopy(after)
        ends = deleting and old and not new and not self._is_held(kind, after)
        self._commit(kind, before, None if ends else after)
        self._settle()
        return copy.deepcopy(self._all(kind).get((before["metadata"].get("namespace", ""), name), after))

    def _check_preconditions(self, kind: ResourceType, before: Json, wanted: Json) -> None:
        name, metadata = before["metadata"]["name"], before["metadata"]
        if wanted.get("uid") and wanted["uid"] != metadata["uid"]:
            why = f"Precondition failed: UID in precondition: {wanted['uid']}, UID in object meta: {metadata['uid']}"
            raise failures.conflict(kind, name, why)
        if wanted.get("resourceVersion") and wanted["resourceVersion"] != metadata["resourceVersion"]:
            why = "the object has been modified; please apply your changes to the latest version and try again"
            raise failures.conflict(kind, name, why)

    def _marked(self, kind: ResourceType, before: Json) -> Json:
        after = copy.deepcopy(before)
        if not after["metadata"].get("deletionTimestamp"):
            after["metadata"]["deletionTimestamp"] = _now()
            after["metadata"]["deletionGracePeriodSeconds"] = 0
            if kind.plural == "namespaces":
                after.setdefault("status", {})["phase"] = "Terminating"
        return after

    def _is_held(self, kind: ResourceType, one: Json) -> bool:
        if kind.plural == "namespaces":
            return True  # until the namespace controller has emptied it
        done = (one.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        return kind.plural == "pods" and self.hold_pods and bool(one["spec"].get("nodeName")) and not done

    def _commit(self, kind: ResourceType, before: Json | None, after: Json | None) -> None:
        self.version += 1
        last = copy.deepcopy(after if after is not None else before)
        assert last is not None
        last["metadata"]["resourceVersion"] = str(self.version)
        key = (last["metadata"].get("namespace", ""), last["metadata"]["name"])
        if after is None:
            del self._all(kind)[key]
            self.removals += 1
        else:
            self._all(kind)[key] = last
        self.history.append(Change(self.version, kind, before, after and last, copy.deepcopy(last)))
        if kind.plural == "customresourcedefinitions":
            self._define(last, gone=after is None)
        self.changed.notify_all()

    def _define(self, definition: Json, *, gone: bool) -> None:
        kind = from_definition(definition)
        if not gone:
            self.kinds[kind.group, kind.plural] = kind
            return
        for key, one in list(self._all(kind).items()):
            self._commit(kind, one, None)
            self._all(kind).pop(key, None)
        self.kinds.pop((kind.group, kind.plural), None)

    def _settle(self) -> None:
        """Run the cluster's controllers until they change nothing; their own changes come here too."""
        if self._settling:
            return
        self._settling = True
        try:
            seen = -1
            while seen != self.version:
                seen = self.version
                for controller in self.after_change:
                    controller()
        finally:
            self._settling = False

    def empty_namespace(self, name: str) -> None:
        """For the namespace controller: take the namespace away."""
        kind = self.kind("namespaces")
        self._commit(kind, self._get(kind, "", name), None)


def _combined(kind: ResourceType, before: Json, after: Json, subresource: str) -> Json:
    """``after`` as far as this way of writing may change ``before``."""
    if subresource == "status":
        if not kind.status:
            raise failures.no_such_path()
        combined = copy.deepcopy(before)
        combined.pop("status", None)
        return {**combined, **({"status": copy.deepcopy(after["status"])} if "status" in after else {})}
    after = copy.deepcopy(after)
    after["apiVersion"], after["kind"] = before["apiVersion"], before["kind"]
    for field in (
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "resourceVersion",
        "generation",
    ):
        after["metadata"].pop(field, None)
        if field in before["metadata"]:
            after["metadata"][field] = before["metadata"][field]
    for field in ("labels", "annotations", "finalizers", "ownerReferences"):
        if not after["metadata"].get(field):
            after["metadata"].pop(field, None)
    if kind.status:
        after.pop("status", None)
        if "status" in before:
            after["status"] = copy.deepcopy(before["status"])
    counted = [{key: one.get(key) for key in {*before, *after} - {"metadata", "status"}} for one in (before, after)]
    if counted[0] != counted[1]:
        after["metadata"]["generation"] = before["metadata"]["generation"] + 1
    return after


def _with_defaults(kind: ResourceType, new: Json) -> Json:
    if kind.plural == "namespaces":
        new["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = new["metadata"]["name"]
        new["status"] = {"phase": "Active"}
    if kind.plural == "pods":
        new["spec"].setdefault("restartPolicy", "Always")
        new["status"] = {"phase": "Pending"}
    if kind.plural == "secrets" and "stringData" in new:
        import base64

        data = new.setdefault("data", {})
        data.update({key: base64.b64encode(text.encode()).decode() for key, text in new.pop("stringData").items()})
    if kind.plural == "customresourcedefinitions":
        new["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
    return new


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
