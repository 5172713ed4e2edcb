"""What ``make soak`` says of figures that grow, and of those that do not. The soak itself takes half an hour."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.torture.soak import ALLOWED, Sample, grown, report

LEVEL = [
    Sample(5.0 * number, 45.0 + number % 3, 30 + number % 2, 20, 40, number, number, number) for number in range(80)
]


def test_what_only_wavers_has_not_grown() -> None:
    assert grown(LEVEL) == {}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_rises_all_the_time_has_grown(name: str) -> None:
    rising = [replace(one, **{name: getattr(one, name) + number * 0.5}) for number, one in enumerate(LEVEL)]
    assert list(grown(rising)) == [name]


def test_the_page_has_a_row_for_every_few_minutes_and_a_line_for_each_figure() -> None:
    page = report(LEVEL, "Nothing grew.")
    assert page.count("\n|") >= 12
    assert [line.split()[0] for line in page.split("```")[1].strip().splitlines()] == list(ALLOWED)
