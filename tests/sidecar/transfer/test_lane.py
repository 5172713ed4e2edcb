"""Large files beside the cycles, egress that leaves ingress its turn, and the small ones first."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contract.mapping import Direction
from sidecar.errors import SyncError, Transient
from sidecar.reporting.tally import Result
from sidecar.syncer import Syncer
from sidecar.transfer import lane, transfer
from tests.fakes.device import KEYS, Device

LARGE = 100  # bytes, here
DEADLINE = 60.0  # seconds


class Gate:
    """Holds the transfers of ``large``, either way, until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, operation: str, key: str) -> None:
        if (operation, key) in (("put", "up/large"), ("get", "down/large")):
            self.reached.set()
            assert self.opened.wait(DEADLINE)


@pytest.fixture(autouse=True)
def small_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LARGE", LARGE)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    egress, ingress = [{"source": "out", "target": "up"}], [{"source": "down", "target": "in"}]
    with Device(tmp_path, egress=egress, ingress=ingress) as device:
        yield device


@pytest.fixture
def gate(device: Device) -> Iterator[Gate]:
    gate = Gate()
    device.store.before = gate
    yield gate
    gate.opened.set()


def syncer(device: Device) -> Syncer:
    found = device.engine._syncer
    assert found is not None
    return found


def ended(device: Device) -> None:
    """Wait until nothing is under way."""
    beside = syncer(device)._lane
    with beside._changed:
        assert beside._changed.wait_for(lambda: not beside._under_way, DEADLINE)


def test_a_large_upload_delays_no_small_file_and_no_download(device: Device, gate: Gate) -> None:
    device.write("out/large", "x" * 200)
    device.write("out/small", "x")
    device.put("down/other", "y")
    found = device.cycle()
    assert gate.reached.wait(DEADLINE)
    (up,), (down,) = found[Direction.EGRESS], found[Direction.INGRESS]
    assert (up.transferred, up.pending_files, up.complete, down.complete) == (1, 1, False, True)
    assert device.files("in") == {"other": "y"}
    assert not device.engine.readyz().ok

    device.write("out/another", "z")
    assert device.cycle()[Direction.EGRESS][0].transferred == 1

    gate.opened.set()
    ended(device)
    (up,) = device.cycle()[Direction.EGRESS]
    assert (up.transferred, up.pending_files, up.complete) == (1, 0, True)
    assert device.engine.readyz().ok
    assert device.store.requests.count(("put", "up/large")) == 1
    device.requests()
    device.cycle()
    assert device.requests() == ["list"], "nothing of it is left to do"


def test_a_large_download_delays_no_small_one_and_is_placed_when_it_is_there(device: Device, gate: Gate) -> None:
    device.put("down/large", "y" * 200)
    device.put("down/small", "y")
    (down,) = device.cycle()[Direction.INGRESS]
    assert (down.transferred, down.pending_files, down.complete) == (1, 1, False)
    assert device.files("in") == {"small": "y"}
    gate.opened.set()
    ended(device)
    (down,) = device.cycle()[Direction.INGRESS]
    assert (down.transferred, down.pending_files, down.complete) == (1, 0, True)
    assert device.files("in") == {"small": "y", "large": "y" * 200}
    assert syncer(device)._space._reserved == 0


def test_each_direction_has_its_own_lane(device: Device, gate: Gate) -> None:
    device.write("out/large", "x" * 200)
    device.put("down/2large.txt", "y" * 200)
    device.cycle()
    assert gate.reached.wait(DEADLINE)
    beside = syncer(device)._lane
    with beside._changed:  # the download, which nothing holds, ends beside the upload that waits
        assert beside._changed.wait_for(lambda: len(beside._under_way) == 1, DEADLINE)
    assert [one.direction for scope, _ in beside._under_way for one in [scope.mapping]] == [Direction.EGRESS]


def test_a_cycle_that_is_to_wait_ends_with_everything_done(device: Device) -> None:
    device.write("out/large", "x" * 200)
    device.put("down/large", "y" * 200)
    assert device.engine.once() == 0
    assert device.files("in") == {"large": "y" * 200}
    assert device.objects()["up/large"] == "x" * 200


