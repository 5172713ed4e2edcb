"""The metrics themselves: there from the start, absent until known, bounded, and clean by promtool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from contract.mapping import Direction, Mapping
from sidecar import errors
from sidecar.reporting.advice import ADVICE
from sidecar.reporting.metrics import Metrics
from sidecar.reporting.progress import Progress
from tests.fakes.device import Device
from tests.monitoring.tools import tool
from webhook.metrics import OUTCOMES
from webhook.metrics import Metrics as WebhookMetrics
from webhook.reasons import Reason

PROMTOOL = tool("promtool")
MOST_SERIES = 250  # of one sidecar; a fleet of a thousand then has a quarter of a million


def fresh() -> Metrics:
    return Metrics(Progress())


def series(registry: CollectorRegistry) -> dict[str, int]:
    return {family.name: len(family.samples) for family in registry.collect()}


def test_counters_are_there_from_the_start_with_zeros() -> None:
    registry = fresh().registry
    for direction in ("egress", "ingress"):
        assert registry.get_sample_value("data_sync_files_transferred_total", {"direction": direction}) == 0
        for reason in ADVICE:
            labels = {"direction": direction, "reason": reason}
            assert registry.get_sample_value("data_sync_file_errors_total", labels) == 0
        for result in ("ok", "partial", "failed"):
            labels = {"direction": direction, "result": result}
            assert registry.get_sample_value("data_sync_cycles_total", labels) == 0
    assert registry.get_sample_value("data_sync_s3_requests_total", {"operation": "list", "code": "200"}) == 0


def test_gauges_are_absent_until_known() -> None:
    families = {family.name: family for family in fresh().registry.collect()}
    gauges = {name for name, family in families.items() if family.type == "gauge"}
    assert gauges == {"data_sync_build_info"}


def test_gauges_are_known_after_a_cycle(tmp_path: Path) -> None:
    both = [{"source": "out", "target": "up"}]
    with Device(tmp_path, egress=both, ingress=[{"source": "down", "target": "in"}]) as device:
        device.write("out/a", "1")
        device.cycle()
        gauges = {family.name for family in device.metrics.registry.collect() if family.type == "gauge"}
    names = ["pending_files", "pending_bytes", "oldest_pending_age_seconds", "last_success_timestamp_seconds"]
    names += ["quarantined_files", "indexed_files", "ingress_bytes", "ingress_limited", "free_bytes"]
    names += ["watcher_degraded", "lock_held"]
    assert gauges >= {f"data_sync_{name}" for name in names}


def test_what_a_server_or_a_thousand_files_say_makes_no_new_series() -> None:
    progress = Progress()
    metrics = Metrics(progress)
    mapping = Mapping(Direction.EGRESS, "a", "b")
    progress.set_mappings((mapping,))
    tally = progress.begin(mapping)
    for number in range(1000):
        metrics.on_request("put", str(number))
        metrics.on_request("put", f"status {number}")
        tally.fail(f"file-{number}", errors.LocalFault("open", f"file-{number}"))
        metrics.moved(Direction.EGRESS, number)
    progress.end(mapping)
    counts = series(metrics.registry)
    assert counts["data_sync_s3_requests"] <= 50
    assert sum(counts.values()) <= MOST_SERIES, counts


def test_what_is_an_answer_is_no_failure_of_the_day() -> None:
    metrics = fresh()
    for code in ("200", "206", "404", "412", "403", "500", "error"):
        metrics.on_request("head", code)
    assert metrics.history.requests()["total"] == 7
    assert metrics.history.requests()["failed"] == 3


def test_a_request_with_a_code_of_its_own_counts_in_its_class() -> None:
    metrics = fresh()
    for code in ("299", "599", "teapot", "999"):
        metrics.on_request("get", code)
    value = metrics.registry.get_sample_value
    for code, count in (("2xx", 1), ("5xx", 1), ("error", 2)):
        assert value("data_sync_s3_requests_total", {"operation": "get", "code": code}) == count


def test_the_webhook_has_every_outcome_from_the_start() -> None:
    registry = WebhookMetrics().registry
    for result, reason in OUTCOMES:
        labels = {"result": result, "reason": reason}
        assert registry.get_sample_value("data_sync_admission_reviews_total", labels) == 0
    assert {reason for _, reason in OUTCOMES} >= {reason.value for reason in Reason}
    assert len(set(OUTCOMES)) == len(OUTCOMES) <= 50


@pytest.mark.parametrize("program", ["sidecar", "webhook"])
def test_every_help_is_a_sentence(program: str) -> None:
    registry = fresh().registry if program == "sidecar" else WebhookMetrics().registry
    for family in registry.collect():
        assert len(family.documentation) > 20, family.name
        assert family.documentation.endswith("."), family.name


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize("program", ["sidecar", "webhook"])
def test_promtool_finds_nothing_to_complain_of(program: str, tmp_path: Path) -> None:
    assert PROMTOOL is not None
    if program == "webhook":
        text = generate_latest(WebhookMetrics().registry)
    else:
        with Device(tmp_path, egress=[{"source": "out", "target": "up"}]) as device:
            device.cycle()
            text = generate_latest(device.metrics.registry)
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text, check=False, capture_output=True, timeout=60)
    assert (checked.returncode, checked.stdout.decode(), checked.stderr.decode()) == (0, "", "")
