"""Storms on a link whose bytes nobody can read: handshakes that break off, records cut short, rubbish instead."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from demo.s3server import S3Server
from tests.fakes.tls_breaker import TlsBreaker
from tests.faults.conftest import Battered
from tests.faults.weather import weather
from tests.walks.pair import EGRESS, INGRESS
from tests.walks.sidecar_process import SidecarProcess

# How many of the server's bytes pass, and what comes in place of the rest.
STORMS = {
    "the server hangs up at once": (0, b""),
    "handshakes break off": (700, b""),
    "the first byte is no TLS": (0, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "a certificate is garbled": (300, bytes(2_000)),
    "connections break within a record": (4_000, b""),
    "a record is garbled": (4_000, b"\x17\x03\x03\x00\x40" + b"rubbish." * 8),
}


@dataclass
class BatteredTls(Battered):
    """A pair whose sidecar speaks TLS through the breaker."""

    proxy: TlsBreaker


@pytest.fixture(scope="module")
def battered(s3_server_tls: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatteredTls]:
    """As the fixture of the same name for storms without TLS."""
    name = f"battered-{secrets.token_hex(6)}"
    s3_server_tls.create_bucket(name)
    with TlsBreaker(s3_server_tls.port) as proxy:
        files = {**s3_server_tls.storage_files(name), "BUCKET_PORT": str(proxy.port)}
        directory = tmp_path_factory.mktemp("battered-tls")
        with SidecarProcess(
            directory, egress=EGRESS, ingress=INGRESS, files=files, DATA_SYNC_INTERVAL="200ms"
        ) as sidecar:
            yield BatteredTls(sidecar, name, s3_server_tls.client(), proxy)
    s3_server_tls.delete_bucket(name)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("storm", STORMS)
def test_after_a_storm_on_a_tls_link_both_sides_agree(battered: BatteredTls, storm: str) -> None:
    def begin() -> None:
        battered.proxy.breaks, battered.proxy.instead = STORMS[storm]
        battered.proxy.cut()  # those that are open would not feel it

    weather(battered, storm, begin, hits=6)
