"""Details of what a pod gets that golden pods would only show one at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contract import names
from webhook.admit import process
from webhook.catalog import EmptyCatalog
from webhook.containers import LOOPBACK_PORTS
from webhook.decision import Deny, Inject
from webhook.injection_settings import InjectionSettings
from webhook.pods import Json
from webhook.volumes import storage


def injected(containers: list[Json] | None = None, annotations: dict[str, str] | None = None, **spec: Any) -> Json:
    pod = {
        "metadata": {
            "name": "web",
            "labels": {names.INJECT: names.ENABLED},
            "annotations": {names.S3_CONFIG_MAP: "c", names.S3_SECRET: "s", **(annotations or {})},
        },
        "spec": {"containers": containers or [{"name": "app", "image": "a"}], **spec},
    }
    outcome = process(pod, "edge", EmptyCatalog(), InjectionSettings())
    assert isinstance(outcome.decision, Inject), outcome.decision
    return outcome.pod


def ours(pod: Json) -> tuple[Json, Json]:
    """Init container and sidecar."""
    init, sidecar = pod["spec"]["initContainers"][:2]
    assert (init["name"], sidecar["name"]) == (names.INIT_CONTAINER, names.SIDECAR_CONTAINER)
    return init, sidecar


def env(container: Json) -> dict[str, str]:
    return {item["name"]: item["value"] for item in container["env"] if "value" in item}


@pytest.mark.parametrize(
    ("seconds", "grace"), [(None, "25s"), (30, "25s"), (300, "295s"), (10, "5s"), (6, "3s"), (1, "500ms"), (0, "500ms")]
)
def test_the_grace_period_leaves_time_to_end(seconds: int | None, grace: str) -> None:
    spec: Json = {} if seconds is None else {"terminationGracePeriodSeconds": seconds}
    assert env(ours(injected(**spec))[1])["DATA_SYNC_GRACE_PERIOD"] == grace


def test_a_port_that_the_pod_uses_is_left_to_it() -> None:
    pod = injected([{"name": "app", "image": "a", "ports": [{"containerPort": names.PORT}]}])
    sidecar = ours(pod)[1]
    (port,) = sidecar["ports"]
    assert port["containerPort"] in LOOPBACK_PORTS
    assert sidecar["livenessProbe"]["httpGet"]["port"] == port["containerPort"]
    assert env(sidecar)["DATA_SYNC_LISTEN"] == f"0.0.0.0:{port['containerPort']}"
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])


def test_under_host_network_every_declared_port_is_avoided() -> None:
    first = env(ours(injected(hostNetwork=True))[1])["DATA_SYNC_LISTEN"]
    number = int(first.removeprefix("127.0.0.1:"))
    second = env(ours(injected([{"name": "a", "ports": [{"hostPort": number}]}], hostNetwork=True))[1])
    assert second["DATA_SYNC_LISTEN"] == f"127.0.0.1:{number + 1}"


def test_user_and_group_of_the_pod_reach_the_init_container() -> None:
    init, sidecar = ours(injected(securityContext={"runAsUser": 1000, "fsGroup": 2000}))
    assert init["args"] == ["--uid", "1000", "--gid", "2000"]
    assert init["securityContext"]["runAsUser"] == 0
    assert sidecar["securityContext"]["runAsUser"] == 1000
    assert sidecar["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_pod_that_runs_as_root_gets_a_sidecar_that_may_read_everything() -> None:
    init, sidecar = ours(injected(securityContext={"runAsUser": 0}))
    assert init["args"] == ["--uid", "0"]
    assert sidecar["securityContext"]["capabilities"]["add"] == ["CHOWN", "DAC_OVERRIDE", "FOWNER"]
    assert sidecar["securityContext"]["runAsNonRoot"] is False


def test_the_gate_waits_for_weeks() -> None:
    probe = ours(injected(annotations={names.WAIT_FOR_INGRESS: "true"}))[1]["startupProbe"]
    assert probe["httpGet"]["path"] == "/readyz"
    assert probe["failureThreshold"] * probe["periodSeconds"] > 14 * 24 * 3600


def test_without_the_gate_nothing_delays_the_start() -> None:
    sidecar = ours(injected())[1]
    assert {"startupProbe", "readinessProbe"} & set(sidecar) == set()


def test_ephemeral_containers_are_left_alone() -> None:
    debug = [{"name": "debug", "image": "a"}]
    assert injected(ephemeralContainers=debug)["spec"]["ephemeralContainers"] == debug


def test_a_claim_comes_beside_external_storage() -> None:
    sources = storage("camera-7", "c", "")["projected"]["sources"]
    kinds = [(kind, source["name"], source["items"][0]["path"]) for item in sources for kind, source in item.items()]
    assert kinds == [
        ("configMap", "camera-7", "claim/BUCKET_NAME"),
        ("secret", "camera-7", "claim/AWS_ACCESS_KEY_ID"),
        ("configMap", "c", "external/BUCKET_NAME"),
    ]
    assert all(source["optional"] is True for item in sources for source in item.values())


OVERRIDE = {"name": names.SIDECAR_CONTAINER, "image": "auto"}


def override(**fields: Any) -> Deny | Inject:
    pod = {
        "metadata": {
            "name": "web",
            "labels": {names.INJECT: names.ENABLED},
            "annotations": {names.S3_CONFIG_MAP: "c", names.S3_SECRET: "s"},
        },
        "spec": {"containers": [{"name": "app", "image": "a"}, {**OVERRIDE, **fields}]},
    }
    decision = process(pod, "edge", EmptyCatalog(), InjectionSettings()).decision
    assert isinstance(decision, Deny | Inject)
    return decision


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"image": "mine:1"}, "'image'", id="an image"),
        pytest.param({"command": ["sh"]}, "'command'", id="a command"),
        pytest.param({"volumeMounts": [{"name": "x", "mountPath": "/x"}]}, "'volumeMounts'", id="a mount"),
        pytest.param({"resources": "many"}, "resources", id="resources that are none"),
        pytest.param({"env": [{"name": "HOME", "value": "/"}]}, "'HOME'", id="a variable that is no tunable"),
        pytest.param({"env": [{"name": "DATA_SYNC_MIN_FREE", "value": "200%"}]}, "'200%'", id="a share over all"),
        pytest.param({"env": [{"name": "DATA_SYNC_LOG_LEVEL", "value": "loud"}]}, "'loud'", id="an unknown log level"),
        pytest.param(
            {"env": [{"name": "DATA_SYNC_BANDWIDTH", "valueFrom": {"secretKeyRef": {}}}]},
            "plain value",
            id="a reference",
        ),
    ],
)
def test_an_override_of_anything_else_is_denied_by_name(fields: Json, said: str) -> None:
    decision = override(**fields)
    assert isinstance(decision, Deny)
    assert said in decision.message


def test_what_the_api_server_adds_to_an_override_is_no_override() -> None:
    token = [{"name": "kube-api-access-x", "mountPath": names.SERVICE_ACCOUNT_DIR, "readOnly": True}]
    assert isinstance(override(volumeMounts=token, terminationMessagePolicy="File", resources={}), Inject)


def test_two_overrides_are_denied() -> None:
    pod_spec = {"containers": [{"name": "app"}, OVERRIDE], "initContainers": [OVERRIDE]}
    metadata = {"name": "web", "labels": {names.INJECT: names.ENABLED}}
    decision = process({"metadata": metadata, "spec": pod_spec}, "edge", EmptyCatalog(), InjectionSettings()).decision
    assert isinstance(decision, Deny)
    assert "twice" in decision.message


def again(pod: Json) -> Json:
    return process(pod, "edge", EmptyCatalog(), InjectionSettings()).pod


def test_what_others_gave_to_our_containers_stays() -> None:
    pod = injected()
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
    defaults = {"imagePullPolicy": "IfNotPresent", "terminationMessagePolicy": "File"}
    for container in ours(pod):
        container.update(defaults)
        container["env"].append(proxy)
    assert again(pod) == pod


def test_what_others_wrote_over_our_variables_does_not_stay() -> None:
    pod = injected()
    expected = injected()
    ours(pod)[1]["env"] += [{"name": "DATA_SYNC_EXPORT_DIR", "value": "/"}, {"name": "DATA_SYNC_EGRESS", "value": "x"}]
    assert again(pod) == expected


def test_overrides_survive_a_second_admission() -> None:
    tuned = {**OVERRIDE, "env": [{"name": "DATA_SYNC_BANDWIDTH", "value": "2M"}], "resources": {"limits": {"cpu": "2"}}}
    once = injected([{"name": "app", "image": "a"}, tuned])
    assert env(ours(once)[1])["DATA_SYNC_BANDWIDTH"] == "2M"
    assert ours(once)[1]["resources"] == {"limits": {"cpu": "2"}}
    assert again(once) == once


def test_a_block_device_below_export_is_denied() -> None:
    app = {"name": "app", "image": "a", "volumeDevices": [{"name": "disk", "devicePath": "export/disk"}]}
    metadata = {"name": "web", "labels": {names.INJECT: names.ENABLED}}
    pod = {"metadata": metadata, "spec": {"containers": [app]}}
    decision = process(pod, "edge", EmptyCatalog(), InjectionSettings()).decision
    assert isinstance(decision, Deny)
    assert "'export/disk'" in decision.message


@pytest.mark.parametrize(
    ("path", "taken"),
    [("/export", True), ("/export/", True), ("//export/x", True), ("/a/../export", True), ("export", True),
     ("/exports", False), ("/data/export", False), ("/", False), (None, False)],
)  # fmt: skip
def test_what_counts_as_below_export(path: str | None, taken: bool) -> None:
    from webhook.decision import _in_export

    assert _in_export(path) is taken


AS_USER: Json = {"securityContext": {"runAsUser": 1000}}


def with_volume(volume: str, mode: str, scope: str = "workload") -> Json:
    annotations = {names.VOLUME: volume, names.SIDECAR_MODE: mode, names.EXPORT_SCOPE: scope}
    return injected(annotations=annotations, **AS_USER)


@pytest.mark.parametrize("volume", ["emptyDir", "pvc:data"])
@pytest.mark.parametrize("scope", ["workload", "pod"])
def test_a_sidecar_that_is_not_root_has_kubelet_make_its_directory(volume: str, scope: str) -> None:
    pod = with_volume(volume, "native", scope)
    (sidecar,) = pod["spec"]["initContainers"]
    own = next(mount for mount in sidecar["volumeMounts"] if mount["mountPath"] == "/run/data-sync/own")
    where = {"subPathExpr": "$(POD_NAME)/.data-sync"} if scope == "pod" else {"subPath": ".data-sync"}
    assert own == {"name": "export-web", "mountPath": "/run/data-sync/own", "readOnly": True, **where}


def test_a_classic_sidecar_that_is_not_root_has_its_directory_made_before_any_other_container() -> None:
    pod = with_volume("emptyDir", "classic")
    (init,) = pod["spec"]["initContainers"]
    assert init["name"] == names.INIT_CONTAINER
    assert init["securityContext"] == pod["spec"]["containers"][-1]["securityContext"]
    assert "args" not in init


@pytest.mark.parametrize("user", [{}, {"securityContext": {"runAsUser": 0}}])
def test_a_root_sidecar_needs_neither(user: Json) -> None:
    for mode in ("native", "classic"):
        pod = injected(annotations={names.VOLUME: "emptyDir", names.SIDECAR_MODE: mode}, **user)
        assert "/run/data-sync/own" not in str(pod)
        assert names.INIT_CONTAINER not in str(pod)


HELD = "import signal; print(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, []))"


@pytest.mark.skipif(sys.platform != "linux", reason="the image's env is GNU's")
def test_sigterm_waits_from_before_python_is_there() -> None:
    command = ours(injected())[1]["command"]
    before = command[: command.index("python")]
    done = subprocess.run([*before, sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_the_image_starts_as_the_injected_container_does() -> None:
    dockerfile = Path(__file__).parents[2] / "Dockerfile.sidecar"
    assert f"ENTRYPOINT {json.dumps(ours(injected())[1]['command'])}\n" in dockerfile.read_text()
