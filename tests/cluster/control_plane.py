"""A control plane of one's own, from the binaries in ``KUBEBUILDER_ASSETS``: etcd, kube-apiserver, and the
controller manager where it is among them (envtest has none: namespaces then never end, owners collect nothing).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from ssl import create_default_context
from typing import Final, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from demo.runner import free_port

_TOKEN: Final = "administrator-of-the-tests"
_PATIENCE: Final = 120.0  # seconds for a server to answer
NEEDED: Final = ("etcd", "kube-apiserver")


class ControlPlane:
    """``with ControlPlane(assets, directory) as plane``: runs until the block is left; ``kubeconfig`` is its file."""

    def __init__(self, assets: Path, directory: Path) -> None:
        self._assets, self._directory = assets, directory
        self._ports = {name: free_port() for name in ("etcd", "peer", "api", "manager")}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.kubeconfig = directory / "kubeconfig"

    def __enter__(self) -> Self:
        self._write_keys()
        try:
            self._start("etcd", *self._etcd())
            self.start_api()
            if (self._assets / "kube-controller-manager").exists():
                self._start("kube-controller-manager", *self._manager())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running)[::-1]:
            self._kill(name)

    def start_api(self) -> None:
        """Start the API server, and wait until it answers; with the objects it had."""
        self._start("kube-apiserver", *self._api())
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            process = self._running["kube-apiserver"]
            log = (self._directory / "kube-apiserver.log").read_text(errors="replace")[-2000:]
            assert process.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.1)
        self._write_kubeconfig()

    def kill_api(self) -> None:
        """End the API server as a crash does."""
        self._kill("kube-apiserver")

    def _etcd(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{self._ports[name]}" for name in ("etcd", "peer"))
        config = {
            "name": "tests",
            "data-dir": f"{self._directory}/etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"tests={peer}",
            "unsafe-no-fsync": True,
        }
        file = self._directory / "etcd.json"
        file.write_text(json.dumps(config))
        return [f"--config-file={file}"]

    def _api(self) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self._ports['etcd']}",
            f"--cert-dir={self._directory}/api",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--secure-port={self._ports['api']}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._directory}/accounts.pub",
            f"--service-account-signing-key-file={self._directory}/accounts.key",
            f"--token-auth-file={self._directory}/tokens",
            "--authorization-mode=RBAC",
        ]

    def _manager(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={self._directory}/accounts.key",
            f"--secure-port={self._ports['manager']}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            f"--cert-dir={self._directory}/manager",
        ]

    def _start(self, name: str, *options: str) -> None:
        with open(self._directory / f"{name}.log", "ab") as log:
            command = [str(self._assets / name), *options]
            self._running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _kill(self, name: str) -> None:
        process = self._running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _answers(self) -> bool:
        certificate = self._directory / "api" / "apiserver.crt"
        if not certificate.exists():
            return False
        url = f"https://127.0.0.1:{self._ports['api']}/readyz"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {_TOKEN}"})
        with (
            suppress(OSError),
            urllib.request.urlopen(request, timeout=5, context=create_default_context(cafile=certificate)) as answer,
        ):
            return bool(answer.status == 200)
        return False

    def _write_keys(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self._directory / "accounts.key").write_bytes(private)
        (self._directory / "accounts.pub").write_bytes(public)
        (self._directory / "tokens").write_text(f"{_TOKEN},administrator,administrator,system:masters\n")

    def _write_kubeconfig(self) -> None:
        authority = str(self._directory / "api" / "apiserver.crt")
        server = {"server": f"https://127.0.0.1:{self._ports['api']}", "certificate-authority": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "clusters": [{"name": "tests", "cluster": server}],
            "users": [{"name": "tests", "user": {"token": _TOKEN}}],
        }
        self.kubeconfig.write_text(json.dumps(config))
