"""The exit report: valid JSON within what Kubernetes keeps, and a word where there was no storage at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.reporting.last_words import REPORT_LIMIT, fitted, leave
from tests.fakes.device import Device


def test_names_give_way_to_valid_json() -> None:
    report = {"note": "not sent", "pending_files": 500, "names": [f"stats/{number:0200}" for number in range(500)]}
    text = fitted(report)
    assert len(text) <= REPORT_LIMIT
    read = json.loads(text)
    assert len(read["names"]) + read["more_names"] == 500
    assert read["pending_files"] == 500
    assert len(read["names"]) >= 8


def test_what_fits_is_left_as_it_is() -> None:
    report = {"note": "not sent", "names": ["a"]}
    assert json.loads(fitted(report)) == report


def test_where_nobody_asks_nothing_is_made(tmp_path: Path) -> None:
    leave({"note": "x"}, str(tmp_path / "termination-log"))
    assert list(tmp_path.iterdir()) == []


def test_without_a_storage_what_waits_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "termination-log"
    report.touch()
    monkeypatch.setattr("sidecar.engine.EXIT_REPORT", str(report))
    egress = [{"source": "s", "target": "t", "exclude": ["*.tmp"]}]
    with Device(tmp_path, egress=egress) as device:
        device.set_storage({})
        device.write("s/a", "123")
        device.write("s/b.tmp", "1")
        device.cycle()
        device.shutdown.request()
        device.engine._end()
        device.start()
    said = json.loads(report.read_text())
    assert (said["pending_files"], said["pending_bytes"], said["names"]) == (1, 3, ["s/a"])
    assert "Missing field BUCKET_NAME" in said["waiting_for"]
