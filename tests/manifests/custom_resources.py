"""Custom resources that the CRDs must accept, and others that they must refuse: one table for the offline
check (``test_crds``) and for a real API server (``tests/cluster``)."""

from __future__ import annotations

from typing import Any

API_VERSION = "management.project-flotta.io/v1alpha1"
POD = {"spec": {"containers": [{"name": "app", "image": "busybox"}]}}


def device(spec: Any, name: str = "device") -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "EdgeDevice", "metadata": {"name": name}, "spec": spec}


def s3(**fields: Any) -> dict[str, Any]:
    return device({"storage": {"s3": fields}})


def workload(name: str = "workload", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "EdgeWorkload", "metadata": {"name": name}, "spec": spec}


def egress(*items: tuple[str, str], **more: Any) -> dict[str, Any]:
    return workload(data={"egress": [{"source": s, "target": t, **more} for s, t in items]})


def ingress(*items: tuple[str, str], **more: Any) -> dict[str, Any]:
    return workload(data={"ingress": [{"source": s, "target": t, **more} for s, t in items]})


def both(sent: tuple[str, str], fetched: tuple[str, str], **more: Any) -> dict[str, Any]:
    up = {"source": sent[0], "target": sent[1], **more}
    down = {"source": fetched[0], "target": fetched[1], **more}
    return workload(data={"egress": [up], "ingress": [down]})


ACCEPTED: dict[str, dict[str, Any]] = {
    "a device that says nothing of storage": device({}),
    "a device with external storage": s3(configMapName="config", secretName="secret"),
    "a device whose pods bring their own credentials": s3(configMapName="config"),
    "a device that wants a claim": s3(createOBC=True),
    "a device that wants a claim, as Go writes empty names": s3(createOBC=True, configMapName="", secretName=""),
    "a device with external storage that declines a claim": s3(configMapName="c", secretName="s", createOBC=False),
    "a device with Flotta's other fields": device(
        {
            "requestTime": "2021-10-19T18:13:04Z",
            "heartbeat": {"periodSeconds": 5, "hardwareProfile": {"include": True, "scope": "full"}},
            "osInformation": {"automaticallyUpgrade": True, "commitID": "0123"},
            "metrics": {"system": {"interval": 60, "allowList": {"name": "list"}}},
            "logCollection": {"syslog": {"kind": "syslog", "syslogConfig": {"name": "syslog"}}},
            "mounts": [{"device": "/dev/loop1", "folder": "/mnt", "type": "ext4", "options": "rw"}],
        }
    ),
    "a workload that only maps": egress(("stats", "statistics")),
    "a workload for one device": workload(type="pod", device="device", pod=POD),
    "a workload for all devices": workload(type="pod", deviceSelector={}, pod=POD),
    "a workload for devices by expression": workload(
        type="pod",
        pod=POD,
        deviceSelector={"matchExpressions": [{"key": "dc", "operator": "In", "values": ["home"]}]},
    ),
    "a workload with Flotta's other fields": workload(
        type="pod",
        device="device",
        pod={"spec": {**POD["spec"], "restartPolicy": "Always", "hostNetwork": True}},
        imageRegistries={"secretRef": {"name": "auth"}},
        metrics={"path": "/metrics", "port": 8080, "containers": {"app": {"disabled": True}}},
        logCollection="syslog",
        data={"paths": [{"source": "a", "target": "b"}]},
    ),
    "a whole directory": egress((".", "everything")),
    "a slash at the end": both(("stats/", "statistics/"), ("remote/", "local/")),
    "names with dots in them": egress(("..a/b...", "c/...")),
    "what expands": egress(("a", "$(NODE_NAME)/$(POD_NAME)-$(DEVICE_ID)/$(POD_NAMESPACE)")),
    "a name of 255 characters": egress(("a" * 255, "b")),
    "both directions side by side": both(("up", "x"), ("x", "down")),
    "an overlap that is meant": both(("same", "x"), ("x", "same/below"), allowOverlap=True),
    "a shared target that is meant": egress(("a", "x"), ("b", "x/y"), allowOverlap=True),
    "the longest name": workload(name="w" * 63),
    "fifty mappings": egress(*((f"s{n}", f"t{n}") for n in range(50))),
    "one source sent twice": egress(("a", "x"), ("a", "y")),
    "every option of egress": egress(
        ("a", "b"),
        include=["*.log"],
        exclude=["cache/", "!keep"],
        delete=True,
        deleteLimit=5,
        mode="keep",
        storageClass="STANDARD_IA",
        encryption="aws:kms",
        kmsKeyId="alias/edge",
        tags={"team": "edge"},
        contentType="text/csv",
        settle="1m30s",
    ),
    "every option of ingress": ingress(
        ("a", "b"), include=["x"], exclude=["y"], delete=True, deleteLimit=1, mode="none"
    ),
    "no fetching again": ingress(("x", "down"), restore=False),
}