def test_a_large_transfer_that_fails_is_told_and_tried_again(device: Device) -> None:
    def fail(operation: str, key: str) -> None:
        if operation == "put":
            raise Transient("put", key, "no")

    device.store.before = fail
    device.write("out/large", "x" * 200)
    device.cycle()
    ended(device)
    (up,) = device.cycle()[Direction.EGRESS]
    assert (up.reasons["server"], up.result) == (1, Result.PARTIAL)
    device.store.before = lambda *_: None
    ended(device)
    device.cycle()
    ended(device)
    assert device.cycle()[Direction.EGRESS][0].pending_files == 0
    assert device.objects()["up/large"] == "x" * 200


def test_the_end_does_not_wait_for_a_large_transfer(device: Device) -> None:
    device.put("down/large", "y" * 200)
    gate = Gate()
    device.store.before = gate
    device.cycle()
    assert gate.reached.wait(DEADLINE)
    beside = syncer(device)._lane
    closing = threading.Thread(target=beside.close)
    closing.start()
    while not beside._closing:
        pass
    gate.opened.set()
    closing.join(DEADLINE)
    assert not closing.is_alive()
    ((one,),) = beside._ended.values()
    assert getattr(one.outcome, "reason", None) == "stopping"
    assert list((device.export / ".data-sync/staging/incoming").iterdir()) == []


def test_what_ended_for_another_bucket_is_given_up(device: Device, gate: Gate) -> None:
    device.put("down/large", "y" * 200)
    device.cycle()
    assert gate.reached.wait(DEADLINE)
    device.set_storage({**KEYS, "BUCKET_NAME": "another"})
    gate.opened.set()
    ended(device)
    device.store.objects.clear()
    device.cycle()
    assert device.files("in") == {}
    assert list((device.export / ".data-sync/staging/incoming").iterdir()) == []
    assert syncer(device)._space._reserved == 0


def test_a_file_removed_while_it_goes_is_sent_and_forgotten(device: Device, gate: Gate) -> None:
    path = device.write("out/large", "x" * 200)
    device.cycle()
    assert gate.reached.wait(DEADLINE)
    path.unlink()
    gate.opened.set()
    ended(device)
    (up,) = device.cycle()[Direction.EGRESS]
    assert (up.pending_files, up.complete) == (0, True)
    assert device.objects() == {"up/large": "x" * 200}


def test_egress_with_much_to_do_leaves_ingress_its_turn(device: Device) -> None:
    def slow(operation: str, _key: str) -> None:
        if operation == "put":
            device.monotonic += 5.0

    for number in range(60):
        device.write(f"out/{number:02}", "x")
    device.put("down/file", "y")
    device.store.before = slow
    found = device.cycle()
    (up,) = found[Direction.EGRESS]
    assert 0 < up.transferred < 60
    assert (up.transferred + up.pending_files, up.complete) == (60, False)
    assert device.files("in") == {"file": "y"}
    for _ in range(60):
        if found[Direction.EGRESS][0].complete:
            break
        found = device.cycle()
    assert len(device.objects()) == 61


def test_egress_alone_takes_the_time_it_needs(tmp_path: Path) -> None:
    with Device(tmp_path, egress=[{"source": "out", "target": "up"}]) as device:

        def slow(operation: str, _key: str) -> None:
            device.monotonic += 5.0 if operation == "put" else 0.0

        device.store.before = slow
        for number in range(60):
            device.write(f"out/{number:02}", "x")
        assert device.egress().complete


def test_the_lane_begins_where_the_specification_says() -> None:
    assert lane.LARGE == 64 * 2**20


class LaneBench:
    """As much of a bench as the lane looks at."""

    mapping = SimpleNamespace(direction=Direction.EGRESS)


@pytest.mark.parametrize("fault", ["no thread", "no descriptor"])
def test_a_large_transfer_that_cannot_even_begin_has_ended(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Else whoever waits for the lane, as the end of the process does, waits for ever."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def own(_bench: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("sidecar.transfer.lane.replace", lambda bench, **_: bench)
    beside = lane.Lane(own)
    if fault == "no thread":
        monkeypatch.setattr(threading.Thread, "start", refuse)
    scope: Any = "scope"
    upload: Any = SimpleNamespace(path="large")
    bench: Any = LaneBench()

    beside.begin(scope, bench, upload)
    beside.wait(scope)
    (one,) = beside.ended(scope)

    assert isinstance(one.outcome, SyncError)
    monkeypatch.undo()
    beside.close()
