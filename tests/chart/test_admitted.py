"""What ``helm test`` runs in a pod, run here: beside a real sidecar and a real bucket, and beside nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract import names
from demo.s3server import S3Server
from release.helm import CHART
from tests.chart.rendered import objects, only
from tests.walks.sidecar_process import SidecarProcess
from tests.walks.test_sidecar import Bucket
from webhook.admit import process
from webhook.catalog import EmptyCatalog, NamespaceFacts
from webhook.decision import Inject
from webhook.injection_settings import InjectionSettings

SCRIPT = CHART / "files" / "admitted.py"
OUTBOX = [{"source": "outbox", "target": "helm-test"}]


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[Bucket]:
    bucket = Bucket(s3_server)
    yield bucket
    s3_server.delete_bucket(bucket.name)


def run(export: Path, port: int | None, **env: str) -> subprocess.CompletedProcess[str]:
    variables = {"STATUS_URL": f"http://127.0.0.1:{port}/status", "EXPORT_DIR": str(export), "PATIENCE": "60", **env}
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT)],
        env={"PATH": os.environ["PATH"], "HOSTNAME": "data-sync-test", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_given_a_bucket_it_sees_its_file_arrive(tmp_path: Path, bucket: Bucket) -> None:
    with SidecarProcess(tmp_path, egress=OUTBOX, files=bucket.files) as sidecar:
        done = run(sidecar.export, sidecar._port, OUTBOX="outbox")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(bucket.objects().values()) == ["written by helm test\n"]
    assert all(key.startswith("helm-test/data-sync-test-") for key in bucket.objects())


def test_without_one_it_sees_that_it_was_admitted(tmp_path: Path) -> None:
    with SidecarProcess(tmp_path, egress=OUTBOX) as sidecar:
        done = run(sidecar.export, sidecar._port)
    assert (done.returncode, done.stderr) == (0, "")
    assert "admitted" in done.stdout


def test_a_file_that_does_not_arrive_is_named_with_what_the_sidecar_says(tmp_path: Path) -> None:
    with SidecarProcess(tmp_path, egress=OUTBOX) as sidecar:
        done = run(sidecar.export, sidecar._port, OUTBOX="outbox", PATIENCE="2")
    assert done.returncode == 1
    assert "was not sent" in done.stderr
    assert "Missing field BUCKET_NAME" in done.stderr


def test_a_pod_that_was_not_injected_is_told_so(tmp_path: Path) -> None:
    done = run(tmp_path / "nothing", 1)
    assert done.returncode == 1
    assert "did not inject" in done.stderr


def test_a_sidecar_that_does_not_answer_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, 1, PATIENCE="0.1")
    assert done.returncode == 1
    assert "does not answer" in done.stderr


@pytest.mark.parametrize("level", ["privileged", "baseline", "restricted"])
def test_the_pod_of_the_chart_is_injected_where_pods_are_held_to(level: str) -> None:
    values = {"test": {"bucket": {"configMap": "c", "secret": "s", "target": "here"}}}
    pod = only(objects(values), "Pod", "data-sync-test")
    catalog = EmptyCatalog()
    catalog.namespaces["data-sync"] = NamespaceFacts(labels={"pod-security.kubernetes.io/enforce": level})
    outcome = process(pod, "data-sync", catalog, InjectionSettings())
    assert isinstance(outcome.decision, Inject)
    assert json.loads(outcome.pod["metadata"]["annotations"][names.MAPPINGS])["egress"][0]["target"] == "here"
    assert pod["metadata"]["labels"].get("app.kubernetes.io/part-of") is None  # it is no pod of our own
