"""The sidecar's listener as it is configured: closed by a token, encrypted, or not there at all."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest

from tests.walks.sidecar_process import DEADLINE, SidecarProcess
from webhook.certificates import issue, make_authority

STATS = [{"source": "stats", "target": "statistics"}]


def messages(sidecar: SidecarProcess) -> list[str]:
    return [str(line["message"]) for line in sidecar.lines()]


def test_switched_off_it_listens_nowhere_and_syncs_all_the_same(tmp_path: Path) -> None:
    sidecar = SidecarProcess(tmp_path, egress=STATS, DATA_SYNC_LISTEN="off")
    with (
        sidecar.log.open("wb") as log,
        subprocess.Popen([sys.executable, "-m", "sidecar"], env=sidecar.env, stderr=log) as process,
    ):
        try:
            end = time.monotonic() + 2 * DEADLINE
            while "waiting for storage" not in messages(sidecar):
                assert process.poll() is None, sidecar.log.read_text()
                assert time.monotonic() < end, sidecar.log.read_text()
                time.sleep(0.05)
            process.terminate()
            assert process.wait(2 * DEADLINE) == 0
        finally:
            process.kill()
    assert "listening" not in messages(sidecar)


def test_it_speaks_tls_and_serves_the_page_by_it(tmp_path: Path) -> None:
    authority = make_authority("listener test", timedelta(days=1))
    pair = issue(authority, ["localhost"], timedelta(days=1))
    (tmp_path / "tls.crt").write_bytes(pair.certificate_pem)
    (tmp_path / "tls.key").write_bytes(pair.key_pem)
    certificate, key = str(tmp_path / "tls.crt"), str(tmp_path / "tls.key")
    context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    with SidecarProcess(
        tmp_path, egress=STATS, DATA_SYNC_LISTEN_TLS_CERT=certificate, DATA_SYNC_LISTEN_TLS_KEY=key
    ) as sidecar:
        url = f"https://localhost:{sidecar._port}/"
        with urllib.request.urlopen(url, timeout=DEADLINE, context=context) as answer:
            assert b"<title>Data Sync</title>" in answer.read()
        with urllib.request.urlopen(url + "status", timeout=DEADLINE, context=context) as answer:
            assert json.load(answer)["names_shown"] is True


@pytest.mark.parametrize("names", ["loopback", "never"])
def test_names_can_be_kept_from_everybody(tmp_path: Path, names: str) -> None:
    with SidecarProcess(tmp_path, egress=STATS, DATA_SYNC_SHOW_NAMES=names) as sidecar:
        assert sidecar.status()["names_shown"] is (names == "loopback")


def test_a_name_that_points_here_is_not_enough(tmp_path: Path) -> None:
    with SidecarProcess(tmp_path, egress=STATS) as sidecar:
        for path, code in (("status", 403), ("", 403), ("metrics", 403), ("livez", 200)):
            asked = urllib.request.Request(f"http://127.0.0.1:{sidecar._port}/{path}", headers={"Host": "evil.example"})
            try:
                with urllib.request.urlopen(asked, timeout=DEADLINE) as answer:
                    found = answer.status
            except urllib.error.HTTPError as error:
                with error:
                    found = error.code
            assert (path, found) == (path, code)
