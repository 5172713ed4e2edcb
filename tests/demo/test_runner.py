"""The demo's small kubelet runs a pod from its manifest alone, and says what a pod lacks."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract import names
from demo.errors import NotRunnable
from demo.facts import Facts, Json
from demo.processes import program
from demo.runner import PodRunner, Prepared
from demo.sample import load_pod, storage_manifests
from demo.story import NODE, STAND_INS, find_export
from demo.volumes import located
from webhook.admit import process
from webhook.catalog import EmptyCatalog
from webhook.injection_settings import InjectionSettings

NAMESPACE = "edgedevice-namespace"
TEXTS = {
    "BUCKET_NAME": "bucket",
    "BUCKET_HOST": "127.0.0.1",
    "BUCKET_PORT": "8333",
    "BUCKET_SCHEME": "http",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


@pytest.fixture
def pod() -> Json:
    """The demo's pod as it is admitted."""
    return process(load_pod(), NAMESPACE, EmptyCatalog(), InjectionSettings()).pod


def prepare(pod: Json, state: Path, manifests: tuple[Json, ...] | None = None) -> list[Prepared]:
    given = storage_manifests(pod, TEXTS) if manifests is None else manifests
    return PodRunner(pod, Facts(NODE, given), state, STAND_INS).prepare()


def container(pod: Json, name: str) -> Json:
    spec = pod["spec"]
    found: Json = next(one for one in [*spec["initContainers"], *spec["containers"]] if one["name"] == name)
    return found


def test_containers_come_in_kubelets_order_and_only_init_ones_end(pod: Json, tmp_path: Path) -> None:
    prepared = prepare(pod, tmp_path)
    assert [(one.name, one.once) for one in prepared] == [
        ("data-sync-init", True),
        ("data-sync", False),
        ("stats-collector", False),
    ]


def test_the_sidecar_gets_what_the_pod_prescribes_and_its_directories_and_nothing_else(
    pod: Json, tmp_path: Path
) -> None:
    sidecar = prepare(pod, tmp_path)[1]
    prescribed = {variable["name"] for variable in container(pod, "data-sync")["env"]}
    directories = {"DATA_SYNC_EXPORT_DIR", "DATA_SYNC_STORAGE_DIR", "DATA_SYNC_PODINFO_DIR"}
    assert set(sidecar.env) == prescribed | directories | {"DATA_SYNC_LOG_LEVEL"}, "idle cycles are shown"
    assert (sidecar.env["POD_NAME"], sidecar.env["POD_NAMESPACE"], sidecar.env["NODE_NAME"]) == (
        "os-stats",
        NAMESPACE,
        NODE,
    )
    assert sidecar.env["DATA_SYNC_LISTEN"].startswith("127.0.0.1:")
    assert sidecar.command == ["env", "--block-signal=TERM", sys.executable, "-m", "sidecar"]


def test_the_export_directory_is_the_host_path_below_the_nodes_root(pod: Json, tmp_path: Path) -> None:
    export = find_export(prepare(pod, tmp_path))
    assert export == tmp_path / "node/var/local/yggdrasil/device/volumes/edgedevice-namespace/os-stats"
    assert export.is_dir()


def test_storage_keys_lie_where_the_projected_volume_puts_them(pod: Json, tmp_path: Path) -> None:
    directory = Path(prepare(pod, tmp_path)[1].env["DATA_SYNC_STORAGE_DIR"])
    assert {path.name: path.read_text() for path in (directory / "external").iterdir()} == TEXTS
    assert (directory / "external").readlink() == Path("..data/external")


def test_the_mappings_annotation_is_a_file(pod: Json, tmp_path: Path) -> None:
    directory = Path(prepare(pod, tmp_path)[1].env["DATA_SYNC_PODINFO_DIR"])
    assert (directory / "mappings").read_text() == pod["metadata"]["annotations"][names.MAPPINGS]


def test_a_config_map_that_is_not_there_yet_leaves_its_files_out(pod: Json, tmp_path: Path) -> None:
    directory = Path(prepare(pod, tmp_path, manifests=())[1].env["DATA_SYNC_STORAGE_DIR"])
    assert not (directory / "external").exists()


