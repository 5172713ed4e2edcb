"""Real Prometheus on a real sidecar and webhook: it finds them as the webhook says, and every query has an answer."""

from __future__ import annotations

import base64
import json
import re
import secrets
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jsonpatch
import pytest
import yaml

from controller.metrics import Metrics as ControllerMetrics
from demo.s3server import S3Server
from release import logs_table
from release.panels import ROWS, Panel, expressions
from runtime.endpoints import Check, Endpoints
from tests.monitoring.server import Prometheus
from tests.monitoring.test_alerts import FILE, ROOT, RULES
from tests.monitoring.tools import tool
from tests.walks.sidecar_process import SidecarProcess
from tests.webhook.processes import Webhook, review

PANELS = [panel for panels in ROWS.values() for panel in panels]
POD_META = "__meta_kubernetes_pod_"
# As Prometheus' own example for Kubernetes has it.
BY_ANNOTATION: list[dict[str, Any]] = [
    {"source_labels": [f"{POD_META}annotation_prometheus_io_scrape"], "action": "keep", "regex": "true"},
    {
        "source_labels": [f"{POD_META}annotation_prometheus_io_path"],
        "regex": "(.+)",
        "target_label": "__metrics_path__",
    },
    {
        "source_labels": ["__address__", f"{POD_META}annotation_prometheus_io_port"],
        "regex": r"([^:]+)(?::\d+)?;(\d+)",
        "replacement": "$1:$2",
        "target_label": "__address__",
    },
    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
    {"source_labels": [f"{POD_META}name"], "target_label": "pod"},
]


def pod_monitor_relabelings() -> list[dict[str, Any]]:
    """What the chart's PodMonitor for sidecars adds, as Prometheus itself spells it."""
    text = (ROOT / "charts" / "data-sync" / "templates" / "common-podmonitor.yaml").read_text()
    block = text.rpartition("relabelings:\n")[2].partition("{{- end }}")[0]
    rules = yaml.safe_load(textwrap.dedent(block))
    return [
        {re.sub("[A-Z]", lambda one: f"_{one[0].lower()}", key): value for key, value in one.items()} for one in rules
    ]


def injected(webhook: Webhook) -> dict[str, Any]:
    """The sample pod as the API server would store it."""
    pod = yaml.safe_load((ROOT / "manifests" / "samples" / "pod-os-stats.yaml").read_text())
    code, answer = webhook.post(json.dumps(review(pod)).encode())
    assert code == 200
    patch = json.loads(base64.b64decode(answer["response"]["patch"]))
    whole: dict[str, Any] = jsonpatch.apply_patch(pod, patch)
    return whole


def pod_target(pod: dict[str, Any], address: str) -> dict[str, Any]:
    """What Prometheus' discovery says of ``pod`` at ``address``."""
    annotations = {
        f"{POD_META}annotation_{re.sub('[^a-zA-Z0-9]', '_', key)}": value
        for key, value in pod["metadata"]["annotations"].items()
    }
    meta = {
        "__meta_kubernetes_namespace": "edge",
        f"{POD_META}name": pod["metadata"]["name"],
        f"{POD_META}node_name": "edge-17",
        f"{POD_META}controller_name": "os-stats-set",
    }
    return {"targets": [address], "labels": {**meta, **annotations}}


@dataclass(frozen=True)
class Scene:
    prometheus: Prometheus
    sidecar: SidecarProcess
    keys: dict[str, str]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Iterator[Scene]:
    program = tool("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    bucket = f"scrape-{secrets.token_hex(6)}"
    s3_server.create_bucket(bucket)
    keys = s3_server.storage_files(bucket)
    # An address of its own on loopback, as each pod has its own: so the port can be the real one.
    address = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250) + 1}.{secrets.randbelow(250) + 1}"
    with Webhook(tmp_path_factory.mktemp("webhook")) as webhook:
        pod = injected(webhook)
        port = pod["metadata"]["annotations"]["prometheus.io/port"]
        sidecar = SidecarProcess(
            tmp_path_factory.mktemp("sidecar"),
            egress=[{"source": "stats", "target": "statistics"}],
            ingress=[{"source": "remote", "target": "in"}],
            files=keys,
            DATA_SYNC_LISTEN=f"{address}:{port}",
        )
        (sidecar.export / "stats").mkdir()
        (sidecar.export / "stats" / "a").write_text("1")
        with sidecar, controller() as controller_port:
            others = {"webhook": webhook.metrics_port, "controller": controller_port}
            jobs = [
                {
                    "job_name": "pods",
                    "relabel_configs": BY_ANNOTATION + pod_monitor_relabelings(),
                    "static_configs": [pod_target(pod, address)],
                },
                *(
                    {
                        "job_name": name,
                        "static_configs": [{"targets": [f"127.0.0.1:{number}"], "labels": {"pod": name}}],
                    }
                    for name, number in others.items()
                ),
            ]
            with Prometheus(program, tmp_path_factory.mktemp("prometheus"), jobs, [FILE]) as prometheus:
                yield Scene(prometheus, sidecar, keys)
    s3_server.delete_bucket(bucket)


