"""The machine of ``machine.py`` for long and at random: part of ``make torture``. Hypothesis keeps what it finds."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from demo.s3server import S3Server
from tests.properties.machine import BothSides, on_server


@pytest.mark.timeout(3600)
def test_many_acts_in_any_order_lose_nothing() -> None:
    many = settings(max_examples=500, stateful_step_count=40)
    run_state_machine_as_test(BothSides, settings=many)


@pytest.mark.timeout(3600)
def test_many_acts_in_any_order_lose_nothing_on_a_real_server(s3_server: S3Server) -> None:
    many = settings(max_examples=150, stateful_step_count=30)
    run_state_machine_as_test(on_server(s3_server), settings=many)
