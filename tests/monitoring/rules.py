"""Cases for promtool's own unit tests: for each alert, series that make it fire and series that must not.

The cases are Python, so that each is two lines and none is forgotten; promtool gets the YAML made of
them. A series is written as promtool has it: ``'0+60x30'`` counts up by 60 each minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

POD: Final = 'namespace="edge",pod="os-stats-1"'
_HOUR: Final = 60


@dataclass(frozen=True)
class Case:
    """``series`` (name with labels → values a minute), and whether ``alert`` fires at ``at`` minutes."""

    alert: str
    name: str
    at: int
    series: dict[str, str]
    fires: bool
    labels: dict[str, str] = field(default_factory=dict)


def gauge(name: str, *parts: str) -> dict[str, str]:
    """A gauge of the pod; ``parts`` are its further labels and then its values."""
    *labels, values = parts
    return {f"data_sync_{name}{{{','.join([POD, *labels])}}}": values}


def errors(reason: str, values: str) -> dict[str, str]:
    return gauge("file_errors_total", 'direction="egress"', f'reason="{reason}"', values)


def reviews(result: str, reason: str, values: str) -> dict[str, str]:
    return gauge("admission_reviews_total", f'result="{result}"', f'reason="{reason}"', values)


OUT, IN = 'direction="egress"', 'direction="ingress"'
EGRESS = {"direction": "egress"}
CYCLING = gauge("cycles_total", OUT, 'result="ok"', "0+4x300") | gauge("lock_held", "1x300")
STUCK = gauge("cycles_total", OUT, 'result="ok"', "7x300")
WAITING = gauge("pending_files", OUT, "3x300") | gauge("pending_files", IN, "0x300")
NOTHING_BAD = gauge("quarantined_files", OUT, "0x300") | gauge("quarantined_files", IN, "0x300")
IDLE = gauge("files_transferred_total", OUT, "5x300") | gauge("files_transferred_total", IN, "5x300")
BUSY = gauge("files_transferred_total", OUT, "0+1x300") | gauge("files_transferred_total", IN, "5x300")
EXPIRY = "certificate_expiry_timestamp_seconds"

CASES: Final = [
    Case(
        "DataSyncDataAtRisk",
        "an hour without sending",
        60,
        gauge("oldest_pending_age_seconds", OUT, "0+60x60"),
        True,
        EGRESS,
    ),
    Case("DataSyncDataAtRisk", "a short outage", 60, gauge("oldest_pending_age_seconds", OUT, "0+60x20 0x40"), False),
    Case(
        "DataSyncDataAtRisk",
        "what waits in the bucket is safe",
        60,
        gauge("oldest_pending_age_seconds", IN, "0+60x60"),
        False,
    ),
    Case(
        "DataSyncDataAtRiskForLong",
        "seven hours",
        420,
        gauge("oldest_pending_age_seconds", OUT, "0+60x420"),
        True,
        EGRESS,
    ),
    Case("DataSyncDataAtRiskForLong", "an hour", 60, gauge("oldest_pending_age_seconds", OUT, "0+60x60"), False),
    Case(
        "DataSyncFailing",
        "the server is away",
        60,
        errors("unreachable", "0+4x60"),
        True,
        EGRESS | {"reason": "unreachable"},
    ),
    Case("DataSyncFailing", "one bad moment", 60, errors("unreachable", "0x5 1x55"), False),
    Case("DataSyncFailing", "a file being written", 60, errors("changed_while_reading", "0+4x60"), False),
    Case("DataSyncNoProgress", "three wait and none moves", 120, WAITING | NOTHING_BAD | IDLE, True),
    Case("DataSyncNoProgress", "they move", 120, WAITING | NOTHING_BAD | BUSY, False),
    Case(
        "DataSyncNoProgress",
        "only names that can never go wait",
        120,
        WAITING | IDLE | gauge("quarantined_files", OUT, "3x300"),
        False,
    ),
    Case("DataSyncStuck", "no cycle ends", 120, STUCK | gauge("lock_held", "1x300"), True),
    Case("DataSyncStuck", "cycles end", 120, CYCLING, False),
    Case("DataSyncStuck", "another holds the directory", 120, STUCK | gauge("lock_held", "0x300"), False),
    Case("DataSyncNeverSynced", "no first success", 60, gauge("lock_held", "1x60"), True),
    Case(
        "DataSyncNeverSynced",
        "a success",
        60,
        gauge("lock_held", "1x60") | gauge("last_success_timestamp_seconds", OUT, "9x60"),
        False,
    ),
    Case("DataSyncNeverSynced", "just started", 10, gauge("lock_held", "1x60"), False),
    Case("DataSyncIngressLimited", "held back", 30, gauge("ingress_limited", "1x30"), True),
    Case("DataSyncIngressLimited", "room again", 30, gauge("ingress_limited", "1x10 0x20"), False),
    Case("DataSyncDiskNearlyFull", "100 MiB left", 10, gauge("free_bytes", "104857600x10"), True),
    Case("DataSyncDiskNearlyFull", "1 GiB left", 10, gauge("free_bytes", "1073741824x10"), False),
    Case(
        "DataSyncCredentialsRejected",
        "refused each cycle",
        20,
        errors("access_denied", "0+4x20"),
        True,
        EGRESS | {"reason": "access_denied"},
    ),
    Case("DataSyncCredentialsRejected", "never refused", 20, errors("access_denied", "0x20"), False),
    Case("DataSyncClockSkew", "ten minutes ahead", 20, gauge("clock_skew_seconds", "600x20"), True),
    Case("DataSyncClockSkew", "ten minutes behind", 20, gauge("clock_skew_seconds", "-600x20"), True),
    Case("DataSyncClockSkew", "refused for it", 20, errors("clock_skew", "0+4x20"), True),
    Case(
        "DataSyncClockSkew",
        "a few seconds",
        20,
        gauge("clock_skew_seconds", "5x20") | errors("clock_skew", "0x20"),
        False,
    ),
    Case(
        "DataSyncNamesQuarantined",
        "two names",
        90,
        gauge("quarantined_files", IN, "2x90"),
        True,
        {"direction": "ingress"},
    ),
    Case("DataSyncNamesQuarantined", "none", 90, gauge("quarantined_files", IN, "0x90"), False),
    Case("DataSyncWatcherDegraded", "walking", 90, gauge("watcher_degraded", "1x90"), True),
    Case("DataSyncWatcherDegraded", "watching", 90, gauge("watcher_degraded", "0x90"), False),
    Case("DataSyncWebhookDown", "nobody there", 20, {}, True),
    Case("DataSyncWebhookDown", "one answers", 20, gauge("admission_duration_seconds_count", "0x20"), False),
    Case(
        "DataSyncInjectionFailing",
        "a mistake",
        10,
        reviews("error", "internal", "0x5 1x5"),
        True,
        {"result": "error", "reason": "internal"},
    ),
    Case(
        "DataSyncInjectionFailing",
        "only injections",
        10,
        reviews("injected", "injected", "0+1x10") | reviews("error", "internal", "0x10"),
        False,
    ),
    Case(
        "DataSyncInjectionSkipped",
        "no storage known",
        10,
        reviews("skipped", "no_storage", "0x5 1x5"),
        True,
        {"result": "skipped", "reason": "no_storage"},
    ),
    Case("DataSyncInjectionSkipped", "nobody asked", 10, reviews("skipped", "not_requested", "0+1x10"), False),
    Case(
        "DataSyncInjectionDenied",
        "refused",
        10,
        reviews("denied", "invalid_annotation", "0x5 1x5"),
        True,
        {"result": "denied", "reason": "invalid_annotation"},
    ),
    Case("DataSyncInjectionDenied", "none refused", 10, reviews("denied", "invalid_annotation", "0x10"), False),
    Case("DataSyncCertificateExpiring", "five hours left", 60, gauge(EXPIRY, "21600x60"), True),
    Case("DataSyncCertificateExpiring", "a day left", 60, gauge(EXPIRY, "90000x60"), False),
    Case(
        "DataSyncCertificateNotRenewed",
        "a week, and nobody renews",
        33 * _HOUR,
        gauge(EXPIRY, f"604800x{33 * _HOUR}"),
        True,
    ),
    Case(
        "DataSyncCertificateNotRenewed",
        "renewed every twelve hours",
        33 * _HOUR,
        gauge(EXPIRY, f"86400x{12 * _HOUR} 129600x{12 * _HOUR} 172800x{12 * _HOUR}"),
        False,
    ),
    Case("DataSyncCertificateNotRenewed", "a month left", 33 * _HOUR, gauge(EXPIRY, f"2592000x{33 * _HOUR}"), False),
    Case("DataSyncCatalogStale", "ten minutes old", 20, gauge("catalog_age_seconds", "600x20"), True),
    Case("DataSyncCatalogStale", "fresh", 20, gauge("catalog_age_seconds", "3x20"), False),
    Case(
        "DataSyncReconcileFailing",
        "fails each minute",
        40,
        gauge("reconciles_total", 'kind="EdgeDevice"', 'result="error"', "0+1x40"),
        True,
        {"kind": "EdgeDevice", "result": "error"},
    ),
    Case(
        "DataSyncReconcileFailing",
        "failed once",
        40,
        gauge("reconciles_total", 'kind="EdgeDevice"', 'result="error"', "0x5 1x35"),
        False,
    ),
    Case(
        "DataSyncClaimsPending",
        "one pending",
        60,
        gauge("claims", 'phase="Pending"', "1x60") | gauge("claims", 'phase="Bound"', "5x60"),
        True,
    ),
    Case(
        "DataSyncClaimsPending",
        "all bound",
        60,
        gauge("claims", 'phase="Pending"', "0x60") | gauge("claims", 'phase="Bound"', "5x60"),
        False,
    ),
]


def promtool_test(case: Case, severity: str) -> dict[str, Any]:
    """One element of ``tests`` in a test file of promtool, for rules without annotations."""
    pod = {} if case.alert == "DataSyncWebhookDown" else {"namespace": "edge", "pod": "os-stats-1"}
    expected = [{"exp_labels": {"severity": severity, **pod, **case.labels}}] if case.fires else []
    return {
        "name": f"{case.alert}: {case.name}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [{"eval_time": f"{case.at}m", "alertname": case.alert, "exp_alerts": expected}],
    }