# The word is in the refusal: it names what is wrong.
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "a claim beside external names": ("createOBC", s3(createOBC=True, configMapName="config", secretName="secret")),
    "a claim beside one external name": ("createOBC", s3(createOBC=True, secretName="secret")),
    "keys of nowhere": ("configMapName", s3(secretName="secret")),
    "a ConfigMap that no ConfigMap can be": ("configMapName", s3(configMapName="Upper/case", secretName="s")),
    "a request at no time": ("requestTime", device({"requestTime": "yesterday"})),
    "a device without spec": ("spec", {**device({}), "spec": None}),
    "a workload for a device and a selector": (
        "exclude",
        workload(type="pod", pod=POD, device="device", deviceSelector={"matchLabels": {"dc": "home"}}),
    ),
    "a pod for nowhere": ("where it runs", workload(type="pod", pod=POD)),
    "a pod without type": ("belong together", workload(device="device", pod=POD)),
    "a type without pod": ("belong together", workload(device="device", type="pod")),
    "another type": ("type", workload(device="device", type="ansible", pod=POD)),
    "a pod without containers": ("containers", workload(type="pod", device="device", pod={"spec": {"containers": []}})),
    "a pod that ends": (
        "Always",
        workload(type="pod", device="device", pod={"spec": {**POD["spec"], "restartPolicy": "Never"}}),
    ),
    "an expression without values": (
        "values",
        workload(
            type="pod", pod=POD, deviceSelector={"matchExpressions": [{"key": "dc", "operator": "In", "values": []}]}
        ),
    ),
    "an absolute source": ("absolute", egress(("/stats", "x"))),
    "an absolute target": ("absolute", egress(("stats", "/x"))),
    "a way out of /export": ("component", egress(("a/../../etc", "x"))),
    "a way out at the end": ("component", egress(("a/..", "x"))),
    "a way out of the prefix": ("component", ingress(("../other", "x"))),
    "an empty component": ("component", egress(("a//b", "x"))),
    "a dot within": ("component", egress(("a/./b", "x"))),
    "a whole bucket as target": ("component", egress(("a", "."))),
    "a whole bucket as source": ("component", ingress((".", "a"))),
    "an empty path": ("source", egress(("", "x"))),
    "our own directory": (".data-sync", egress((".data-sync", "x"))),
    "below our own directory": (".data-sync", ingress(("x", ".data-sync/staging"))),
    "an unknown variable": ("expand", egress(("a", "$(HOSTNAME)/x"))),
    "a variable on the device": ("bucket's side", egress(("$(POD_NAME)", "x"))),
    "a component that no file system takes": ("255", egress(("a" * 256, "x"))),
    "a NUL character": ("NUL", egress(("a\0b", "x"))),
    "a mapping without target": ("target", workload(data={"egress": [{"source": "a"}]})),
    "two mappings to one target": ("below the same target", egress(("a", "x"), ("b", "x"))),
    "a target below another": ("below the same target", egress(("a", "x/y"), ("b", "x"))),
    "a mapping twice": ("below the same target", egress(("a", "x"), ("a", "x"), allowOverlap=True)),
    "an overlap that only one side means": (
        "below the same target",
        workload(
            data={"egress": [{"source": "a", "target": "x", "allowOverlap": True}, {"source": "b", "target": "x"}]}
        ),
    ),
    "a circle": ("hold the same files", both(("same", "x"), ("x", "same"))),
    "a circle through a subdirectory": ("hold the same files", both(("a", "x"), ("x", "a/b"))),
    "a circle through all": ("hold the same files", both((".", "x"), ("x", "down"))),
    "fetching again what is sent": ("restore", egress(("a", "x"), restore=True)),
    "deleting what another mapping keeps": ("keeps", egress(("a", "x"), delete=True, allowOverlap=True)),
    "a limit of nothing": ("deleteLimit", egress(("a", "x"), deleteLimit=5)),
    "a key for no encryption": ("kmsKeyId", egress(("a", "x"), kmsKeyId="alias/edge")),
    "another encryption": ("encryption", egress(("a", "x"), encryption="rot13")),
    "a settling time that is none": ("settle", egress(("a", "x"), settle="soon")),
    "an option of the other direction": ("tags", ingress(("a", "x"), tags={"a": "b"})),
    "too many mappings": ("egress", egress(*((f"s{n}", f"t{n}") for n in range(51)))),
    "a name that is no label": ("name", workload(name="a.b")),
    "a name that is too long": ("name", workload(name="w" * 64)),
}
