"""What every storm must leave behind: both sides agree, nothing is lost, and nobody ever saw half a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.faults.conftest import Battered
from tests.walks.sidecar_process import DEADLINE

FILES: Final = 6
MOST_MEMORY: Final = 96 * 2**20  # bytes that a storm may add, a few large bodies under way included


def body(name: str, version: int, size: int) -> bytes:
    """``size`` bytes that only this version of ``name`` has."""
    return (f"{name} {version} ".encode() * (size // 10 + 1))[:size]


def weather(battered: Battered, name: str, begin: Callable[[], None], hits: int, within: float = DEADLINE) -> None:
    """Live through a storm that ``begin`` starts and that is over when the proxy has hit ``hits`` times.

    ``within``: seconds that the storm may take to be felt, and both sides to agree after it.
    """
    top = name.replace(" ", "-")
    sizes = {f"{top}/{number}": 200 * 4**number for number in range(FILES)}
    _write(battered, sizes, 1)  # there before, and changed during the storm
    _settle(battered, sizes, 1, within)

    memory, faults = battered.memory(), battered.proxy.faults
    begin()
    _write(battered, sizes, 2)

    def felt() -> bool:
        _look_whole(battered, sizes)
        return battered.proxy.faults >= faults + hits

    battered.sidecar.wait_for(felt, f"the storm is felt: {name}", within)
    assert battered.sidecar.get("/livez")[0] == 200
    assert battered.memory() - memory < MOST_MEMORY
    battered.proxy.calm()

    _settle(battered, sizes, 2, within)
    conflicts = [key for key in battered.all_keys() if ".conflict-" in key]
    assert conflicts == [], "the sidecar knows its own objects again"
    assert not list(battered.sidecar.export.rglob("*.conflict-*"))


def _write(battered: Battered, sizes: dict[str, int], version: int) -> None:
    for path, size in sizes.items():
        battered.write(path, body(path, version, size))
        battered.put(path, body(path, version, size))


def _settle(battered: Battered, sizes: dict[str, int], version: int, within: float) -> None:
    """Wait until both sides have ``version`` of everything."""
    for path, size in sizes.items():
        whole = body(path, version, size)
        battered.sidecar.wait_for(lambda p=path, w=whole: battered.sent(p) == w, f"{path} is sent", within)  # type: ignore[misc]
        battered.sidecar.wait_for(lambda p=path, w=whole: battered.arrived(p) == w, f"{path} arrives", within)  # type: ignore[misc]
    _look_whole(battered, sizes)


def _look_whole(battered: Battered, sizes: dict[str, int]) -> None:
    """Whatever is visible on either side is one version or the other."""
    for path, size in sizes.items():
        whole = {None, body(path, 1, size), body(path, 2, size)}
        assert battered.arrived(path) in whole
        assert battered.sent(path) in whole
