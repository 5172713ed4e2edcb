"""What the Grafana dashboard shows: fleet, device, workload, webhook and controller.

A panel is a line: what it is called, what it tells, in which unit, and its queries. The tests run every
query; how panels become Grafana's JSON is ``dashboard.py``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from grafana_foundation_sdk.models import units

CHOSEN: Final = 'namespace=~"$namespace",device=~"$device",workload=~"$workload"'
_RATE: Final = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class Panel:
    """``queries``: legend → PromQL, where ``$S`` stands for the chosen sidecars. Thresholds: (yellow, red)."""

    title: str
    text: str
    unit: str
    queries: dict[str, str]
    kind: str = "series"  # series, stat or table
    width: int = 8
    thresholds: tuple[float, float] | None = None
    options: dict[str, str] = field(default_factory=dict)


ROWS: Final[dict[str, list[Panel]]] = {
    "Fleet": [
        Panel(
            "Sidecars", "Pods that sync at this moment.", units.Short, {"": "sum(data_sync_lock_held{$S})"}, "stat", 4
        ),
        Panel(
            "Pods with files waiting",
            "Pods of which some file is on one side only.",
            units.Short,
            {"": "count(sum by (namespace, pod) (data_sync_pending_files{$S}) > 0) or vector(0)"},
            "stat",
            4,
        ),
        Panel(
            "Oldest unsent file",
            "For how long some file is on a device alone. Yellow from half an hour, red from six hours.",
            units.Seconds,
            {"": 'max(data_sync_oldest_pending_age_seconds{$S,direction="egress"}) or vector(0)'},
            "stat",
            4,
            (1800, 21600),
        ),
        Panel(
            "On devices alone",
            "Bytes that would be lost with their devices.",
            units.BytesIEC,
            {"": 'sum(data_sync_pending_bytes{$S,direction="egress"}) or vector(0)'},
            "stat",
            4,
        ),
        Panel(
            "Keys refused",
            "Pods whose bucket refused their keys in the last ten minutes.",
            units.Short,
            {
                "": "count(sum by (namespace, pod) "
                '(increase(data_sync_file_errors_total{$S,reason="access_denied"}[10m])) > 0) or vector(0)'
            },
            "stat",
            4,
            (1, 1),
        ),
        Panel(
            "Downloads held back",
            "Pods whose downloads wait for room.",
            units.Short,
            {"": "sum(data_sync_ingress_limited{$S}) or vector(0)"},
            "stat",
            4,
            (1, 1),
        ),
        Panel(
            "Throughput",
            "Bodies sent and fetched, of all chosen pods.",
            units.BytesPerSecondIEC,
            {"{{direction}}": f"sum by (direction) (rate(data_sync_bytes_transferred_total{{$S}}{_RATE}))"},
        ),
        Panel(
            "Cycles by result",
            "partial: some files could not go; failed: nothing could.",
            units.OpsPerSecond,
            {"{{direction}} {{result}}": f"sum by (direction, result) (rate(data_sync_cycles_total{{$S}}{_RATE}))"},
        ),
        Panel(
            "Errors by reason",
            "The five most frequent reasons for which files were not synced.",
            units.Short,
            {"{{reason}}": f"topk(5, sum by (reason) (rate(data_sync_file_errors_total{{$S}}{_RATE})))"},
        ),
    ],
    "Device": [
        Panel(
            "Devices",
            "What waits on each device and how much room it has.",
            units.Short,
            {
                "files waiting": "sum by (device) (data_sync_pending_files{$S})",
                "bytes waiting": "sum by (device) (data_sync_pending_bytes{$S})",
                "oldest": "max by (device) (data_sync_oldest_pending_age_seconds{$S})",
                "free": "min by (device) (data_sync_free_bytes{$S})",
            },
            "table",
            24,
            options={"bytes waiting": units.BytesIEC, "oldest": units.Seconds, "free": units.BytesIEC},
        ),
        Panel(
            "Oldest waiting file",
            "For how long the oldest file of each device waits; a line that climbs is a device without a link.",
            units.Seconds,
            {"{{device}}": "max by (device) (data_sync_oldest_pending_age_seconds{$S})"},
        ),
        Panel(
            "Free on the device",
            "Where /export lies. Downloads stop at the floor, by default the larger of 256 MiB and 15 %.",
            units.BytesIEC,
            {"{{device}}": "min by (device) (data_sync_free_bytes{$S})"},
        ),
        Panel(
            "Clock",
            "By how much each device's clock differs from the server's. S3 refuses more than 15 minutes.",
            units.Seconds,
            {"{{device}}": "max by (device) (abs(data_sync_clock_skew_seconds{$S}))"},
        ),
    ],
    "Workload": [
        Panel(
            "Files waiting",
            "Failing, unreadable and quarantined ones included.",
            units.Short,
            {"{{pod}} {{direction}}": "sum by (namespace, pod, direction) (data_sync_pending_files{$S})"},
        ),
        Panel(
            "Bytes waiting",
            "Of the files waiting.",
            units.BytesIEC,
            {"{{pod}} {{direction}}": "sum by (namespace, pod, direction) (data_sync_pending_bytes{$S})"},
        ),
        Panel(
            "Since the last complete sync",
            "Stays below one interval while all is well.",
            units.Seconds,
            {"{{pod}} {{direction}}": "time() - data_sync_last_success_timestamp_seconds{$S}"},
        ),
        Panel(
            "Throughput by pod",
            "Bodies sent and fetched.",
            units.BytesPerSecondIEC,
            {
                "{{pod}} {{direction}}": "sum by (namespace, pod, direction) "
                f"(rate(data_sync_bytes_transferred_total{{$S}}{_RATE}))"
            },
        ),
        Panel(
            "Length of a cycle",
            "Half of the cycles, and 95 of 100, take less.",
            units.Seconds,
            {
                f"{{{{direction}}}} p{share}": f"histogram_quantile(0.{share}, sum by (direction, le) "
                f"(rate(data_sync_cycle_duration_seconds_bucket{{$S}}{_RATE})))"
                for share in ("50", "95")
            },
        ),
        Panel(
            "Requests to the bucket",
            "By operation and HTTP status; this is what providers charge for.",
            units.RequestsPerSecond,
            {"{{operation}} {{code}}": f"sum by (operation, code) (rate(data_sync_s3_requests_total{{$S}}{_RATE}))"},
        ),
        Panel(
            "Files known",
            "Files that are the same on both sides.",
            units.Short,
            {"{{pod}} {{direction}}": "sum by (namespace, pod, direction) (data_sync_indexed_files{$S})"},
        ),
        Panel(
            "Names that can never go",
            "The page of the pod lists them.",
            units.Short,
            {"{{pod}} {{direction}}": "sum by (namespace, pod, direction) (data_sync_quarantined_files{$S})"},
        ),
        Panel(
            "Walking instead of watching",
            "1: some directory cannot be watched and is walked in every cycle.",
            units.Short,
            {"{{pod}}": "max by (namespace, pod) (data_sync_watcher_degraded{$S})"},
        ),
    ],
    "Webhook and controller": [
        Panel(
            "Admissions",
            "Reviews answered, by result.",
            units.RequestsPerSecond,
            {"{{result}}": f"sum by (result) (rate(data_sync_admission_reviews_total{_RATE}))"},
        ),
        Panel(
            "Time to admit",
            "Half of the reviews, and 99 of 100, are answered within.",
            units.Seconds,
            {
                f"p{share}": f"histogram_quantile(0.{share}, sum by (le) "
                f"(rate(data_sync_admission_duration_seconds_bucket{_RATE})))"
                for share in ("50", "99")
            },
        ),
        Panel(
            "Skipped and refused",
            "Pods that asked for data-sync and did not get it, by reason, in the last hour.",
            units.Short,
            {
                "{{result}} {{reason}}": "topk(5, sum by (result, reason) (increase(data_sync_admission_reviews_total"
                '{result=~"skipped|denied|error",reason!~"not_requested|disabled|other_kind|other_operation"}[1h])))'
            },
        ),
        Panel(
            "Certificate ends in",
            "Of each webhook. Red below six hours.",
            units.Seconds,
            {"{{pod}}": "data_sync_certificate_expiry_timestamp_seconds - time()"},
        ),
        Panel(
            "Age of what the webhook knows",
            "Since it last heard from the API server about devices and workloads.",
            units.Seconds,
            {"{{pod}}": "max by (pod) (data_sync_catalog_age_seconds) or vector(0)"},
        ),
        Panel(
            "Bucket claims",
            "Of devices, by phase.",
            units.Short,
            {"{{phase}}": "sum by (phase) (data_sync_claims)"},
        ),
        Panel(
            "Reconciles",
            "Objects that the controller looked at, by kind and result.",
            units.OpsPerSecond,
            {"{{kind}} {{result}}": f"sum by (kind, result) (rate(data_sync_reconciles_total{_RATE})) or vector(0)"},
        ),
    ],
}


def expressions(panel: Panel) -> dict[str, str]:
    """The panel's queries as Grafana gets them."""
    return {legend: query.replace("$S", CHOSEN) for legend, query in panel.queries.items()}
