"""The webhook of the demo: it is ready when it says so, and says why when it is not."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from demo.admission import admit
from demo.errors import WebhookDidNotStart
from demo.sample import load_pod
from demo.webhook import WebhookServer


def test_it_answers_once_started_and_is_gone_once_stopped(tmp_path: Path) -> None:
    pod = load_pod()
    with WebhookServer(tmp_path) as webhook:
        admitted = admit(pod, pod["metadata"]["namespace"], webhook.port, webhook.ca_pem)
        assert webhook.process is not None
    assert "data-sync" in [container["name"] for container in admitted.pod["spec"]["initContainers"]]
    assert webhook.process.exit_code == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", webhook.port), timeout=5)


def test_its_key_can_be_read_by_nobody_else(tmp_path: Path) -> None:
    with WebhookServer(tmp_path) as webhook:
        assert (tmp_path / "tls.key").stat().st_mode & 0o777 == 0o600
        ssl.create_default_context(cadata=webhook.ca_pem)


def test_a_webhook_that_cannot_start_says_where_its_log_is(tmp_path: Path) -> None:
    webhook = WebhookServer(tmp_path)
    webhook.port = 70000
    with pytest.raises(WebhookDidNotStart) as fault:
        webhook.start()
    assert fault.value.log is not None
    assert "WEBHOOK_LISTEN" in fault.value.log.read_text()
    assert webhook.process is not None
    assert webhook.process.exit_code == 2
