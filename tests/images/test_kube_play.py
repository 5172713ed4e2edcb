"""What ``python -m webhook inject --for podman`` prints is played by podman, and files arrive in a bucket.

The pod shares the host's network (podman's own networks need more rights than a test has), so the
sidecar reaches the real S3 server on loopback.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from contract.storage import Storage
from demo.bucket import Bucket
from demo.runner import free_port
from demo.s3server import S3Server
from tests.images.building import ROOT, base_image, podman

pytestmark = [pytest.mark.timeout(600), pytest.mark.parametrize("image", ["sidecar"], indirect=True)]

POD = "data-sync-play"
COLLECTOR = "mkdir -p /export/stats && echo measured > /export/stats/a.txt && exec sleep 600"


def pod_manifest() -> dict[str, Any]:
    ours = "data-sync.project-flotta.io"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": POD,
            "namespace": "edge",
            "labels": {f"{ours}/inject": "enabled"},
            "annotations": {
                f"{ours}/egress": '[{"source": "stats", "target": "statistics"}]',
                f"{ours}/s3-config-map": "play-config",
                f"{ours}/s3-secret": "play-keys",
                f"{ours}/interval": "1s",
            },
        },
        "spec": {
            "hostNetwork": True,
            "containers": [
                {
                    "name": "collector",
                    "image": base_image("sidecar"),
                    "imagePullPolicy": "Never",
                    "command": ["sh", "-c", COLLECTOR],
                }
            ],
        },
    }


def injected(directory: Path, port: int) -> dict[str, Any]:
    """The pod as our command prints it, with what this machine needs of podman."""
    manifest = directory / "pod.yaml"
    manifest.write_text(yaml.safe_dump(pod_manifest()))
    result = subprocess.run(
        [sys.executable, "-m", "webhook", "inject", "--for", "podman", "-f", str(manifest)],
        cwd=ROOT,
        env={
            "WEBHOOK_SIDECAR_IMAGE": "localhost/data-sync-sidecar:test",
            "WEBHOOK_EXPORT_ROOT": str(directory / "volumes"),
            "WEBHOOK_CATALOG": "none",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    pod: dict[str, Any] = yaml.safe_load(result.stdout)
    for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
        container["imagePullPolicy"] = "Never"
        for variable in container.get("env", []):
            if variable["name"] == "DATA_SYNC_LISTEN":
                variable["value"] = f"127.0.0.1:{port}"  # any that is free here
        container.pop("livenessProbe", None)  # podman 4.3 runs it through curl, which the image has not
    return pod


def store_keys(server: S3Server, bucket: str, directory: Path) -> Path:
    """Give podman the Secret, and write the ConfigMap to a file, whose path is returned."""
    keys = server.storage_files(bucket)
    data = {key: b64encode(text.encode()).decode() for key, text in keys.items() if key.startswith("AWS_")}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "play-keys"}, "data": data}
    # Podman before 4.4 plays a Secret and cannot read it back; what it reads is the map of its data.
    version = podman("version", "--format", "{{.Client.Version}}").stdout.split(".")
    stored = secret if (int(version[0]), int(version[1])) >= (4, 4) else data
    (directory / "secret.json").write_text(json.dumps(stored))
    created = podman("secret", "create", "play-keys", str(directory / "secret.json"))
    assert created.returncode == 0, created.stderr
    config = {key: text for key, text in keys.items() if key.startswith("BUCKET_")}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "play-config"}, "data": config}
    (directory / "config.yaml").write_text(yaml.safe_dump(config_map))
    return directory / "config.yaml"


@pytest.fixture
def played(image: str, tmp_path: Path, s3_server: S3Server, storage: Storage) -> Iterator[Path]:
    """The pod, running; gives the directory that holds its volumes."""
    tmp_path.chmod(0o755)
    (tmp_path / "volumes" / "edge" / POD).mkdir(parents=True)
    config = store_keys(s3_server, storage.bucket, tmp_path)
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(injected(tmp_path, free_port())))
    result = podman("kube", "play", f"--configmap={config}", f"{tmp_path}/pod.yaml")
    try:
        assert result.returncode == 0, result.stderr
        yield tmp_path / "volumes"
    finally:
        podman("pod", "rm", "--force", "--time=10", POD)
        podman("secret", "rm", "play-keys")


def logs() -> str:
    result = podman("pod", "logs", POD)
    return result.stdout + result.stderr


def test_a_played_pod_sends_its_files(played: Path, storage: Storage) -> None:
    bucket = Bucket(storage)
    try:
        deadline = time.monotonic() + 120
        while bucket.contents("statistics/") != {"a.txt": b"measured\n"}:
            assert time.monotonic() < deadline, logs()
            time.sleep(0.5)
    finally:
        bucket.close()
    assert (played / "edge" / POD / "stats" / "a.txt").read_text() == "measured\n"
