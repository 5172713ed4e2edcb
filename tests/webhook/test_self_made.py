"""Three real webhooks that make their own certificates, on an API server in memory: kills and a lost authority.

Lifetimes are long enough that a busy machine does not break them, and short enough to see everything
happen; ``test_rotation.py`` has the days and months, in time of its own.
"""

from __future__ import annotations

import base64
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.cluster import FakeCluster
from tests.webhook.processes import HOST, Webhook, review
from tests.webhook.test_rotation import SETTINGS, configuration

CONFIGURATIONS = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
BOUND = 90.0  # seconds


class Replica(Webhook):
    """A webhook without files, told of an API server."""

    def __init__(self, directory: Path, cluster: FakeCluster) -> None:
        super().__init__(
            directory,
            KUBECONFIG=str(cluster.kubeconfig(directory / "kubeconfig")),
            WEBHOOK_TLS_CERT="",
            WEBHOOK_TLS_KEY="",
            WEBHOOK_SELF_AUTHORITY_LIFETIME="30m",
            WEBHOOK_SELF_SERVING_LIFETIME="24s",
        )

    def gone(self) -> None:
        """Wait until it is, after a kill."""
        self.process.wait(30)
        self._reader.join(30)  # the worker notices by itself that its master has gone
        assert self.process.stderr is not None
        self.process.stderr.close()

    def readiness(self) -> str:
        """What ``/readyz`` says; nothing before it listens."""
        try:
            return self.get("/readyz")[1]
        except OSError:
            return ""

    def ready(self) -> bool:
        return self.readiness() == "ready\n"

    def admit(self, bundle: bytes) -> None:
        """Ask as the API server does, trusting ``bundle`` alone."""
        context = ssl.create_default_context(cadata=bundle.decode())
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        body = json.dumps(review(POD)).encode()
        head = f"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        with (
            socket.create_connection((HOST, self.port), timeout=60) as raw,
            context.wrap_socket(raw, server_hostname=SETTINGS.names[0]) as tls,
        ):
            tls.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
            answer = b"".join(iter(lambda: tls.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]

    def verifies(self, bundle: bytes) -> bool:
        try:
            self.admit(bundle)
        except ssl.SSLCertVerificationError:
            return False
        return True


def until(true: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + BOUND
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def bundle(cluster: FakeCluster) -> bytes:
    hooks = cluster.get(CONFIGURATIONS, SETTINGS.configuration)["webhooks"]
    return base64.b64decode(hooks[0]["clientConfig"].get("caBundle", ""))


def authority(cluster: FakeCluster) -> str | None:
    secret = cluster.find("secrets", SETTINGS.secret, SETTINGS.namespace)
    return secret["data"]["ca.crt"] if secret else None


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SETTINGS.namespace}})
        cluster.create(configuration("pods.example", "namespaces.example"))
        yield cluster


@contextmanager
def load(cluster: FakeCluster, replicas: list[Replica]) -> Iterator[list[str]]:
    """Handshakes with every replica, all the time; yields what failed."""
    failed: list[str] = []
    stop = threading.Event()

    def ask(replica: Replica) -> None:
        while not stop.wait(0.05):
            try:
                replica.admit(bundle(cluster))
            except (OSError, AssertionError) as error:
                failed.append(f"{replica.port}: {error!r}")

    threads = [threading.Thread(target=ask, args=(replica,)) for replica in replicas]
    for thread in threads:
        thread.start()
    try:
        yield failed
    finally:
        stop.set()
        for thread in threads:
            thread.join(BOUND)


def test_kills_and_a_lost_authority_fail_no_handshake(tmp_path: Path, cluster: FakeCluster) -> None:
    with ExitStack() as stack:
        replicas = []
        for name in ("a", "b", "c"):
            (tmp_path / name).mkdir()
            replicas.append(stack.enter_context(Replica(tmp_path / name, cluster)))
        for replica in replicas:
            until(replica.ready, "every replica is ready")
        survivors, victim = replicas[:2], replicas[2]
        first = authority(cluster)
        with load(cluster, survivors) as failed:
            victim.process.send_signal(signal.SIGKILL)
            cluster.delete("secrets", SETTINGS.secret, SETTINGS.namespace)
            until(lambda: authority(cluster) not in (None, first), "the authority is made again")
            alone = base64.b64decode(authority(cluster) or "")
            until(lambda: all(replica.verifies(alone) for replica in survivors), "the new authority signs for all")
        assert failed == []
        victim.gone()


def test_it_is_not_ready_before_there_is_a_configuration_and_says_so(tmp_path: Path, cluster: FakeCluster) -> None:
    cluster.delete(CONFIGURATIONS, SETTINGS.configuration)
    with Replica(tmp_path, cluster) as replica:
        until(lambda: "no webhook configuration" in replica.readiness(), "it says why")
        assert replica.get("/livez")[0] == 200
        with pytest.raises(OSError, match=r"(?i)ssl|reset|closed|eof"):
            replica.admit(replica.authority.certificate_pem)
        cluster.create(configuration("pods.example"))
        until(replica.ready, "it is ready")
        replica.admit(bundle(cluster))
        assert "data_sync_certificate_expiry_timestamp_seconds" in replica.get("/metrics")[1]


def test_without_files_and_without_a_cluster_it_says_what_is_missing(tmp_path: Path, cluster: FakeCluster) -> None:
    env = {key: text for key, text in Replica(tmp_path, cluster).env.items() if key != "KUBECONFIG"}
    done = subprocess.run(
        [sys.executable, "-m", "webhook"], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "WEBHOOK_TLS_CERT" in done.stderr
    assert "KUBECONFIG" in done.stderr
