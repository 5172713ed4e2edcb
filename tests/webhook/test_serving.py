"""The TLS context follows its files, and what cannot be served is said at start."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.pem import PemFiles
from tests.webhook.processes import HOST, Webhook
from webhook.certificates import KeyPair, issue, make_authority, not_after
from webhook.tls import FileTls, TlsError

AUTHORITY = make_authority("test authority", timedelta(hours=1))


def leaf(minutes: int) -> KeyPair:
    return issue(AUTHORITY, ["localhost"], timedelta(minutes=minutes))


class Served(PemFiles):
    """A :class:`FileTls` on files in ``directory``, and the ends of the certificates it loaded."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.expiries: list[datetime] = []
        self.tls = FileTls(str(self.certificate), str(self.key), self.expiries.append)


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


def test_unchanged_files_are_read_once(served: Served) -> None:
    served.write(leaf(10))
    served.tls.load()
    assert served.tls.context() is served.tls.context()
    assert len(served.expiries) == 1


def test_new_files_make_a_new_context_and_a_new_expiry(served: Served) -> None:
    served.write(leaf(10))
    served.tls.load()
    before, renewed = served.tls.context(), leaf(20)
    served.write(renewed)
    assert served.tls.context() is not before
    assert served.expiries[-1] == not_after(renewed.certificate_pem)


def test_a_half_written_renewal_keeps_the_old_context_until_it_is_whole(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.write(leaf(10))
    served.tls.load()
    before, renewed = served.tls.context(), leaf(20)
    served.write_certificate(renewed.certificate_pem)
    with caplog.at_level(logging.WARNING):
        assert served.tls.context() is before
        assert served.tls.context() is before
    assert len(caplog.records) == 1  # said once, not at every handshake
    served.write_key(renewed.key_pem)
    assert served.tls.context() is not before


def test_files_that_vanish_keep_the_old_context(served: Served) -> None:
    served.write(leaf(10))
    served.tls.load()
    before = served.tls.context()
    os.unlink(served.key)
    assert served.tls.context() is before


def test_a_swapped_directory_is_seen_as_kubelet_does_it(tmp_path: Path) -> None:
    for name, minutes in (("one", 10), ("two", 20)):
        (tmp_path / name).mkdir()
        Served(tmp_path / name).write(leaf(minutes))
    (tmp_path / "..data").symlink_to("one")
    served = Served(tmp_path)
    served.certificate.symlink_to("..data/tls.crt")
    served.key.symlink_to("..data/tls.key")
    served.tls.load()
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    served.tls.context()
    assert len(served.expiries) == 2


def test_a_context_before_load_is_a_mistake(served: Served) -> None:
    with pytest.raises(RuntimeError, match="load"):
        served.tls.context()


@pytest.mark.parametrize("broken", ["missing", "no certificate", "another key"])
def test_what_cannot_be_served_is_said_with_both_variables(broken: str, served: Served) -> None:
    served.write(leaf(10))
    match broken:
        case "missing":
            os.unlink(served.certificate)
        case "no certificate":
            served.certificate.write_text("-----BEGIN CERTIFICATE-----\n")
        case "another key":
            served.write_key(leaf(10).key_pem)
    with pytest.raises(TlsError, match=r"WEBHOOK_TLS_CERT=.*WEBHOOK_TLS_KEY="):
        served.tls.load()


def test_a_taken_metrics_port_ends_the_webhook_and_names_the_variable(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        webhook = Webhook(tmp_path, WEBHOOK_METRICS_LISTEN=f"{HOST}:{taken.getsockname()[1]}")
        command = [sys.executable, "-m", "webhook"]
        ended = subprocess.run(command, env=webhook.env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "WEBHOOK_METRICS_LISTEN" in ended.stderr
    assert "Traceback" not in ended.stderr
