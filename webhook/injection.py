"""Adding data-sync to a pod: pod and decision → the pod as it shall be. Pure.

``inject(inject(p)) == inject(p)``, also when others changed the pod in between: the pod given is
always clean of ours (``removal``), and what came out of it is only consulted for fields that others
added to our containers. Whether a pod may be injected was decided before.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from contract import names
from contract.spec import annotation_to_json
from runtime import VERSION
from webhook import containers, pods, volumes
from webhook.annotations import Mode, Scope
from webhook.decision import Inject, is_pod_name
from webhook.injection_settings import InjectionSettings
from webhook.pods import Json
from webhook.removal import VOLUMES
from webhook.resolution import Resolution

# Filled in by the API server; taking them out again would only be noise in the patch.
_DEFAULTED: Final = ("imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy")
_PROMETHEUS: Final = ("prometheus.io/scrape", "prometheus.io/port", "prometheus.io/path")
_OUR_VARIABLES: Final = ("DATA_SYNC_", "POD_NAME", "POD_NAMESPACE", "NODE_NAME", "DEVICE_ID")


def inject(clean: Json, decision: Inject, settings: InjectionSettings, taken: Mapping[str, Json] | None = None) -> Json:
    """A copy of ``clean`` with data-sync in it.

    ``taken`` are our containers of an earlier injection: variables and mounts that others put into
    them stay.
    """
    resolution = decision.resolution
    pod = copy.deepcopy(clean)
    body = pod.setdefault("spec", {})
    _drop_override_container(body)
    init = containers.init(pod, resolution, settings)
    sidecar = containers.sidecar(pod, resolution, decision.overrides, settings)
    added = [container for container in (init, sidecar) if container is not None]
    added_volumes = volumes.pod_volumes(resolution, shadow_token=_shadows_token(added))
    for container in pods.all_containers(pod):
        _give_export(container, resolution)
    digest = _digest(added, added_volumes, resolution)
    for container in added:
        _keep_foreign(container, (taken or {}).get(container["name"], {}), resolution)
    _place(body, init, sidecar, resolution.mode)
    body["volumes"] = [*(body.get("volumes") or []), *added_volumes]
    _annotate(pod, resolution, digest, containers.port(clean, resolution))
    return pod


def _drop_override_container(body: Json) -> None:
    for place in ("initContainers", "containers"):
        if body.get(place):
            body[place] = [item for item in body[place] if item.get("name") != names.SIDECAR_CONTAINER]


def _shadows_token(added: list[Json]) -> bool:
    return any(mount["name"] == names.NO_TOKEN_VOLUME for container in added for mount in container["volumeMounts"])


def _give_export(container: Json, resolution: Resolution) -> None:
    container["volumeMounts"] = [*(container.get("volumeMounts") or []), *volumes.app_mounts(resolution)]
    if resolution.scope is Scope.POD:
        env = container.get("env") or []
        if not any(is_pod_name(variable) and variable.get("name") == "POD_NAME" for variable in env):
            reference = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}
            container["env"] = [*env, {"name": "POD_NAME", "valueFrom": reference}]


def _keep_foreign(container: Json, earlier: Json, resolution: Resolution) -> None:
    """Keep what others gave to our container since: a proxy's variables, a bundle of certificates."""
    for key in _DEFAULTED:
        if key in earlier:
            container.setdefault(key, earlier[key])
    env = container["env"]
    set_here = {variable["name"] for variable in env}
    for variable in earlier.get("env") or []:
        name = str(variable.get("name"))
        if name not in set_here and not name.startswith(_OUR_VARIABLES):
            env.append(copy.deepcopy(variable))
    mounts = container["volumeMounts"]
    paths = [mount["mountPath"] for mount in mounts]
    ours = VOLUMES | {resolution.export_volume}
    for mount in earlier.get("volumeMounts") or []:
        if mount.get("mountPath") not in paths and mount.get("name") not in ours:
            mounts.append(copy.deepcopy(mount))


def _place(body: Json, init: Json | None, sidecar: Json, mode: Mode) -> None:
    first = [init] if init is not None else []
    if mode is Mode.NATIVE:
        first.append(sidecar)
    else:
        body["containers"] = [*body["containers"], sidecar]
    if first:
        body["initContainers"] = [*first, *(body.get("initContainers") or [])]


def _annotate(pod: Json, resolution: Resolution, digest: str, port: int) -> None:
    meta = pod.setdefault("metadata", {})
    annotations = dict(meta.get("annotations") or {})
    # On loopback nobody could scrape it, and a target that is always down only raises alarms.
    if not containers.host_network(pod) and not any(key in annotations for key in _PROMETHEUS):
        annotations.update(zip(_PROMETHEUS, ("true", str(port), "/metrics"), strict=True))
    annotations[names.MAPPINGS] = annotation_to_json(resolution.spec.egress, resolution.spec.ingress)
    annotations[names.STATUS] = _status(resolution, digest)
    meta["annotations"] = annotations


def _status(resolution: Resolution, digest: str) -> str:
    status: dict[str, Any] = {
        "version": VERSION,
        "hash": digest,
        "workload": resolution.workload,
        "device": resolution.spec.device,
        "storage": resolution.storage,
        "mode": resolution.mode.value,
        "rules": dict(resolution.rules),
    }
    return json.dumps(status)


def _digest(added: list[Json], added_volumes: list[Json], resolution: Resolution) -> str:
    """A short hash of the injected configuration: equal for pods that were given the same."""
    mappings = annotation_to_json(resolution.spec.egress, resolution.spec.ingress)
    text = json.dumps([added, added_volumes, mappings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
