"""The machine of ``machine.py``, the same few runs each time: on the fake store, and on a real server.

What a run tries should not depend on luck here; ``long_machine.py`` tries others.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from demo.s3server import S3Server
from tests.properties.machine import BothSides, on_server


@pytest.mark.timeout(600)
def test_any_acts_in_any_order_lose_nothing() -> None:
    few = settings(max_examples=25, stateful_step_count=30, derandomize=True)
    run_state_machine_as_test(BothSides, settings=few)


@pytest.mark.timeout(600)
def test_any_acts_in_any_order_lose_nothing_on_a_real_server(s3_server: S3Server) -> None:
    few = settings(max_examples=8, stateful_step_count=20, derandomize=True)
    run_state_machine_as_test(on_server(s3_server), settings=few)
