"""How many at once, against servers made of arithmetic: distance, capacity, and noise."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from sidecar.transfer.pace import FIRST, LEAST, MODEST, MOST, Pace

COST = 0.00015  # seconds of our own processor for one transfer


class Simulation:
    """``count`` transfers to a server: each takes ``distance`` seconds, all together ``capacity`` a second.

    Time goes on by one transfer at a time; ``noise`` multiplies how long it takes.
    """

    def __init__(self, distance: float, capacity: float, noise: Callable[[], float] = lambda: 1.0) -> None:
        self.distance, self.capacity, self.noise = distance, capacity, noise
        self.time = self.cpu = 0.0
        self.pace = Pace(lambda: self.time, lambda: self.cpu)
        self.highest = FIRST

    def run(self, count: int, *, full: bool = True, size: int = 4096) -> float:
        """Seconds that it took."""
        started = self.time
        self.pace.begin()
        for _ in range(count):
            each = max(self.distance / self.pace.limit, 1 / self.capacity, COST)
            self.time += each * self.noise()
            self.cpu += COST
            self.pace.ended(size, full=full)
            self.highest = max(self.highest, self.pace.limit)
        return self.time - started


def test_beside_a_fast_server_a_few_are_enough() -> None:
    near = Simulation(distance=0.0005, capacity=100_000)
    near.run(10_000)
    assert near.pace.limit == FIRST


def test_far_away_it_grows_until_we_work_rather_than_wait() -> None:
    far = Simulation(distance=0.04, capacity=100_000)
    seconds = far.run(10_000)
    assert far.pace.limit >= 128
    assert seconds < 1.5 * 10_000 * 0.04 / 256


@pytest.mark.parametrize("seed", range(10))
def test_far_away_it_grows_through_noise(seed: int) -> None:
    dice = random.Random(seed)
    far = Simulation(distance=0.04, capacity=100_000, noise=lambda: dice.choice((0.3, 0.5, 1.0, 2.0, 3.0)))
    far.run(10_000)
    assert far.pace.limit >= 80


@pytest.mark.parametrize("seed", range(10))
def test_it_never_stays_at_its_first_number_where_waiting_is_all_there_is(seed: int) -> None:
    """Long gusts that slow everything: a doubling looks useless, and is tried again."""
    dice = random.Random(seed)
    gust = [1.0]

    def noise() -> float:
        if dice.random() < 0.002:
            gust[0] = dice.choice((0.6, 1.0, 3.0))
        return gust[0]

    far = Simulation(distance=0.04, capacity=100_000, noise=noise)
    far.run(20_000)
    assert far.pace.limit >= MODEST


def test_a_server_at_its_limit_gets_a_modest_number() -> None:
    loaded = Simulation(distance=0.001, capacity=1_500)
    loaded.run(20_000)
    assert loaded.highest <= 2 * MODEST, "it is tried now and then whether more would pay"
    while loaded.pace.limit > MODEST:
        loaded.run(100)
    assert loaded.pace.limit > FIRST


def test_more_are_never_tried_than_there_is_work_for() -> None:
    sparse = Simulation(distance=0.04, capacity=100_000)
    sparse.run(5_000, full=False)
    assert sparse.pace.limit == FIRST


def test_it_has_an_end() -> None:
    endless = Simulation(distance=10.0, capacity=100_000)
    endless.run(20_000)
    assert endless.highest <= MOST


def test_a_server_that_asks_for_patience_gets_half_once_for_all_that_were_under_way() -> None:
    far = Simulation(distance=0.04, capacity=100_000)
    far.run(10_000)
    before = far.pace.limit
    for _ in range(before):
        far.pace.refused()
    assert far.pace.limit == before // 2


def test_it_never_goes_below_a_few_and_recovers() -> None:
    far = Simulation(distance=0.04, capacity=100_000)
    for _ in range(10):
        far.pace.refused()
        far.run(3_000)
    assert far.pace.limit >= LEAST
    far.run(100_000)
    assert far.pace.limit >= 128


def test_large_files_count_by_their_bytes() -> None:
    """Twice as many at once are twice as fast although the files that come then are larger and fewer."""
    far = Simulation(distance=0.04, capacity=100_000)
    far.run(500, size=0)
    grown = far.pace.limit
    far.run(500, size=2**20)
    assert far.pace.limit >= grown
