"""Symbols of which the exchange gives nothing hold up no other, and say why they are not there."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from feed import NOON, configured, feeding, until
from virtual_time import in_virtual_time

from tui_feeder.config import Service
from tui_feeder.engine import snapshots
from tui_feeder.engine.acquisition.subscriptions import Subscriptions
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.exchanges.base import Page, Refusal, RestError
from tui_feeder.engine.exchanges.binance.answers import listings
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.monitor import SymbolState, SymbolView
from tui_feeder.service.engine_probe import EngineStatus
from tui_feeder.service.readiness import Check, checks
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

BTC = "BTCUSDT"
SILENT = [f"C{n}USDT" for n in range(7)]  # more than are read at once


def exchange_of(symbols: list[str], rate: float = 60.0) -> Exchange:
    market = synthetic_market(symbols, as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=NOON, rate=rate))


def shown(engine: Engine, symbol: str) -> SymbolView:
    return next(view for view in snapshots.take(engine, 1).symbols if view.symbol == symbol)


def readiness(engine: Engine) -> dict[str, Check]:
    status = EngineStatus(
        snapshot=snapshots.take(engine, 1), answer_seconds=0.0, uptime_seconds=1.0, lags={}, outboxes={},
        latencies={}, ban_until=0, disk_free=1 << 40,
    )  # fmt: skip
    return {check.name: check for check in checks(status, Service())}


@in_virtual_time
async def test_symbols_without_rows_hold_up_no_other_and_join_when_their_candles_come(
    tmp_path: Path,
) -> None:
    async with exchange_of([*SILENT, BTC]) as exchange:
        for symbol in SILENT:
            exchange.faults.switch_on("rest-empty", symbol)
        async with feeding(configured(exchange, [*SILENT, BTC]), tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
            await until(lambda: engine.state == "live")
            for symbol in SILENT:
                view = shown(engine, symbol)
                assert view.state is SymbolState.NO_DATA
                assert (
                    "the exchange shows no candle since 2026-03-07 00:00:00Z; asked again at" in view.reason
                )
            found = readiness(engine)
            assert found["history"].ok
            assert found["symbols"].ok
            assert found["symbols"].text.startswith(
                "1 of 1 are healthy; 7 are not available: C0USDT: the exchange"
            )
            lines = [event.text for event in engine.journal.events]
            assert any(line.startswith("live: 1 of 8 symbols; not live: C0USDT (no data)") for line in lines)
            told = [line for line in lines if "shows no candle since" in line]
            assert len(told) <= 3 * len(SILENT)  # on change, not with every try
            exchange.faults.switch_off()
            # Its next closed frame brings it in, long before its next try is due.
            await until(lambda: all(len(sink.minutes(symbol)) >= 2 for symbol in SILENT))
            assert all(shown(engine, symbol).state is SymbolState.LIVE for symbol in SILENT)


@in_virtual_time
async def test_an_engine_of_which_no_symbol_can_be_had_is_not_ready_and_says_why(tmp_path: Path) -> None:
    async with exchange_of(SILENT[:1]) as exchange:
        exchange.faults.switch_on("rest-empty", SILENT[0])
        async with feeding(configured(exchange, SILENT[:1]), tmp_path) as (engine, _):
            await until(lambda: engine.tracked and engine.tracked[SILENT[0]].phase == "no data")
            found = readiness(engine)["history"]
            assert not found.ok
            assert found.text.startswith(
                "the engine is backfill: no symbol is available: C0USDT: no data: "
                "the exchange shows no candle"
            )


@in_virtual_time
async def test_a_symbol_that_is_dropped_before_it_was_live_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = RestClient.page

    async def refused(rest: RestClient, symbol: str, *query: Any, urgent: bool) -> Page:  # noqa: ANN401
        if symbol == SILENT[0]:
            raise RestError(Refusal.EXCHANGE_ERROR, "the exchange answers 503")
        return await ask(rest, symbol, *query, urgent=urgent)

    monkeypatch.setattr(RestClient, "page", refused)
    async with (
        exchange_of([SILENT[0], BTC]) as exchange,
        feeding(configured(exchange, [SILENT[0], BTC]), tmp_path) as (engine, sink),
    ):
        await until(lambda: len(sink.minutes(BTC)) >= 2)
        assert engine.state == "backfill"  # it may still be had
        engine.subscriptions.drop(SILENT[0])
        await until(lambda: engine.state == "live")
        assert list(engine.tracked) == [BTC]


@in_virtual_time
async def test_a_symbol_that_is_settling_at_the_start_is_not_read(tmp_path: Path) -> None:
    async with (
        exchange_of([BTC]) as exchange,
        feeding(configured(exchange, [BTC, "SRMUSDT"]), tmp_path) as (engine, sink),
    ):
        await until(lambda: len(sink.minutes(BTC)) >= 1)
        await until(lambda: engine.state == "live")
        view = shown(engine, "SRMUSDT")
        assert (view.state, view.reason) == (
            SymbolState.DELISTED, "the exchange trades it no longer (SETTLING)"
        )  # fmt: skip
        assert not engine.supervisor.alive("history SRMUSDT")
        assert not [gap for gap in engine.recovery.open_gaps() if gap.symbol == "SRMUSDT"]


class Noted:
    """A host that writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start_symbol(self, one: TrackedSymbol) -> None:
        self.calls.append(f"start {one.symbol}")

    def remove_symbol(self, symbol: str) -> None:
        self.calls.append(f"remove {symbol}")

    def halt_symbol(self, symbol: str) -> None:
        self.calls.append(f"halt {symbol}")

    def phases_changed(self) -> None:
        self.calls.append("phases")


