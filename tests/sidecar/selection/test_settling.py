"""``settle``: a file waits until it is quiet, a restless one only so long, and the end waits for nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.reporting.progress import Result
from sidecar.selection.settling import Settling
from sidecar.tree import Fingerprint
from tests.fakes.device import Device

START = 1_000_000.0


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with Device(tmp_path, egress=[{"source": "s", "target": "t", "settle": "30s"}]) as device:
        device.now = time.time()  # a file's last change is the kernel's, and cannot be set
        yield device


def test_a_file_waits_until_it_was_quiet_and_is_pending_meanwhile(device: Device) -> None:
    device.write("s/a", "half", age=0)
    tally = device.egress()
    assert (device.objects(), tally.pending_files, tally.complete) == ({}, 1, False)
    assert dict(tally.reasons) == {"settling": 1}
    assert device.egress().pending_files == 1, "an idle cycle knows of it, too"
    device.pass_time(31)
    assert device.egress().result is Result.OK
    assert device.objects() == {"t/a": "half"}


def test_an_old_time_of_modification_does_not_make_a_new_file_quiet(device: Device) -> None:
    device.write("s/a", "copied with its times", age=86_400)
    assert device.egress().pending_files == 1


def test_a_file_that_is_never_quiet_goes_after_five_minutes(device: Device) -> None:
    for step in range(12):
        device.write("s/a", str(step), age=0)
        device.egress()
        assert device.objects() == {}
        device.now = time.time()  # as if the kernel's clock ran with it
        device.monotonic += 27
    device.write("s/a", "last", age=0)
    device.egress()
    assert device.objects() == {"t/a": "last"}


def test_at_the_end_whatever_is_there_goes(device: Device) -> None:
    device.write("s/a", "half", age=0)
    device.egress()
    device.shutdown.request()
    device.engine._end()
    assert device.objects() == {"t/a": "half"}
    device.start()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def seen(ctime: float, size: int = 1) -> Fingerprint:
    return Fingerprint(size, 0, int(ctime * 1e9), 1)


def test_a_clock_that_jumped_back_makes_nobody_wait_for_ever() -> None:
    clock = Clock()
    settling = Settling(clock)
    assert not settling.quiet("a", seen(START + 86_400), 30, START)
    clock.now = 29
    assert not settling.quiet("a", seen(START + 86_400), 30, START)
    clock.now = 31
    assert settling.quiet("a", seen(START + 86_400), 30, START)


def test_a_settle_time_beyond_five_minutes_is_waited_for() -> None:
    clock = Clock()
    settling = Settling(clock)
    for second in range(0, 600, 30):
        clock.now = float(second)
        assert not settling.quiet("a", seen(START + second, second), 600, START + second)
    clock.now = 600.0
    assert settling.quiet("a", seen(START + 600), 600, START + 600), "and no longer"


def test_what_waits_is_bounded() -> None:
    settling = Settling(Clock())
    for number in range(10_001):
        settling.quiet(str(number), seen(START), 30, START)
    assert len(settling._waiting) == 1