class controller:  # noqa: N801 - reads as a word in a with statement
    """The controller's metrics on a listener of its own; its cluster is elsewhere."""

    def __enter__(self) -> int:
        well = Check(True, "ok")
        registry = ControllerMetrics().registry
        self._endpoints = Endpoints("127.0.0.1:0", livez=lambda: well, readyz=lambda: well, registry=registry)
        return self._endpoints.start()

    def __exit__(self, *_: object) -> None:
        self._endpoints.stop()


def test_the_pod_is_found_by_what_the_webhook_wrote(scene: Scene) -> None:
    ask = scene.prometheus.query
    scene.prometheus.wait_for(lambda: len(ask("up == 1")) == 3, "all three programs are scraped")
    (found,) = scene.prometheus.wait_for(lambda: ask("data_sync_lock_held"), "the sidecar's gauges are there")
    labels = found["metric"]
    assert labels["namespace"] == "edge"
    assert labels["pod"] == "os-stats"
    assert labels["node"] == labels["device"] == "edge-17", "a pod that names no device is known by its node"
    assert labels["workload"] == "os-stats-set"
    assert labels["instance"].endswith(":9346")
    scene.prometheus.wait_for(lambda: ask("abs(data_sync_clock_skew_seconds) < 60"), "the clocks were compared")


def test_prometheus_takes_every_rule_and_a_healthy_system_wakes_nobody(scene: Scene) -> None:
    ask = scene.prometheus.query
    both = "count(data_sync_last_success_timestamp_seconds) == 2"
    scene.prometheus.wait_for(lambda: ask(both), "both directions are complete")

    def health() -> dict[str, str]:
        groups = scene.prometheus.get("rules")["groups"]
        return {rule["name"]: rule["health"] + rule.get("lastError", "") for group in groups for rule in group["rules"]}

    scene.prometheus.wait_for(lambda: "unknown" not in health().values(), "each rule was evaluated")
    assert health() == dict.fromkeys(RULES, "ok")
    assert ask('ALERTS{alertstate="firing"}') == []


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_no_panel_is_empty_on_a_fresh_install(scene: Scene, panel: Panel) -> None:
    for query in expressions(panel).values():
        whole = query.replace("$__rate_interval", "1m")
        whole = re.sub(r"\$(?:namespace|device|workload)\b", ".*", whole)
        scene.prometheus.wait_for(partial(scene.prometheus.query, whole), f"{whole} has an answer")


def test_refused_keys_reach_an_alert_with_its_sentence(scene: Scene) -> None:
    scene.sidecar.set_storage({**scene.keys, "AWS_SECRET_ACCESS_KEY": "not-the-secret"})

    def refused() -> list[dict[str, Any]]:
        alerts = scene.prometheus.get("alerts")["alerts"]
        return [one for one in alerts if one["labels"]["alertname"] == "DataSyncCredentialsRejected"]

    try:
        found = scene.prometheus.wait_for(refused, "the alert is pending")
    finally:
        scene.sidecar.set_storage(scene.keys)
    assert found[0]["labels"]["severity"] == "critical"
    assert found[0]["annotations"]["description"].startswith("In pod edge/os-stats the bucket refuses ")


def test_what_the_sidecar_logs_is_what_the_table_says(scene: Scene) -> None:
    known = {line.message: {*line.fields, "time", "level", "logger", "message"} for line in logs_table.lines()}
    lines = scene.sidecar.lines()
    assert {line["message"] for line in lines} >= {"settings", "listening", "storage configured", "uploaded", "cycle"}
    assert [line for line in lines if not set(line) <= known.get(line["message"], set())] == []
