"""Names derived from other names: always one DNS label, and never two names made one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contract.names import dns_label, export_volume, is_dns_label


@given(st.text(max_size=300))
def test_every_name_becomes_a_label(name: str) -> None:
    assert is_dns_label(dns_label(name))
    assert is_dns_label(export_volume(name))


@given(st.text("abc.-", min_size=1, max_size=80), st.text("abc.-", min_size=1, max_size=80))
def test_two_names_stay_two(one: str, other: str) -> None:
    assert (export_volume(one) == export_volume(other)) == (one == other)


def test_a_plain_name_is_kept() -> None:
    assert export_volume("os-stats") == "export-os-stats"
    assert len(export_volume("w" * 253)) == 63
