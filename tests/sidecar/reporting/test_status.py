"""What /status says: states, conditions and words, with and without names of files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.conditions import AT_RISK_AFTER, Because, Condition, Said, Truth, read_conditions
from contract.mapping import Direction, Mapping
from sidecar.errors import AccessDenied, ClockSkewed, NoRoom, NoSuchBucket, Quarantined, Unreachable, Untrusted
from sidecar.reporting.history import SLOT, SLOTS, History
from sidecar.reporting.progress import Progress
from sidecar.reporting.report import about_this, report
from sidecar.reporting.status import plain_size
from sidecar.settings import Settings
from tests.fakes.device import Device

OUT = Mapping(Direction.EGRESS, "stats", "statistics")
IN = Mapping(Direction.INGRESS, "remote", "in")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    mappings: dict[str, Any] = {
        "egress": [{"source": "stats", "target": "statistics"}],
        "ingress": [{"source": "remote", "target": "in"}],
    }
    with Device(tmp_path, **mappings) as device:
        yield device


def said(device: Device) -> dict[Condition, Said]:
    status = json.loads(json.dumps(device.progress.status(with_names=False)))
    return {one.condition: one for one in read_conditions(status)}


def states(device: Device) -> list[str]:
    return [entry["state"] for entry in device.progress.status(with_names=True)["mappings"]]


def test_a_sidecar_that_just_started_is_not_failing(device: Device) -> None:
    assert states(device) == ["waiting", "waiting"]
    found = said(device)
    assert {one.truth for one in found.values()} == {Truth.UNKNOWN}
    assert {one.because for one in found.values()} == {Because.FIRST_CYCLE}
    assert set(found) == set(Condition)


def test_the_first_cycle_reads_as_such_until_it_is_over() -> None:
    progress = Progress()
    progress.set_mappings((OUT,))
    progress.waiting_for = None
    tally = progress.begin(OUT)
    tally.fail("a", Unreachable("put", "a"))
    assert progress.status(with_names=True)["mappings"][0]["state"] == "first cycle"
    (synced,) = (one for one in read_conditions(progress.status(with_names=True)) if one.condition is Condition.SYNCED)
    assert (synced.truth, synced.because) == (Truth.UNKNOWN, Because.FIRST_CYCLE)
    progress.end(OUT)
    assert progress.status(with_names=True)["mappings"][0]["state"] == "partial"


def test_in_sync_everything_is_said_to_be_well(device: Device) -> None:
    device.write("stats/a", "1")
    device.cycle()
    found = said(device)
    assert found[Condition.SYNCED] == Said(Condition.SYNCED, Truth.TRUE, Because.IN_SYNC, "Both sides hold the same.")
    assert {one.truth for condition, one in found.items() if condition is not Condition.SYNCED} == {Truth.FALSE}
    assert states(device) == ["ok", "ok"]


def test_missing_keys_are_said_by_name(device: Device) -> None:
    device.set_storage({})
    device.cycle()
    synced = said(device)[Condition.SYNCED]
    assert (synced.truth, synced.because) == (Truth.FALSE, Because.WAITING_FOR_STORAGE)
    assert "Missing field BUCKET_NAME in resource edge/config" in synced.message


def test_what_waits_too_long_on_the_device_alone_is_at_risk(device: Device) -> None:
    def down(*_: object) -> None:
        raise Unreachable("put", "s3.example")

    device.store.before = down
    device.write("stats/secret-name", "1" * 2048, age=AT_RISK_AFTER + 3600)
    device.cycle()
    found = said(device)
    assert found[Condition.DATA_AT_RISK].truth is Truth.TRUE
    assert found[Condition.DATA_AT_RISK].message.startswith("1 file (2.0 KiB) on this device alone, the oldest for ")
    assert found[Condition.SYNCED].because is Because.FILES_FAIL
    assert "The server cannot be reached" in found[Condition.SYNCED].message
    assert "secret-name" not in json.dumps([one.to_json() for one in found.values()])


def test_what_waits_in_the_bucket_is_not_at_risk() -> None:
    progress = Progress(lambda: 10_000_000.0)
    progress.set_mappings((IN,))
    tally = progress.begin(IN)
    tally.pending_files, tally.oldest_left = 1, 0.0
    progress.end(IN)
    (risk,) = (one for one in read_conditions(progress.status(with_names=True)) if "Risk" in one.condition)
    assert risk.truth is Truth.FALSE


@pytest.mark.parametrize(
    ("error", "because"),
    [
        (AccessDenied("list", "bucket"), Because.CREDENTIALS_REJECTED),
        (NoSuchBucket("list", "bucket"), Because.BUCKET_MISSING),
        (ClockSkewed("list", "bucket"), Because.CLOCK_SKEWED),
        (Untrusted("list", "bucket"), Because.CERTIFICATE_UNTRUSTED),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["the whole mapping", "a file"])
def test_a_refusal_says_which(error: Any, because: Because, whole: bool) -> None:
    progress = Progress()
    progress.set_mappings((OUT,))
    tally = progress.begin(OUT)
    tally.end_early(error) if whole else tally.fail("a", error)
    progress.end(OUT)
    status = progress.status(with_names=False)
    (refused,) = (one for one in read_conditions(status) if one.condition is Condition.REFUSED)
    assert (refused.truth, refused.because) == (Truth.TRUE, because)
    (problem,) = status["mappings"][0]["problems"]
    assert problem["reason"] == error.reason
    assert problem["words"]
    assert problem["action"]


def test_limits_and_quarantine_are_said() -> None:
    progress = Progress()
    progress.waiting_for = None
    progress.set_mappings((IN,))
    tally = progress.begin(IN)
    tally.fail("big", NoRoom("download", "big"))
    tally.fail("a//b", Quarantined("list", "a//b"))
    progress.end(IN)
    found = {one.condition: one for one in read_conditions(progress.status(with_names=False))}
    assert found[Condition.INGRESS_LIMITED].because is Because.NO_ROOM
    assert found[Condition.NAMES_QUARANTINED].message.startswith("1 name cannot exist")


def test_without_names_no_name_of_a_file_is_anywhere() -> None:
    progress = Progress()
    progress.set_mappings((OUT,))
    tally = progress.begin(OUT)
    tally.fail("private.txt", Unreachable("put", "private.txt"))
    tally.fail("private//b", Quarantined("put", "private//b"))
    progress.end(OUT)
    about = about_this(Settings.from_env({"POD_NAME": "os-stats-1"}), 0.0)
    whole = report(progress, History(), about, with_names=False)
    assert "private" not in json.dumps(whole)
    assert "private" in json.dumps(report(progress, History(), about, with_names=True))
    assert whole["identity"] == {"pod": "os-stats-1"}


def test_lists_of_names_are_capped() -> None:
    progress = Progress()
    progress.set_mappings((OUT,))
    tally = progress.begin(OUT)
    for number in range(250):
        tally.fail(f"f{number}", Unreachable("put", "x"))
        tally.fail(f"q{number}", Quarantined("put", "x"))
    progress.end(OUT)
    (entry,) = progress.status(with_names=True)["mappings"]
    assert (len(entry["failures"]), len(entry["quarantined"]), entry["quarantined_files"]) == (100, 100, 250)


def test_what_went_is_no_longer_the_oldest_that_waits(device: Device) -> None:
    def refuse_new(operation: str, key: str) -> None:
        if operation == "put" and key.endswith("new"):
            raise Unreachable("put", key)

    device.write("stats/old", "1")
    device.store.before = refuse_new
    device.pass_time(10_000)
    device.write("stats/new", "2")
    tally = device.cycle()[Direction.EGRESS][0]
    assert device.objects() == {"statistics/old": "1"}
    assert tally.pending_files == 1
    assert tally.oldest == tally.oldest_left
    assert tally.oldest is not None


def test_a_pass_that_broke_off_forgets_no_count(device: Device) -> None:
    device.put("remote/a", "12345")
    device.cycle()

    def down(*_: object) -> None:
        raise Unreachable("list", "s3.example")

    device.store.before = down
    device.cycle()
    ingress = device.progress.status(with_names=True)["mappings"][1]
    assert (ingress["state"], ingress["indexed_files"], ingress["ingress_bytes"]) == ("failed", 1, 5)


def test_a_clock_that_was_set_back_is_no_age_below_zero() -> None:
    progress = Progress(lambda: 100.0)
    progress.set_mappings((OUT,))
    tally = progress.begin(OUT)
    tally.pending_files, tally.oldest_left = 1, 5000.0
    progress.end(OUT)
    assert progress.status(with_names=True)["mappings"][0]["oldest_pending_age_seconds"] == 0


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**40, "5.0 TiB"), (2**60, "1048576.0 TiB")],
)
def test_sizes_are_said_plainly(size: int, text: str) -> None:
    assert plain_size(size) == text


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_what_moved_is_kept_by_the_minute_and_for_some_hours_only() -> None:
    clock = Clock()
    history = History(clock, clock)
    history.moved(Direction.EGRESS, 5)
    clock.now += SLOT
    history.moved(Direction.EGRESS, 7)
    history.moved(Direction.INGRESS, 1)
    assert history.throughput()["egress"] == [5, 7]
    assert history.throughput()["ingress"] == [0, 1]
    clock.now += 2 * SLOT
    assert history.throughput()["egress"] == [5, 7, 0, 0]
    clock.now += SLOTS * SLOT * 1000
    assert history.throughput()["egress"] == [0] * SLOTS


def test_requests_are_counted_by_the_day() -> None:
    clock = Clock()
    history = History(clock, clock)
    history.requested("put", failed=False)
    history.requested("list", failed=True)
    today = history.requests()
    assert (today["total"], today["failed"], today["operations"]) == (2, 1, {"list": 1, "put": 1})
    assert today["since"] == clock.now
    clock.now += 86_400
    tomorrow = history.requests()
    assert (tomorrow["total"], tomorrow["failed"]) == (0, 0)
    assert tomorrow["since"] % 86_400 == 0
