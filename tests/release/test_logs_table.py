"""The table of log lines: what it reads, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.logs_table import Line, Unstable, lines


def of(root: Path, source: str) -> list[Line]:
    (root / "sidecar").mkdir()
    (root / "sidecar" / "one.py").write_text(f"def f():\n    {source}\n")
    return lines(root)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('log.info("sent", **fields(path=1, bytes=2))', [Line("sidecar", "sent", "info", ("bytes", "path"))]),
        ('log.log(logging.INFO, "cycle")', [Line("sidecar", "cycle", "info or warning", ())]),
        (
            'log.warning("a" if x else "b", **fields(c=1))',
            [Line("sidecar", "a", "warning", ("c",)), Line("sidecar", "b", "warning", ("c",))],
        ),
        ('log.error("x", **fields(**({"d": 1} if y else {})))', [Line("sidecar", "x", "error", ("d",))]),
        ('r = {"n": 1}\n    log.error("x", **fields(**r))', [Line("sidecar", "x", "error", ("n",))]),
        ('log.debug("hidden")', []),
        (
            'log.info("x", **fields(a=1))\n    log.error("x", **fields(b=1))',
            [Line("sidecar", "x", "info, error", ("a", "b"))],
        ),
    ],
)
def test_a_line_is_read_with_its_fields(tmp_path: Path, source: str, expected: list[Line]) -> None:
    assert of(tmp_path, source) == expected


@pytest.mark.parametrize("source", ["log.info(text)", 'log.info(f"sent {path}")', 'log.info("sent " + path)'])
def test_a_message_that_varies_is_refused_by_its_place(tmp_path: Path, source: str) -> None:
    with pytest.raises(Unstable, match=r"one\.py:2"):
        of(tmp_path, source)
