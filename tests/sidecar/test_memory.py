"""Promise 17: the memory of a walk, of its plan and of the index does not grow with the number of files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

GROWTH = 12 * 2**20  # bytes; 90,000 entries or rows held at once would take 40 MiB and more

PROGRAM = """
import resource, sys, time
from contract.mapping import Direction, Mapping
from sidecar.state.index import Index, Scope
from sidecar.selection.filtering import Filter
from sidecar.local.directories import Root
from sidecar.local.scan import walk, walk_runs
from sidecar.skim import skim
from sidecar.plan import plan_egress
from sidecar.tree import Agreed, ETag

mapping = Mapping(Direction.EGRESS, ".", "t", exclude=("*.tmp",))
index = Index(sys.argv[2])
scope = index.scope(Scope("e", "b", mapping, "id"))
with Root(sys.argv[1]) as root:
    def files():
        return walk(root, ".", print, Filter(mapping).kept)
    for entry in files():
        index.record(scope, Agreed(entry.path, entry.fingerprint, b"x" * 32, ETag("etag"), 0))
    absent = []
    planned = sum(1 for _ in plan_egress(files(), index.rows(scope), None, time.time(), absent.append))
    with index.outlines(scope) as take:
        planned += sum(1 for _ in skim(walk_runs(root, ".", print, Filter(mapping).kept), take, absent.extend))
index.close()
print(planned, len(absent), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def peak(top: Path, index: Path) -> int:
    command = [sys.executable, "-c", PROGRAM, str(top), str(index)]
    words = subprocess.run(command, check=True, capture_output=True, text=True, timeout=110).stdout.split()
    assert words[:2] == ["0", "0"], "everything is agreed, and nothing is missing"
    return int(words[2])


def grow(top: Path, first: int, last: int) -> None:
    for number in range(first, last):
        directory = top / f"{number:03}"
        directory.mkdir()
        for name in range(1000):
            os.mknod(directory / f"a-rather-ordinary-name-{name:04}.json")


def test_ten_times_as_many_files_take_no_more_memory(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    grow(top, 0, 10)
    few = peak(top, tmp_path / "few")
    grow(top, 10, 100)
    many = peak(top, tmp_path / "many")
    assert many - few < GROWTH, f"{few} bytes for 10,000 files, {many} for 100,000"


LARGE_BLOCKS = """
import ctypes
from sidecar.local.syscalls import give_back_large_blocks

give_back_large_blocks()
first = bytearray(9 * 2**20)
del first
second = bytearray(8 * 2**20)
address = ctypes.addressof(ctypes.c_char.from_buffer(second))
for line in open("/proc/self/maps"):
    if "[heap]" in line:
        start, end = (int(number, 16) for number in line.split()[0].split("-"))
        print(start <= address < end)
"""


def test_large_blocks_stay_out_of_the_heap_even_after_larger_ones_were_freed() -> None:
    done = subprocess.run([sys.executable, "-c", LARGE_BLOCKS], capture_output=True, text=True, check=True)
    assert "True" not in done.stdout
