"""The day's requests: counted always, kept over restarts, enforced when set; and small and oldest first."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.s3server import S3Server
from sidecar.budget import BudgetSpent, RequestBudget, cost
from sidecar.plan import Action, Upload
from sidecar.selection.precedence import WINDOW, in_windows, small_and_oldest_first
from sidecar.tree import Fingerprint, RelativePath
from tests.fakes.device import Device
from tests.walks.sidecar_process import SidecarProcess

EGRESS = [{"source": "s", "target": "t"}]
INGRESS = [{"source": "r", "target": "in"}]
DAY = 86_400.0


def test_requests_are_counted_and_shown_without_a_budget(tmp_path: Path) -> None:
    with Device(tmp_path, egress=EGRESS) as device:
        device.write("s/a", "1")
        device.egress()
        status = device.progress.status(with_names=False)
        assert (status["requests_today"], status["request_budget"]) == (2, None), "a listing and a PUT"
        device.restart()
        device.egress()
        assert device.progress.status(with_names=False)["requests_today"] == 3
        device.pass_time(DAY)
        assert device.progress.status(with_names=False)["requests_today"] == 0


def test_a_budget_goes_to_the_smallest_and_oldest_and_the_rest_waits_for_tomorrow(tmp_path: Path) -> None:
    with Device(tmp_path, egress=EGRESS, requests_a_day=7) as device:
        for number in range(9):
            device.write(f"s/{number}", "x" * (10 - number))
        tally = device.egress()
        assert sorted(device.objects().values(), key=len) == ["xx", "xxx", "xxxx"], (
            "a file may take two requests of six"
        )
        assert tally.reasons["request_budget"] == 6 == tally.pending_files
        assert not tally.complete
        assert "DATA_SYNC_REQUEST_BUDGET" in tally.failures[0]["error"]
        for _ in range(3):
            device.egress()
        assert sorted(map(len, device.objects().values())) == [2, 3, 4, 5, 6], (
            "it took one, and the next one may have it"
        )
        assert device.budget.today == 6
        device.pass_time(DAY)
        device.egress()
        assert len(device.objects()) > 5, "tomorrow it goes on by itself"


@pytest.mark.parametrize("ending", ["in order", "by a kill"])
def test_a_restart_gives_no_requests_back(tmp_path: Path, ending: str) -> None:
    with Device(tmp_path, egress=EGRESS, requests_a_day=20) as device:
        for number in range(30):
            device.write(f"s/{number:02}", "x")
        device.egress()
        spent = device.budget.today
        if ending == "in order":
            device.restart()
        else:
            device.engine._lock.release()
            device.start()
        device.egress()
        sent = [operation for operation, _ in device.store.requests if operation != "list"]
        assert len(sent) <= 20, "the fake lists unasked"
        assert device.budget.today >= spent


def test_a_real_sidecar_stops_at_its_budget_listing_included(tmp_path: Path, s3_server: S3Server) -> None:
    name = f"budget-{os.urandom(6).hex()}"
    s3_server.create_bucket(name)
    files = s3_server.storage_files(name)
    sidecar = SidecarProcess(tmp_path, egress=EGRESS, ingress=INGRESS, files=files, DATA_SYNC_REQUEST_BUDGET="4")
    (sidecar.export / "s").mkdir()
    for number in range(9):
        (sidecar.export / f"s/{number}").write_text("x")
    assert [sidecar.once(), sidecar.once()] == [1, 1]
    count = json.loads((sidecar.export / ".data-sync/requests").read_text())["count"]
    sent = s3_server.client().list_objects_v2(Bucket=name)["KeyCount"]
    s3_server.delete_bucket(name)
    assert count <= 4
    assert 1 <= sent <= 3
    assert "all 4 requests of this day are spent" in sidecar.log.read_text(), "the second listing was not begun"


def test_what_is_under_way_counts() -> None:
    budget = RequestBudget(2)
    budget.begin_cycle()
    budget.allow("put")
    budget.allow("put")
    with pytest.raises(BudgetSpent):
        budget.allow("put")
    budget.count("put", "200")
    with pytest.raises(BudgetSpent):
        budget.allow("put")
    budget.begin_cycle()
    budget.allow("put")
    assert budget.left() == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"day": 1, "count": "x"}', "\x00"])
def test_a_count_that_cannot_be_read_is_begun_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "requests").write_text(content)
    budget = RequestBudget(10, str(tmp_path), lambda: 0.0)
    budget.begin_cycle()
    budget.count("put", "200")
    assert budget.today == 1
    assert json.loads((tmp_path / "requests").read_text())["day"] == "1970-01-01"


def test_a_count_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    budget = RequestBudget(10, str(tmp_path / "missing"), lambda: 0.0)
    budget.begin_cycle()
    budget.allow("put")
    budget.count("put", "200")
    budget.end_cycle(closing=True)
    assert budget.left() == 9


def upload(name: str, size: int, since: float = 0.0) -> Action:
    return Upload(RelativePath(name), Fingerprint(size, 0, int(since * 1e9), 1), None)


def test_small_and_oldest_come_first() -> None:
    actions = [upload("a", 5), upload("b", 1, 9.0), upload("c", 1, 3.0), upload("d", 0)]
    assert [action.path for action in small_and_oldest_first(actions, 3)] == ["c", "b", "a", "d"]


def test_a_window_holds_no_more_than_it_may() -> None:
    seen = 0

    def plan() -> Iterator[Action]:
        nonlocal seen
        for number in range(3 * WINDOW):
            seen += 1
            yield upload(str(number), 3 * WINDOW - number)

    ordered = in_windows(plan(), lambda: 0.0)
    first = next(ordered)
    assert (first.size, seen) == (2 * WINDOW + 1, WINDOW)
    assert len(list(ordered)) == 3 * WINDOW - 1


def test_a_plan_that_comes_slowly_is_not_waited_for() -> None:
    times = iter(range(1000))
    ordered = in_windows([upload("big", 9), upload("small", 1)], lambda: float(next(times)))
    assert [action.path for action in ordered] == ["big", "small"]


def test_a_plan_that_breaks_off_lets_go_what_came_before() -> None:
    def plan() -> Iterator[Action]:
        yield upload("b", 2)
        yield upload("a", 1)
        raise BudgetSpent("list", "x")

    found: list[str] = []

    def consume() -> None:
        for action in in_windows(plan(), lambda: 0.0):
            found.append(action.path)  # noqa: PERF401 - what came before the end counts

    with pytest.raises(BudgetSpent):
        consume()
    assert found == ["a", "b"]


def test_a_large_file_costs_its_parts() -> None:
    assert cost(upload("a", 1)) == 2
    assert cost(upload("a", 80 * 2**20)) == 14
