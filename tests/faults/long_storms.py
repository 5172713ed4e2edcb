"""The storms that last for minutes, since the sidecar must lose patience by itself: part of ``make torture``."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Battered
from tests.faults.storms import LONG_STORMS, Storm
from tests.faults.weather import weather


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("storm", LONG_STORMS, ids=str)
def test_silence_is_borne_for_a_while_and_then_given_up(battered: Battered, storm: Storm) -> None:
    def begin() -> None:
        battered.proxy.script = storm.make()

    weather(battered, storm.name, begin, storm.hits, within=600)