def test_the_workload_sees_an_empty_directory_where_ours_is(pod: Json, tmp_path: Path) -> None:
    workload = prepare(pod, tmp_path)[2]
    own = located(workload.mounts, "/export/.data-sync")
    assert own is not None
    assert list(own.iterdir()) == []


def without_sidecar(pod: Json) -> None:
    pod["spec"]["initContainers"] = pod["spec"]["initContainers"][:1]


def without_volume(name: str) -> Callable[[Json], None]:
    def change(pod: Json) -> None:
        pod["spec"]["volumes"] = [volume for volume in pod["spec"]["volumes"] if volume["name"] != name]

    return change


def without_mount(where: str, path: str) -> Callable[[Json], None]:
    def change(pod: Json) -> None:
        mounts = container(pod, where)["volumeMounts"]
        container(pod, where)["volumeMounts"] = [mount for mount in mounts if mount["mountPath"] != path]

    return change


def volume_of_kind(body: dict[str, Any]) -> Callable[[Json], None]:
    def change(pod: Json) -> None:
        pod["spec"]["volumes"][0] = {"name": "export-os-stats", **body}

    return change


def storage_not_optional(pod: Json) -> None:
    volume = next(one for one in pod["spec"]["volumes"] if one["name"] == names.STORAGE_VOLUME)
    for source in volume["projected"]["sources"]:
        for body in source.values():
            body["optional"] = False


def variable(body: dict[str, Any]) -> Callable[[Json], None]:
    return lambda pod: container(pod, "data-sync")["env"].append({"name": "X", **body})


def another_export(pod: Json) -> None:
    pod["spec"]["volumes"].append({"name": "other", "emptyDir": {}})
    next(m for m in container(pod, "stats-collector")["volumeMounts"] if m["mountPath"] == "/export")["name"] = "other"


def unknown_container(pod: Json) -> None:
    mounts = container(pod, "stats-collector")["volumeMounts"]
    pod["spec"]["containers"].append({"name": "proxy", "volumeMounts": mounts})


LACKS: list[tuple[str, Callable[[Json], None], str]] = [
    ("no sidecar", without_sidecar, "the pod has no container data-sync, only data-sync-init, stats-collector"),
    (
        "a volume that a mount names is missing",
        without_volume(names.STORAGE_VOLUME),
        "container data-sync, mount /etc/data-sync/storage: the pod has no volume 'data-sync-storage'",
    ),
    (
        "the workload has no export mount",
        without_mount("stats-collector", "/export"),
        "container stats-collector: no volume is mounted at /export",
    ),
    (
        "the workload sees our directory",
        without_mount("stats-collector", "/export/.data-sync"),
        "container stats-collector: it sees /export/.data-sync, no mask is mounted over it",
    ),
    (
        "the sidecar has no storage mount",
        without_mount("data-sync", names.STORAGE_DIR),
        "container data-sync: no volume is mounted at /etc/data-sync/storage",
    ),
    (
        "the sidecar has no podinfo mount",
        without_mount("data-sync", names.PODINFO_DIR),
        "container data-sync: no volume is mounted at /etc/data-sync/podinfo",
    ),
    (
        "the workload writes to a volume that nobody syncs",
        another_export,
        "container stats-collector: its /export is not the one that is synced",
    ),
    (
        "an unknown volume kind",
        volume_of_kind({"nfs": {"server": "x", "path": "/"}}),
        "volume 'export-os-stats': the kind nfs is not understood here",
    ),
    (
        "a host directory that nobody makes",
        volume_of_kind({"hostPath": {"path": "/absent"}}),
        "volume 'export-os-stats': /absent is not on the node",
    ),
    (
        "a needed key of the ConfigMap is missing",
        storage_not_optional,
        "volume 'data-sync-storage': ConfigMap 's3configmap-name' has no key 'BUCKET_REGION', and is not optional",
    ),
    (
        "a variable refers to one that is not there",
        variable({"value": "$(NOWHERE)"}),
        "container data-sync, variable X: $(NOWHERE) in '$(NOWHERE)' names no earlier variable",
    ),
    (
        "a variable refers to a Secret that is not there",
        variable({"valueFrom": {"secretKeyRef": {"name": "nobody", "key": "k"}}}),
        "container data-sync, variable X: Secret 'nobody' does not exist",
    ),
    (
        "a variable refers to a key that is not there",
        variable({"valueFrom": {"configMapKeyRef": {"name": "s3configmap-name", "key": "k"}}}),
        "container data-sync, variable X: ConfigMap 's3configmap-name' has no key 'k'",
    ),
    (
        "a variable refers to a field that no pod has",
        variable({"valueFrom": {"fieldRef": {"fieldPath": "spec.colour"}}}),
        "container data-sync, variable X: the field 'spec.colour' is none that a pod can refer to",
    ),
    (
        "a container has neither an image here nor a stand-in",
        unknown_container,
        "container proxy: there are no images here, and no stand-in for this container",
    ),
]


