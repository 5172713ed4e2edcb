"""The real webhook as a process of its own, over TLS with an authority of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from webhook.certificates import KeyPair, issue, make_authority

HOST = "127.0.0.1"
_START = 30.0  # seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Webhook:
    """``python -m webhook`` on free ports; leaving the context ends it."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.authority = make_authority("test authority", timedelta(hours=1))
        self.certificate, self.key = directory / "tls.crt", directory / "tls.key"
        self.port, self.metrics_port = free_port(), free_port()
        self.log: list[dict[str, Any]] = []
        self._listening = threading.Event()
        self.install(self.leaf())
        self.env = {
            "PATH": os.environ["PATH"],
            "WEBHOOK_CATALOG": "none",
            "WEBHOOK_LISTEN": f"{HOST}:{self.port}",
            "WEBHOOK_METRICS_LISTEN": f"{HOST}:{self.metrics_port}",
            "WEBHOOK_TLS_CERT": str(self.certificate),
            "WEBHOOK_TLS_KEY": str(self.key),
            **variables,
        }

    def leaf(self) -> KeyPair:
        return issue(self.authority, [HOST], timedelta(minutes=30))

    def install(self, pair: KeyPair) -> None:
        """Put a new pair in place, file by file: for a moment they do not belong together."""
        for path, content in ((self.certificate, pair.certificate_pem), (self.key, pair.key_pem)):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(content)
            fresh.replace(path)

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "webhook"], env=self.env, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._listening.wait(_START), "the webhook did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.terminate()
        code = self.process.wait(30)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(json.loads(line))
            if str(self.log[-1]["message"]).startswith("Booting worker"):
                self._listening.set()
        self._listening.set()  # it ended: nobody shall wait for it

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority.certificate_pem.decode())
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    def connect(self, context: ssl.SSLContext | None = None) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(HOST, self.port, context=context or self.context(), timeout=30)

    def post(self, body: bytes, content_type: str = "application/json") -> tuple[int, Any]:
        connection = self.connect()
        try:
            return ask(connection, body, content_type)
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(HOST, self.metrics_port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


def ask(connection: http.client.HTTPConnection, body: bytes, content_type: str = "application/json") -> tuple[int, Any]:
    connection.request("POST", "/mutate", body, {"Content-Type": content_type})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def review(pod: Any, **changes: Any) -> dict[str, Any]:
    """An AdmissionReview as the API server sends it for the creation of ``pod``."""
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "name": "",
        "namespace": "edge",
        "operation": "CREATE",
        "object": pod,
        "dryRun": False,
        **changes,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
