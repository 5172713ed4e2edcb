"""Storms between the running sidecar and a real server: what comes after is as if there had been none."""

from __future__ import annotations

import pytest

from tests.fakes.faults import refusal
from tests.fakes.proxy import Fault
from tests.faults.conftest import Battered
from tests.faults.storms import STORMS, Storm

LARGE = 9 * 2**20  # bytes: more than goes in one PUT
FILES = 6
MANY = 400
MOST_MEMORY = 96 * 2**20  # bytes that a storm may add, a few large bodies under way included


def _body(name: str, version: int, size: int) -> bytes:
    return (f"{name} {version} ".encode() * (size // 10 + 1))[:size]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("storm", STORMS, ids=str)
def test_after_the_storm_both_sides_agree_and_nothing_is_lost(battered: Battered, storm: Storm) -> None:
    top = storm.name.replace(" ", "-")
    sizes = {f"{top}/{number}": 200 * 4**number for number in range(FILES)}
    for path, size in sizes.items():  # there before, and changed during the storm
        battered.write(path, _body(path, 1, size))
        battered.put(path, _body(path, 1, size))
    settle(battered, sizes, version=1)

    memory, faults = battered.memory(), battered.proxy.faults
    battered.proxy.script = storm.make()
    for path, size in sizes.items():
        battered.write(path, _body(path, 2, size))
        battered.put(path, _body(path, 2, size))
    battered.sidecar.wait_for(lambda: hit(battered, sizes, faults + storm.hits), f"the storm {storm} is felt")
    assert battered.sidecar.get("/livez")[0] == 200
    assert battered.memory() - memory < MOST_MEMORY
    battered.proxy.calm()

    settle(battered, sizes, version=2)
    conflicts = [key for key in battered.all_keys() if ".conflict-" in key]
    assert conflicts == [], "the sidecar knows its own objects again"
    assert not list(battered.sidecar.export.rglob("*.conflict-*"))


def hit(battered: Battered, sizes: dict[str, int], count: int) -> bool:
    """Whether the storm has done its work; meanwhile nobody may see anything but whole versions."""
    look_whole(battered, sizes)
    return battered.proxy.faults >= count


def settle(battered: Battered, sizes: dict[str, int], version: int) -> None:
    """Wait until both sides have ``version`` of everything."""
    for path, size in sizes.items():
        body = _body(path, version, size)
        battered.sidecar.wait_for(lambda path=path, body=body: battered.sent(path) == body, f"{path} is sent")  # type: ignore[misc]
        battered.sidecar.wait_for(lambda path=path, body=body: battered.arrived(path) == body, f"{path} arrives")  # type: ignore[misc]
    look_whole(battered, sizes)


def look_whole(battered: Battered, sizes: dict[str, int]) -> None:
    """Whatever is visible on either side is one version or the other."""
    for path, size in sizes.items():
        whole = {None, _body(path, 1, size), _body(path, 2, size)}
        assert battered.arrived(path) in whole
        assert battered.sent(path) in whole


@pytest.mark.timeout(300)
def test_a_large_file_gets_through_broken_connections(battered: Battered) -> None:
    body = _body("large", 1, LARGE)

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
