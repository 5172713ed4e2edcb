"""Durations, byte counts and percentages."""

from __future__ import annotations

import pytest

from contract.quantity import format_duration, parse_bytes, parse_duration, parse_share


@pytest.mark.parametrize(
    ("text", "seconds"), [("15s", 15), ("500ms", 0.5), ("1m", 60), ("1m30s", 90), ("1.5h", 5400), ("0", 0), ("0s", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "15 s", "s", "-1s", "1d", "1e3s", "15S", "١s", "1s\n"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [0, 0.001, 0.5, 15, 90, 3600.25])
def test_a_duration_reads_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1024", 1024), ("256Mi", 256 * 2**20), ("1.5k", 1500), ("2G", 2 * 10**9), ("1Ti", 2**40)],
)
def test_byte_counts(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "Mi", "-1", "1MB", "1 Mi", "1mi", "10%", "٣"])
def test_what_is_no_byte_count(text: str) -> None:
    with pytest.raises(ValueError, match="no byte count"):
        parse_bytes(text)


def test_percentages() -> None:
    assert parse_share("15%") == 0.15
    for text in ("15", "101%", "-1%", "%"):
        with pytest.raises(ValueError, match="no percentage"):
            parse_share(text)