@pytest.mark.parametrize(("change", "sentence"), [case[1:] for case in LACKS], ids=[case[0] for case in LACKS])
def test_a_pod_that_lacks_something_is_refused_with_a_sentence(
    pod: Json, tmp_path: Path, change: Callable[[Json], None], sentence: str
) -> None:
    change(pod)
    with pytest.raises(NotRunnable) as refusal:
        prepare(pod, tmp_path)
    assert sentence in str(refusal.value)


def test_a_needed_config_map_that_is_absent_is_named(pod: Json, tmp_path: Path) -> None:
    storage_not_optional(pod)
    with pytest.raises(NotRunnable, match="ConfigMap 's3configmap-name' does not exist, and is not optional"):
        prepare(pod, tmp_path, manifests=())


def shell(name: str, script: str, *, once: bool) -> Prepared:
    return Prepared(name, program(["sh", "-c", script]), {"GREETING": "hello"}, {}, once)


def test_an_init_container_that_fails_keeps_the_others_from_starting(pod: Json, tmp_path: Path) -> None:
    runner = PodRunner(pod, Facts(NODE), tmp_path, {})
    containers = [shell("first", "echo $GREETING; exit 3", once=True), shell("second", "exec sleep 60", once=False)]
    with pytest.raises(NotRunnable, match="init container first ended with 3") as failure:
        runner.start(containers)
    assert list(runner.processes) == ["first"]
    assert failure.value.log is not None
    assert failure.value.log.read_text() == "hello\n"


def test_a_program_that_does_not_exist_is_named(pod: Json, tmp_path: Path) -> None:
    runner = PodRunner(pod, Facts(NODE), tmp_path, {})
    with pytest.raises(NotRunnable, match="container app: no-such-program: No such file"):
        runner.start([Prepared("app", ["no-such-program"], {}, {}, once=False)])


def test_a_container_that_ends_by_itself_is_found(pod: Json, tmp_path: Path) -> None:
    runner = PodRunner(pod, Facts(NODE), tmp_path, {})
    runner.start([shell("setup", "true", once=True), shell("app", "exec sleep 60", once=False)])
    assert runner.ended() is None
    runner.processes["app"].stop(5)
    ended = runner.ended()
    assert ended is not None
    assert ended.name == "app"


def test_a_container_that_ignores_the_signal_is_killed(pod: Json, tmp_path: Path) -> None:
    runner = PodRunner(pod, Facts(NODE), tmp_path, {})
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # inherited: there is no moment at which it would obey
    try:
        runner.start([shell("stubborn", "exec sleep 60", once=False)])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert runner.stop(0.1) == {"stubborn": -signal.SIGKILL}


def test_nothing_of_this_process_reaches_a_container(
    pod: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the person who runs the demo")
    runner = PodRunner(pod, Facts(NODE), tmp_path, {})
    runner.start([shell("app", "env", once=True)])
    assert "AWS_SECRET_ACCESS_KEY" not in runner.processes["app"].log.read_text()
