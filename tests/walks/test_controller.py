"""The controller as a process: started as in its image, probed, scraped, and ended by SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from contract.names import DEVICE_FINALIZER
from demo.runner import free_port
from tests.fakes import definitions
from tests.fakes.cluster import FakeCluster
from tests.scenarios.world import device

ROOT = Path(__file__).resolve().parents[2]
DEVICES = "edgedevices.management.project-flotta.io"


def until(check: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not check():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def fetched(port: int, path: str) -> tuple[int, str]:
    """Status and text; status 0 where nobody listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_a_controller_lives_from_start_to_sigterm(tmp_path: Path) -> None:
    with FakeCluster() as fake:
        fake.define(*definitions.own(), definitions.object_bucket_claims())
        port = free_port()
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CONTROLLER_", "POD_"))},
            "KUBECONFIG": str(fake.kubeconfig(tmp_path / "kubeconfig")),
            "CONTROLLER_METRICS_LISTEN": f"127.0.0.1:{port}",
        }
        command = [sys.executable, "-m", "controller"]
        with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as process:
            try:
                until(lambda: fetched(port, "/readyz")[0] == 200, process)
                fake.create(device("thing", "default"))
                until(lambda: fake.find("objectbucketclaims.objectbucket.io", "thing"), process)
                until(lambda: "status" in fake.get(DEVICES, "thing"), process)
                assert fake.get(DEVICES, "thing")["metadata"]["finalizers"] == [DEVICE_FINALIZER]
                until(lambda: 'data_sync_claims{phase="Pending"} 1.0' in fetched(port, "/metrics")[1], process)
                assert fetched(port, "/livez") == (200, "working\n")
                process.send_signal(signal.SIGTERM)
                _, said = process.communicate(timeout=60)
                assert process.returncode == 0, said
            finally:
                process.kill()
        assert "Traceback" not in said
        assert fake.get("leases.coordination.k8s.io", "data-sync-controller")["spec"]["holderIdentity"] == ""


def test_a_wrong_setting_is_told_and_nothing_starts() -> None:
    env = {**os.environ, "CONTROLLER_WORKERS": "none", "CONTROLLER_OBC_RECLAIM_POLICY": "Recycle"}
    command = [sys.executable, "-m", "controller"]
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "CONTROLLER_WORKERS" in result.stderr
    assert "CONTROLLER_OBC_RECLAIM_POLICY" in result.stderr
