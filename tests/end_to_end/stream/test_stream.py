from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from feed import NOON, until
from streams import Heard, streaming
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.exchanges.base import StreamHandlers
from tui_feeder.engine.exchanges.binance import stream_connection, stream_pool
from tui_feeder.engine.exchanges.binance.routes import RouteError, market_url
from tui_feeder.engine.exchanges.binance.stream_connection import KlineSocket, StreamEndpoint
from tui_feeder.engine.exchanges.binance.stream_messages import order_batches
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


def exchange_at(rate: float, symbols: list[str] = SYMBOLS) -> Exchange:
    market = synthetic_market(symbols, as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=NOON, rate=rate))


@in_virtual_time
async def test_renewal_leaves_no_missing_minute() -> None:
    # A day in 24 s: the exchange would end the socket after its 24 h.
    async with exchange_at(3600.0) as exchange, streaming(exchange, ["BTCUSDT"]) as (streams, heard):
        await until(lambda: streams.sockets[0].renewals >= 1, 60)
        renewed = exchange.clock.now()
        await until(lambda: exchange.clock.now() > renewed + 30 * MINUTE_MS)
        assert renewed - NOON < 24 * 60 * MINUTE_MS
        assert streams.sockets[0].reconnects == 0
    minutes = sorted(set(heard.closed["BTCUSDT"]))
    assert {b - a for a, b in pairwise(minutes)} == {MINUTE_MS}
    assert minutes[-1] > renewed


@in_virtual_time
async def test_an_acknowledgement_without_data_is_a_dead_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_connection, "_FIRST_DATA_SECONDS", 1.0)
    async with exchange_at(60.0) as exchange:
        exchange.faults.switch_on("ack-without-data")
        async with streaming(exchange, ["BTCUSDT"]) as (streams, heard):
            await until(lambda: "no data" in streams.sockets[0].reason)
            assert "after subscribing" in streams.sockets[0].reason
            assert heard.frames == 0
            exchange.faults.switch_off("ack-without-data")
            await until(lambda: heard.frames > 0)
            assert streams.sockets[0].state == "live"


@pytest.mark.parametrize("how", ["1001", "1006", "1008", "reset"])
@in_virtual_time
async def test_a_lost_connection_is_made_again(how: str) -> None:
    async with exchange_at(60.0) as exchange, streaming(exchange, ["BTCUSDT"]) as (streams, heard):
        await until(lambda: heard.frames > 0)
        exchange.faults.switch_on("disconnect", code=how)
        await until(lambda: streams.sockets[0].reconnects == 1)
        before = heard.frames
        await until(lambda: heard.frames > before)
        assert streams.sockets[0].state == "live"


@in_virtual_time
async def test_a_half_open_connection_is_noticed_by_its_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_connection, "_SILENCE_SECONDS", 1.0)
    async with exchange_at(60.0) as exchange, streaming(exchange, SYMBOLS) as (streams, heard):
        await until(lambda: heard.frames > 0)
        exchange.faults.switch_on("half-open")
        await until(lambda: streams.sockets[0].reconnects == 1)
        before = heard.frames
        await until(lambda: heard.frames > before)


@in_virtual_time
async def test_frames_that_are_none_are_counted_and_the_socket_is_kept() -> None:
    async with exchange_at(60.0) as exchange, streaming(exchange, SYMBOLS) as (_streams, heard):
        await until(lambda: heard.frames > 0)
        exchange.faults.switch_on("garbage", duration=120)
        await until(lambda: len(set(heard.faults)) >= 3)
        exchange.faults.switch_off("garbage")
        before = heard.frames
        await until(lambda: heard.frames > before + 20)
    assert set(heard.faults) <= {"unreadable frame", "unknown event", "unexpected candle"}


@in_virtual_time
async def test_symbols_come_and_go_on_a_running_socket() -> None:
    async with exchange_at(60.0) as exchange, streaming(exchange, ["BTCUSDT"]) as (streams, heard):
        await until(lambda: len(heard.closed["BTCUSDT"]) > 0)
        streams.assign(["ETHUSDT", "SOLUSDT"])
        await until(lambda: heard.closed["ETHUSDT"] and heard.closed["SOLUSDT"])
        await asyncio.sleep(0.3)
        count = len(heard.closed["BTCUSDT"])
        await until(lambda: len(heard.closed["ETHUSDT"]) > 4)
        assert len(heard.closed["BTCUSDT"]) <= count + 1
        assert len(streams.sockets) == 1
        assert streams.sockets[0].reconnects == 0


@in_virtual_time
async def test_a_socket_whose_symbols_are_all_gone_ends_and_its_room_is_used_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_pool, "STREAMS_PER_SOCKET", 1)
    async with exchange_at(60.0) as exchange, streaming(exchange, SYMBOLS[:2]) as (streams, heard):
        await until(lambda: len(heard.closed) == 2)
        first, second = streams.sockets
        streams.assign(SYMBOLS[:1])
        assert streams.sockets == [first]
        await until(lambda: second.name not in {task.get_name() for task in asyncio.all_tasks()})
        assert second.reconnects == 0
        streams.assign([SYMBOLS[2]])  # the only socket is emptied and filled in one go: it stays
        assert streams.sockets == [first]
        await until(lambda: heard.closed[SYMBOLS[2]])
        assert first.reconnects == 0
        streams.assign([])
        assert streams.sockets == []
        await until(lambda: first.name not in {task.get_name() for task in asyncio.all_tasks()})
        streams.assign(SYMBOLS)
        await until(lambda: all(len(heard.closed[name]) > 2 for name in SYMBOLS))


@in_virtual_time
async def test_more_symbols_than_a_socket_takes_are_divided() -> None:
    names = [f"C{n}USDT" for n in range(250)]
    async with exchange_at(60.0, names) as exchange, streaming(exchange, names) as (streams, heard):
        assert sorted(len(one.symbols) for one in streams.sockets) == [50, 200]
        await until(lambda: len(heard.closed) == 250, 40)


def test_orders_stay_below_what_the_exchange_reads() -> None:
    names = [f"币安人生{n}usdt@kline_1m" for n in range(300)]
    batches = order_batches(names)
    assert [name for batch in batches for name in batch] == names
    assert all(len(batch) <= 100 and sum(len(n.encode()) + 3 for n in batch) < 4_000 for batch in batches)


def test_a_stream_of_another_category_is_refused() -> None:
    with pytest.raises(RouteError, match="depth"):
        market_url("wss://fstream.binance.com", ["btcusdt@kline_1m", "btcusdt@depth"])
    handlers = StreamHandlers(Heard().candle, Heard().fault)
    names = [f"C{n}USDT" for n in range(201)]
    endpoint = StreamEndpoint("ws://127.0.0.1:1", ExchangeClock(), asyncio.Event)
    with pytest.raises(ValueError, match="at most 200"):
        KlineSocket("x", names, endpoint, handlers)
