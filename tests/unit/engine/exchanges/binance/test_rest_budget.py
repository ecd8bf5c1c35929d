from __future__ import annotations

import asyncio

import pytest

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.exchanges.binance.rest_budget import WeightLedger

NOON = 1_700_000_040_000 // MINUTE_MS * MINUTE_MS


class Wall:
    """Exchange time that moves only when somebody waits for it, or the test says so."""

    def __init__(self) -> None:
        self.at = NOON
        self.waited: list[int] = []

    def now(self) -> int:
        return self.at

    async def sleep_until(self, until: int) -> None:
        self.waited.append(until)
        await asyncio.sleep(0)
        self.at = max(self.at, until)


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def ledger(wall: Wall) -> WeightLedger:
    return WeightLedger(2_400, wall.now, wall.sleep_until)


async def test_weight_adds_up_within_a_minute_and_is_forgotten_with_the_next(
    wall: Wall, ledger: WeightLedger
) -> None:
    await ledger.spend(2)
    await ledger.spend(5)
    assert ledger.used == 7
    wall.at += MINUTE_MS
    assert ledger.used == 0


async def test_bulk_reads_leave_a_fifth_for_live_repair(wall: Wall, ledger: WeightLedger) -> None:
    while not wall.waited:
        await ledger.spend(2)
    assert wall.waited == [NOON + MINUTE_MS]
    assert ledger.waits == 1
    assert ledger.used == 2
    wall.waited.clear()
    spent = 2
    while not wall.waited:
        await ledger.spend(2)
        spent += 2
    assert 1_890 <= spent - 2 <= 1_920


async def test_live_repair_may_use_what_bulk_reads_left_but_not_the_last_of_it(
    wall: Wall, ledger: WeightLedger
) -> None:
    ledger.correct(1_920, wall.at)
    await ledger.spend(10, urgent=True)
    assert wall.waited == []
    await ledger.spend(10)
    assert wall.waited == [NOON + MINUTE_MS]
    ledger.correct(2_395, wall.at)
    await ledger.spend(10, urgent=True)
    assert wall.waited == [NOON + MINUTE_MS, NOON + 2 * MINUTE_MS]


async def test_what_another_program_spent_counts(wall: Wall, ledger: WeightLedger) -> None:
    await ledger.spend(2)
    ledger.correct(2_300, wall.at)
    assert ledger.used == 2_300
    await ledger.spend(2)
    assert wall.waited == [NOON + MINUTE_MS]
    assert ledger.used == 2


async def test_an_answer_of_an_earlier_request_does_not_forget_those_under_way(
    wall: Wall, ledger: WeightLedger
) -> None:
    for _ in range(5):
        await ledger.spend(10)
    ledger.correct(10, wall.at)  # the exchange has seen only the first of five
    assert ledger.used == 50


async def test_an_answer_of_a_minute_that_is_over_counts_for_nothing(
    wall: Wall, ledger: WeightLedger
) -> None:
    answered = wall.at + MINUTE_MS - 1
    wall.at += MINUTE_MS
    ledger.correct(2_300, answered)
    assert ledger.used == 0


async def test_many_at_once_never_exceed_the_limit_of_any_minute(wall: Wall, ledger: WeightLedger) -> None:
    spent: dict[int, int] = {}

    async def one(weight: int) -> None:
        await ledger.spend(weight)
        minute = wall.at // MINUTE_MS
        spent[minute] = spent.get(minute, 0) + weight

    await asyncio.gather(*(one(10) for _ in range(700)))
    assert sum(spent.values()) == 7_000
    assert max(spent.values()) <= 1_920
    assert len(spent) == 4


async def test_a_limit_smaller_than_a_request_lets_one_through_a_minute(
    wall: Wall, ledger: WeightLedger
) -> None:
    ledger.limit = 1
    for _ in range(3):
        await asyncio.wait_for(ledger.spend(10), 5)
    assert wall.waited == [NOON + MINUTE_MS, NOON + 2 * MINUTE_MS]


async def test_the_limit_the_exchange_states_is_kept(wall: Wall, ledger: WeightLedger) -> None:
    ledger.limit = 100
    for _ in range(7):
        await ledger.spend(10)
    assert wall.waited == []
    await ledger.spend(10)
    assert wall.waited == [NOON + MINUTE_MS]
