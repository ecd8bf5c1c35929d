"""Several markets as one exchange: who is asked, and what one that does not answer costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from tui_feeder.engine.core.clock import ExchangeClock, Step
from tui_feeder.engine.exchanges.base import (
    Exchange,
    ExchangeStatus,
    Listings,
    MarketFacts,
    Refusal,
    RestError,
    SymbolInfo,
)
from tui_feeder.engine.exchanges.binance.markets import BinanceMarkets
from tui_feeder.engine.exchanges.binance.rest_budget import RequestBudget
from tui_feeder.engine.exchanges.binance.usdm import USDM


class MadeUpMarket:
    """A market that lists some names, or refuses."""

    def __init__(self, address: str, *names: str) -> None:
        self.address, self.probe_symbol = address, names[0]
        self.found = Listings({name: SymbolInfo(name, 0.1) for name in names}, {})
        self.refuses = False
        self.unpaused = asyncio.Event()
        self.unpaused.set()
        self.asked = self.used = 0

    async def listings(self, wanted: Sequence[str]) -> Listings:
        self.asked += 1
        await self.unpaused.wait()
        if self.refuses:
            raise RestError(Refusal.TIMEOUT, "no answer within 1 s")
        return self.found

    async def sync_clock(self) -> Step:
        self.asked += 1
        await self.unpaused.wait()
        if self.refuses:
            raise RestError(Refusal.TIMEOUT, "no answer within 1 s")
        return Step(0.0, 1)

    def facts(self, symbol: str) -> MarketFacts:
        return replace(USDM.facts, name=self.address)

    def status(self) -> ExchangeStatus:
        if not self.unpaused.is_set():
            return ExchangeStatus("rate limited", silenced=True, waiting="REST asked for a pause")
        state = "timeout" if self.refuses else "ok"
        return ExchangeStatus(state, requests=self.asked, weight_used=self.used, weight_limit=2_400)


@pytest.fixture
def parts() -> dict[str, MadeUpMarket]:
    return {
        "": MadeUpMarket("usual", "BTCUSDT", "ETHUSDT"),
        "spot": MadeUpMarket("spot", "spot:BTCUSDT"),
        "coinm": MadeUpMarket("coinm", "coinm:BTCUSD_PERP"),
    }


def markets(parts: dict[str, MadeUpMarket], *wanted: str) -> BinanceMarkets:
    return BinanceMarkets(cast("dict[str, Exchange]", parts), ExchangeClock(), wanted)


async def test_only_the_markets_of_wanted_symbols_are_asked(parts: dict[str, MadeUpMarket]) -> None:
    exchange = markets(parts, "spot:*USDT")
    assert (exchange.address, exchange.probe_symbol) == ("spot", "spot:BTCUSDT")
    await exchange.sync_clock()
    assert list((await exchange.listings(["spot:*USDT"])).symbols) == ["spot:BTCUSDT"]
    assert [part.asked for part in parts.values()] == [0, 2, 0]
    found = await exchange.listings(["BTCUSDT", "spot:BTCUSDT"])
    assert list(found.symbols) == ["BTCUSDT", "ETHUSDT", "spot:BTCUSDT"]
    assert [part.asked for part in parts.values()] == [1, 3, 0]
    assert exchange.address == "usual"
    assert exchange.status().requests == 4


def test_the_weight_is_that_of_the_market_nearest_to_its_limit_with_its_name(
    parts: dict[str, MadeUpMarket],
) -> None:
    exchange = markets(parts, "BTCUSDT", "spot:BTCUSDT")
    for name, used in (("spot", 20), ("", 30)):
        parts[name].used = used
        status = exchange.status()
        assert (status.weight_market, status.weight_used) == (parts[name].address, used)
    assert markets(parts, "spot:BTCUSDT").status().weight_market == ""


async def test_a_market_that_does_not_answer_holds_up_no_other(parts: dict[str, MadeUpMarket]) -> None:
    wanted = ["BTCUSDT", "spot:BTCUSDT", "spot:*", "coinm:BTCUSD_PERP"]
    exchange = markets(parts, *wanted)
    parts["spot"].refuses = True
    found = await exchange.listings(wanted)
    assert "spot:BTCUSDT" not in found.symbols
    assert found.unusable == {
        "spot:BTCUSDT": "the list of its market could not be read: no answer within 1 s"
    }
    assert exchange.status().state == "timeout"
    parts["spot"].refuses = False
    assert "spot:BTCUSDT" in (await exchange.listings(wanted)).symbols
    # What was listed once is kept while its market does not answer.
    parts["spot"].refuses = parts[""].refuses = True
    assert {"BTCUSDT", "spot:BTCUSDT"} <= (await exchange.listings(wanted)).symbols.keys()
    await exchange.sync_clock()
    parts["coinm"].refuses = True
    with pytest.raises(RestError, match="no answer"):
        await exchange.listings(wanted)


async def test_a_market_that_asked_for_a_pause_holds_up_no_other(parts: dict[str, MadeUpMarket]) -> None:
    wanted = ["BTCUSDT", "spot:BTCUSDT"]
    exchange = markets(parts, *wanted)
    parts[""].unpaused.clear()
    async with asyncio.timeout(5):
        await exchange.sync_clock()
        found = await exchange.listings(wanted)
    assert list(found.symbols) == ["spot:BTCUSDT"]
    assert found.unusable == {"BTCUSDT": "the list of its market could not be read: REST asked for a pause"}
    # Where all of them did, the pause is waited for.
    parts["spot"].unpaused.clear()
    waiting = asyncio.create_task(exchange.listings(wanted))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    for name in ("", "spot"):
        parts[name].unpaused.set()
    assert set((await waiting).symbols) >= set(wanted)


def test_a_ban_known_before_the_clock_is_lasts_no_longer_when_another_market_shows_the_time() -> None:
    """This machine's time of day is months ahead: by it the ban would last for months."""
    clock = ExchangeClock()
    known, paused, free = (RequestBudget(2_400, clock) for _ in range(3))
    known.banned_until = clock.now() + 60_000  # as a note of an earlier run says
    paused.paused_until = clock.now() + 5_000
    at, march = time.monotonic(), 1_773_144_000_000
    clock.measure([(at, march, at)])
    assert 59_000 < known.banned_until - clock.now() <= 60_000
    assert 4_000 < paused.paused_until - clock.now() <= 5_000
    assert (free.banned_until, free.paused_until, known.paused_until) == (0, 0, 0)
    clock.measure([(at, march + 90_000, at)])  # what the exchange stated in its own time stays
    assert -31_000 < known.banned_until - clock.now() <= -29_000


def test_of_markets_that_share_a_budget_the_least_limit_counts() -> None:
    budget = RequestBudget(2_400, ExchangeClock())
    budget.state_limit("usdm", 2_400)
    budget.state_limit("coinm", 6_000)
    assert budget.ledger.limit == 2_400
    budget.state_limit("coinm", 1_200)
    assert budget.ledger.limit == 1_200
