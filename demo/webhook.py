"""The webhook as it runs in a cluster, here on loopback: ``python -m webhook`` with a fresh certificate.

Neighbours: ``admission`` talks to it.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.errors import WebhookDidNotStart
from demo.processes import Process, program
from demo.runner import free_port
from webhook.certificates import issue, make_authority

_LIFETIME = timedelta(hours=12)  # a demo that was kept running may be looked at the whole day
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class WebhookServer:
    """A running webhook; ``with WebhookServer(directory) as webhook:`` starts and stops it.

    ``directory`` is an empty one for its certificate, key and log.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._metrics_port = free_port()
        self.port = free_port()
        self.ca_pem = ""
        self.process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return once it is ready.

        Raises:
            WebhookDidNotStart: it is not, and nothing is left running.
        """
        env = {
            "WEBHOOK_LISTEN": f"127.0.0.1:{self.port}",
            "WEBHOOK_METRICS_LISTEN": f"127.0.0.1:{self._metrics_port}",
            "WEBHOOK_CATALOG": "none",
            **self._certificate(),
        }
        words = program(["python", "-m", "webhook"])
        self.process = Process("webhook", words, env, self._directory / "webhook.log", self._directory)
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            if self.process.exit_code is not None or time.monotonic() > deadline:
                self.stop()
                raise WebhookDidNotStart("python -m webhook did not become ready", self.process.log)
            time.sleep(0.05)  # a probe is all there is to ask

    def stop(self) -> None:
        """Let it finish what it answers, and end it; again is fine."""
        if self.process is not None:
            self.process.stop(_STOP_SECONDS)

    def _certificate(self) -> dict[str, str]:
        authority = make_authority("data-sync demo", _LIFETIME)
        leaf = issue(authority, ["localhost", "127.0.0.1"], _LIFETIME)
        self.ca_pem = authority.certificate_pem.decode()
        certificate, key = self._directory / "tls.crt", self._directory / "tls.key"
        certificate.write_bytes(leaf.certificate_pem)
        key.touch(mode=0o600)
        key.write_bytes(leaf.key_pem)
        return {"WEBHOOK_TLS_CERT": str(certificate), "WEBHOOK_TLS_KEY": str(key)}

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._metrics_port, timeout=2)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == http.client.OK
            except (OSError, http.client.HTTPException):
                return False
