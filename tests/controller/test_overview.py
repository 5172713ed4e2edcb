"""Devices and workloads at a glance: rows, tables, ages and amounts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controller.overview import age, amount, summary, tables

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


def device(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "edge"}, "spec": {}, **({"status": status} if status else {})}


def condition(kind: str, status: str, reason: str = "Because", message: str = "…") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def test_tables_say_what_is_and_what_is_wrong() -> None:
    good = device(
        "good",
        storage="claim/good",
        conditions=[condition("Ready", "True"), condition("Conflict", "False")],
        workloads=[{"name": "os-stats", "phase": "Running", "lastDataUpload": "2026-01-02T11:59:30Z"}],
    )
    bad = device("bad", conditions=[condition("Ready", "False", message="the claim waits")])
    workload = {
        "metadata": {"name": "os-stats", "namespace": "edge"},
        "status": {
            "devices": {"matched": 2, "ready": 1},
            "pods": {"desired": 2, "injected": 1},
            "pending": {"files": 3, "bytes": 2048},
            "lastDataUpload": "2026-01-02T10:00:00Z",
            "lastError": "no route",
        },
    }
    text = tables(summary([good, bad, device("new")], [workload]), NOW)
    assert text == (
        "NAMESPACE   DEVICE   READY     STORAGE      WORKLOADS          LAST UPLOAD   SAYS\n"
        "edge        good     True      claim/good   os-stats Running   30s           -\n"
        "edge        bad      False     -            -                  -             the claim waits\n"
        "edge        new      Unknown   -            -                  -             -\n"
        "\n"
        "NAMESPACE   WORKLOAD   DEVICES   PODS   PENDING       LAST UPLOAD   SAYS\n"
        "edge        os-stats   1/2       1/2    3 (2.0 KiB)   2h            no route\n"
    )


def test_nothing_at_all_is_said_too() -> None:
    assert tables(summary([], []), NOW) == "No EdgeDevices and no EdgeWorkloads found.\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "-"),
        ("nonsense", "-"),
        ("2026-01-02T11:59:48Z", "12s"),
        ("2026-01-02T11:58:01Z", "119s"),
        ("2026-01-02T11:57:00Z", "3m"),
        ("2026-01-02T07:00:00Z", "5h"),
        ("2025-12-31T12:00:00Z", "2d"),
        ("2026-01-02T12:00:05Z", "0s"),  # a clock that is ahead
    ],
)
def test_ages(text: str | None, expected: str) -> None:
    assert age(text, NOW) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(None, "-"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**40, "5.0 TiB")]
)
def test_amounts(count: int | None, expected: str) -> None:
    assert amount(count) == expected
