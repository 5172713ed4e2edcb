"""Storms between the running sidecar and a real server: what comes after is as if there had been none."""

from __future__ import annotations

import pytest

from tests.fakes.faults import refusal
from tests.fakes.proxy import Fault
from tests.faults.conftest import Battered
from tests.faults.storms import STORMS, Storm
from tests.faults.weather import body as body_of
from tests.faults.weather import weather

LARGE = 9 * 2**20  # bytes: more than goes in one PUT
MANY = 400


@pytest.mark.timeout(300)
@pytest.mark.parametrize("storm", STORMS, ids=str)
def test_after_the_storm_both_sides_agree_and_nothing_is_lost(battered: Battered, storm: Storm) -> None:
    def begin() -> None:
        battered.proxy.script = storm.make()

    weather(battered, storm.name, begin, storm.hits)


@pytest.mark.timeout(300)
def test_a_large_file_gets_through_broken_connections(battered: Battered) -> None:
    body = body_of("large", 1, LARGE)

    def script(asked: object) -> Fault | None:
        return Fault(sent=100_000) if getattr(asked, "size", 0) > 2**20 and battered.proxy.faults < until else None

    until = battered.proxy.faults + 2
    battered.proxy.script = script
    battered.write("large", body)
    battered.sidecar.wait_for(lambda: battered.sent("large") == body, "the large file is sent")
    battered.proxy.calm()
    listed = battered.client.list_multipart_uploads(Bucket=battered.bucket).get("Uploads", [])
    assert listed == []


@pytest.mark.timeout(300)
def test_a_server_that_refuses_everything_costs_little_however_much_there_is_to_do(battered: Battered) -> None:
    battered.proxy.script = lambda _asked: Fault(answer=refusal(500, "InternalError"))
    for number in range(MANY):
        battered.write(f"many/{number}", b"x")
    battered.sidecar.wait_cycles(2)
    before, cycle = battered.proxy.requests.total(), battered.sidecar.status()["cycle"]
    battered.sidecar.wait_cycles(2)
    cycles = battered.sidecar.status()["cycle"] - cycle + 1
    # 200 tries again in a cycle, a few tens of first tries until the server counts as down; each file
    # would have had four of its own.
    assert (battered.proxy.requests.total() - before) / cycles < MANY
    battered.proxy.calm()
    battered.sidecar.wait_for(
        lambda: all(battered.sent(f"many/{number}") == b"x" for number in (0, MANY - 1)), "everything is sent after all"
    )