@pytest.mark.parametrize(
    ("status", "phase", "reason"),
    [
        ("PENDING_TRADING", "pending", "the exchange does not trade it yet (PENDING_TRADING)"),
        ("SETTLING", "delisted", "the exchange trades it no longer (SETTLING)"),
        ("CLOSE", "delisted", "the exchange trades it no longer (CLOSE)"),
    ],
)
@pytest.mark.parametrize("before", ["waiting", "backfill", "no data", "live"])
def test_what_is_not_traded_is_asked_for_no_more_until_it_is(
    status: str, phase: str, reason: str, before: str
) -> None:
    host, clock = Noted(), ExchangeClock()
    exchange = SimpleNamespace(clock=clock)
    subscriptions = Subscriptions(["AUSDT"], exchange, Journal(clock.now), host)

    def list_as(text: str) -> None:
        entry = {
            "symbol": "AUSDT",
            "status": text,
            "filters": [{"filterType": "PRICE_FILTER", "tickSize": "1"}],
        }
        subscriptions.listed = listings(json.dumps({"symbols": [entry]}).encode())[0].symbols
        subscriptions.assign(["AUSDT"])

    list_as("TRADING")
    subscriptions.tracked["AUSDT"].phase = before
    host.calls.clear()
    list_as(status)
    one = subscriptions.tracked["AUSDT"]
    assert (one.phase, one.reason) == (phase, reason)
    list_as(status)
    assert host.calls == ["halt AUSDT", "phases", "phases"]
    list_as("TRADING")
    assert one.phase == "waiting"
    assert host.calls[-2:] == ["start AUSDT", "phases"]


@in_virtual_time
async def test_when_rest_is_back_what_it_refused_is_tried_at_once(tmp_path: Path) -> None:
    async with exchange_of([BTC]) as exchange:
        config = configured(exchange, [BTC], recovery_deadline_seconds=600)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(BTC)) >= 2)
            exchange.faults.switch_on("ack-without-data")  # no frame from now on: REST alone
            exchange.faults.switch_on("refuse-connections")
            begun = exchange.clock.now()
            await until(lambda: exchange.clock.now() > begun + 7 * MINUTE_MS)
            await until(lambda: any(gap.refused for gap in engine.recovery.open_gaps()))
            for gap in engine.recovery.open_gaps():
                gap.next_try = exchange.clock.now() + 600 * MINUTE_MS  # as after hours of outage
            exchange.faults.switch_off("refuse-connections")
            end = exchange.clock.now() // MINUTE_MS * MINUTE_MS
            await until(lambda: sink.minutes(BTC)[-1] >= end, 30)
            assert any("REST gives candles again" in event.text for event in engine.journal.events)


@in_virtual_time
async def test_a_start_that_does_not_reach_the_exchange_shows_its_symbols_and_the_whole_reason(
    tmp_path: Path,
) -> None:
    async with exchange_of([BTC]) as exchange:
        config = configured(exchange, [BTC, "*USDC"], days=1)
        exchange.faults.switch_on("refuse-connections", how="reset")
        async with feeding(config, tmp_path) as (engine, _):
            await until(lambda: snapshots.take(engine, 1).not_ready)
            shown = snapshots.take(engine, 2)
            assert shown.state == "starting"
            assert [view.symbol for view in shown.symbols] == [BTC, "*USDC"]
            assert {view.state for view in shown.symbols} == {SymbolState.WAITING}
            assert "0 minutes are stored" in shown.symbols[0].reason
            assert "a pattern" in shown.symbols[1].reason
            assert exchange.rest_url in shown.not_ready
            exchange.faults.switch_off("refuse-connections")
            await until(lambda: snapshots.take(engine, 3).state == "live")
            healed = snapshots.take(engine, 4)
            assert healed.not_ready == ""
            assert [view.symbol for view in healed.symbols] == [BTC]
