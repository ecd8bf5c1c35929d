"""A minute that is called closed too early, or closed twice with different values: the truth wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from feed import until
from holding import BTC, ETH, exchange_of, feed_of
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import MINUTE_MS, Candle
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.exchanges.base import StreamHandlers
from tui_feeder.engine.exchanges.binance.stream_connection import KlineSocket, StreamEndpoint

OPEN = 1_773_144_000_000


def frame(event: int, *, closed: bool = True) -> bytes:
    flag = b"true" if closed else b"false"
    return (
        b'{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":%d,"s":"BTCUSDT","k":{"t":%d,"T":%d,'
        b'"s":"BTCUSDT","i":"1m","o":"1","c":"1","h":"1","l":"1","v":"1","n":1,"x":%b,"q":"1","V":"0","Q":"0"}}}'
    ) % (event, OPEN, OPEN + MINUTE_MS - 1, flag)


@pytest.mark.parametrize(
    ("event", "closed"),
    [
        (OPEN + 30_000, False),
        (OPEN + MINUTE_MS - 1, False),  # T itself is of the minute
        (OPEN + MINUTE_MS, True),
        (OPEN + MINUTE_MS + 2_005, True),
        (0, True),  # it does not say when: other checks decide
    ],
)
def test_a_close_at_or_before_the_end_of_its_minute_is_none(event: int, closed: bool) -> None:
    told: list[tuple[Candle, bool]] = []
    faults: list[str] = []
    handlers = StreamHandlers(
        lambda _, one, over, __: told.append((one, over)), lambda kind, _: faults.append(kind)
    )
    endpoint = StreamEndpoint("ws://nowhere", ExchangeClock(), lambda: None)
    socket = KlineSocket("one", [BTC], endpoint, handlers)
    socket._take(frame(event))
    socket._take(frame(event, closed=False))
    assert [one for _, one in told] == [closed, False]
    assert faults == ([] if closed else ["premature close"])


@in_virtual_time
async def test_premature_closes_change_nothing_whatever_the_clock_says(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await feed.minutes(2)
        exchange.faults.switch_on("early-close", BTC)
        exchange.faults.switch_on("clock-skew", seconds=-20)
        await until(lambda: feed.counted("stream_premature_close") >= 3)
        await feed.minutes(3)
        exchange.faults.switch_off()
        await feed.minutes(2)
        await feed.holds()
        assert feed.said("premature close", BTC, "called closed at")
        assert all(message["revision"] == 0 for message in feed.sink.messages[BTC])


@pytest.mark.parametrize("wrong", ["first", "last"])
@in_virtual_time
async def test_of_two_closes_that_differ_rest_says_which_is_right(tmp_path: Path, wrong: str) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await feed.minutes(2)
        exchange.faults.switch_on("two-closes", BTC, count=3, wrong=wrong)
        await until(lambda: feed.counted("contradictory_closes") >= 3)
        await until(lambda: exchange.faults.find("two-closes", BTC) is None)
        await feed.minutes(2)
        await feed.holds()
        assert feed.said("contradictory closes", "volume", "REST is asked")
        revised = {m["timestamp"] for m in feed.sink.messages[BTC] if m["revision"]}
        assert bool(revised) == (
            wrong == "first"
        )  # what was told with wrong values is told again, nothing else
        assert not any(message["revision"] for message in feed.sink.messages[ETH])


@in_virtual_time
async def test_what_a_disagreement_left_open_is_asked_by_the_next_run(tmp_path: Path) -> None:
    async with exchange_of([BTC]) as exchange:
        async with feed_of(exchange, tmp_path, [BTC]) as feed:
            await feed.minutes(2)
            exchange.faults.switch_on("rest-5xx", target="klines")
            exchange.faults.switch_on("two-closes", BTC, count=1, wrong="first")
            await until(lambda: feed.counted("contradictory_closes") >= 1)
            await feed.minutes(1)
            doubted = feed.engine.store.unconfirmed(BTC)
            assert doubted
        exchange.faults.switch_off()
        async with feed_of(exchange, tmp_path, [BTC], sink=feed.sink) as again:
            await again.minutes(1)
            await until(lambda: not again.engine.store.unconfirmed(BTC).intersect(doubted))
            await again.holds(since=0)
