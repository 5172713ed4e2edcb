"""docs/PROOFS.md names a test for each promise and each trap, and every one of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/PROOFS.md").read_text()
TRAPS = {
    "Checksums",
    "Truncate during upload",
    "FIFO, socket, device",
    "Symlinks",
    "Keys that are not paths",
    "Trailing `/`",
    "`a` and `a/b` both exist",
    "Prefix boundary",
    "Names",
    "Multipart",
    "Object changed while being downloaded",
    "Echo",
    "inotify",
    "Vanished file, unreadable file, unreadable directory",
    "Empty mount",
    "Clock skew",
    "Credentials",
    "Server faults",
    "ENOSPC, EDQUOT, EIO, read-only file system",
    "Setuid bits",
    "Sparse and hard-linked files",
    "Log rotation",
}


def rows(section: str) -> list[list[str]]:
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_all_eighteen_promises_are_proved() -> None:
    assert [row[0] for row in rows("Promises") if row[0].isdigit()] == [str(number) for number in range(1, 19)]


def test_the_numbers_are_those_of_the_promises() -> None:
    promises = (ROOT / "docs/SYNC.md").read_text().split("\n## ")[0]
    assert re.findall(r"^(\d+)\. ", promises, re.MULTILINE) == [str(number) for number in range(1, 19)]


def test_all_traps_are_tried() -> None:
    assert {row[0] for row in rows("Traps")} - {"trap"} == TRAPS


def test_each_row_names_tests_and_all_of_them_exist() -> None:
    for row in rows("Promises") + rows("Traps"):
        if "test" in row:
            continue
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[-1])
        assert named, row
        assert [name for file, name in named if name not in functions(ROOT / file)] == [], row
