"""The volumes a pod gets, and how its containers mount them. Pure.

Written with the API server's own defaults spelled out, so that a pod that went through it compares
equal to one that did not.
"""

from __future__ import annotations

from typing import Final

from contract import names
from contract.storage import CONFIG_MAP_KEYS, SECRET_KEYS
from webhook.annotations import Scope, VolumeKind
from webhook.pods import Json
from webhook.resolution import Resolution

_READABLE: Final = 0o644
_OWN_MOUNT: Final = "/run/data-sync/own"


def pod_volumes(resolution: Resolution, *, shadow_token: bool) -> list[Json]:
    """All our volumes. ``shadow_token`` adds the empty one that hides the service account's token."""
    volumes = [
        export(resolution),
        {"name": names.MASK_VOLUME, "emptyDir": {}},
        storage(resolution.spec.claim, resolution.spec.config_map, resolution.spec.secret),
        podinfo(),
    ]
    if shadow_token:
        volumes.append({"name": names.NO_TOKEN_VOLUME, "emptyDir": {}})
    return volumes


def export(resolution: Resolution) -> Json:
    """The volume behind ``/export``."""
    volume: Json = {"name": resolution.export_volume}
    match resolution.volume.kind:
        case VolumeKind.HOST_PATH:
            volume["hostPath"] = {"path": resolution.host_path, "type": "DirectoryOrCreate"}
        case VolumeKind.EMPTY_DIR:
            volume["emptyDir"] = {}
        case VolumeKind.CLAIM:
            volume["persistentVolumeClaim"] = {"claimName": resolution.volume.claim}
    return volume


def storage(claim: str, config_map: str, secret: str) -> Json:
    """The storage keys as files: ``claim/<KEY>`` and ``external/<KEY>``.

    Every source is optional, keys missing in one are too: a pod starts while its claim is pending,
    and the files appear when the resources do.
    """
    sources: list[Json] = []
    for directory, config, keys in (
        (names.CLAIM_DIR, claim, claim),
        (names.EXTERNAL_DIR, config_map, secret),
    ):
        if config:
            sources.append({"configMap": _source(config, CONFIG_MAP_KEYS, directory)})
        if keys:
            sources.append({"secret": _source(keys, SECRET_KEYS, directory)})
    return {"name": names.STORAGE_VOLUME, "projected": {"defaultMode": _READABLE, "sources": sources}}


def podinfo() -> Json:
    """The ``mappings`` annotation as a file that follows its edits."""
    field = {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{names.MAPPINGS}']"}
    item = {"path": names.MAPPINGS_FILE, "fieldRef": field}
    return {"name": names.PODINFO_VOLUME, "downwardAPI": {"defaultMode": _READABLE, "items": [item]}}


def export_mount(resolution: Resolution) -> Json:
    """``/export``: the workload's directory, or the pod's own below it."""
    mount: Json = {"name": resolution.export_volume, "mountPath": names.EXPORT_DIR}
    if resolution.scope is Scope.POD:
        mount["subPathExpr"] = "$(POD_NAME)"
    return mount


def own_mount(resolution: Resolution) -> Json:
    """Our own directory of the exported volume once more, where nobody looks.

    For a ``subPath`` kubelet makes the directory, with the volume's own mode, before the container starts. Else
    the container runtime makes it, as root, for the first mask that is mounted there, and a sidecar that is not
    root could never write into it. It is used through ``/export`` alone: renames do not cross mounts.
    """
    mount: Json = {"name": resolution.export_volume, "mountPath": _OWN_MOUNT, "readOnly": True}
    if resolution.scope is Scope.POD:
        return {**mount, "subPathExpr": f"$(POD_NAME)/{names.OWN_DIR}"}
    return {**mount, "subPath": names.OWN_DIR}


def app_mounts(resolution: Resolution) -> list[Json]:
    """What every container of the user gets: ``/export``, and nothing to see of ``.data-sync``."""
    mask = {"name": names.MASK_VOLUME, "mountPath": f"{names.EXPORT_DIR}/{names.OWN_DIR}", "readOnly": True}
    return [export_mount(resolution), mask]


def token_mount() -> Json:
    """Nothing where the service account's token would be: a mount that is there keeps it out."""
    return {"name": names.NO_TOKEN_VOLUME, "mountPath": names.SERVICE_ACCOUNT_DIR, "readOnly": True}


def _source(name: str, keys: tuple[str, ...], directory: str) -> Json:
    items = [{"key": key, "path": f"{directory}/{key}"} for key in keys]
    return {"name": name, "items": items, "optional": True}
