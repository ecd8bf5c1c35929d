"""Trade ids of neighbouring minutes: what joins is proved, and where they break REST is asked at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from feed import until
from holding import BTC, ETH, Feed, exchange_of, feed_of
from places import SHARED_DATA
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.core.trade_ids import Link, TradeIdChain, trade_ids
from tui_feeder.engine.exchanges.base import Page
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import TRADES

CAPTURES = SHARED_DATA / "captures"
MIDNIGHT = 1_773_187_200_000  # 2026-03-11T00:00:00Z


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures are not in ../shared/data")
@pytest.mark.parametrize(
    ("capture", "ends"),
    [
        ("testnet-2026-08/binance-futures-testnet/btcusdt.jsonl", 1),
        ("testnet-2026-08/binance-spot-testnet/btcusdt.jsonl", 1),
        ("usdm-2021-07-22-combined.raw", 4),
    ],
)
def test_recorded_frames_join_at_every_end_of_a_minute(capture: str, ends: int) -> None:
    chains: dict[str, TradeIdChain] = {}
    links = []
    for line in (CAPTURES / capture).read_text().splitlines():
        event = json.loads(line[max(0, line.find("{")) :]) if '"kline"' in line else {"data": {}}
        if (k := event["data"].get("k")) is None:
            continue
        ids, chain = trade_ids(k["f"], k["L"], k["n"]), chains.setdefault(k["s"], TradeIdChain())
        assert ids is not None
        if k["x"]:
            links += [link for _, link in chain.closed(k["t"], ids)]
        else:
            links += [link for _, link in chain.forming(k["t"], ids)]
    assert links == [Link.JOINED] * ends


@in_virtual_time
async def test_minutes_of_the_simulator_join_over_midnight_too(tmp_path: Path) -> None:
    start = MIDNIGHT - 4 * MINUTE_MS
    async with exchange_of([BTC, ETH], start=start) as exchange, feed_of(exchange, tmp_path) as feed:
        await feed.minutes(8)
        assert feed.counted("trade_id_joins") >= 12
        assert feed.counted("trade_id_breaks") == 0
        day_over = feed.engine.store.live_agreement(BTC, MIDNIGHT - DAY_MS)
        assert day_over.joined >= 2
        ids = feed.engine.store.trade_ids(BTC, MIDNIGHT - MINUTE_MS, MIDNIGHT + MINUTE_MS)
        assert ids[MIDNIGHT].first == ids[MIDNIGHT - MINUTE_MS].last + 1


@in_virtual_time
async def test_a_close_without_the_last_trades_is_found_and_read_by_rest_at_once(
    tmp_path: Path,
) -> None:
    asked: dict[int, int] = {}
    async with exchange_of([BTC, ETH], rate=20.0) as exchange, feed_of(exchange, tmp_path) as feed:
        candles = feed.engine.exchange.candles

        async def noted(symbol: str, seconds: int, start: int, end: int, *, urgent: bool = False) -> Page:
            asked.setdefault(start, exchange.clock.now())
            return await candles(symbol, seconds, start, end, urgent=urgent)

        feed.engine.exchange.candles = noted
        await feed.minutes(2)
        asked.clear()
        exchange.faults.switch_on("hasty-close", BTC, count=3)
        await until(lambda: feed.counted("trade_id_breaks") >= 3)
        await until(lambda: feed.counted("trade_id_breaks_exact") >= 3)
        assert len(asked) >= 3
        await feed.minutes(1)
        await feed.holds()
        store, end = feed.engine.store, exchange.clock.now()
        day = end // DAY_MS * DAY_MS
        found = store.live_agreement(BTC, day)
        assert (found.corrected, found.exact, found.unproved) == (3, 3, 0)
        assert store.live_agreement(ETH, day).corrected == 0
        corrected = [
            day + n * MINUTE_MS for n, state in enumerate(store.publications(BTC, day)) if state == 2
        ]
        # Asked within 2 s of the moment at which REST shows the minute, 2.5 s after its end.
        assert all(asked[at] <= at + MINUTE_MS + 4_500 for at in corrected)
        for at in corrected:
            (first,) = store.replaced_values(BTC, at)
            assert first.candle.volume < store.read(BTC, at, at + MINUTE_MS)["volume"][0]
        assert feed.said("trade id breaks", "do not follow", "REST is asked")


@in_virtual_time
async def test_while_rest_refuses_a_break_is_unproved_and_exact_afterwards(tmp_path: Path) -> None:
    async with exchange_of([BTC]) as exchange, feed_of(exchange, tmp_path, [BTC]) as feed:
        await feed.minutes(2)
        exchange.faults.switch_on("rest-5xx", target="klines")
        exchange.faults.switch_on("hasty-close", BTC, count=1)
        await until(lambda: feed.counted("trade_id_breaks_unproved") >= 1)
        store, day = feed.engine.store, exchange.clock.now() // DAY_MS * DAY_MS
        assert store.live_agreement(BTC, day).unproved == 1
        assert (
            not store.certified(BTC)
            .intersect(Coverage([(day, day + DAY_MS)]))
            .clip(exchange.clock.now() - 3 * MINUTE_MS, exchange.clock.now())
        )
        exchange.faults.switch_off()
        await until(lambda: feed.counted("trade_id_breaks_exact") >= 1)
        assert store.live_agreement(BTC, day)[5:] == (1, 0)
        await feed.holds()


def closes_alone() -> Exchange:
    """Of a minute in progress nothing is shown: what judges the minute before is its closing frame alone."""
    return exchange_of([BTC], cadence=60 * MINUTE_MS)


async def hastily_closed(feed: Feed) -> int:
    """The minute that BTC has published without its last trades, right after."""
    exchange = feed.exchange
    exchange.faults.switch_on("hasty-close", BTC, count=1)
    await until(lambda: exchange.faults.struck["hasty-close"])
    wrong = (exchange.clock.now() // MINUTE_MS - 1) * MINUTE_MS
    await until(lambda: wrong in feed.sink.minutes(BTC))
    assert not stands(feed, wrong)
    return wrong


def stands(feed: Feed, minute: int) -> bool:
    """Whether what is stored is the exchange's."""
    rows = feed.engine.store.read(BTC, minute, minute + MINUTE_MS)
    return bool(
        rows["trades"][0] == feed.exchange.market.minutes(BTC, minute, minute + MINUTE_MS).values[0, TRADES]
    )


@in_virtual_time
async def test_a_hasty_close_is_found_where_the_close_after_it_is_lost(tmp_path: Path) -> None:
    async with closes_alone() as exchange, feed_of(exchange, tmp_path, [BTC]) as feed:
        await feed.minutes(2)
        wrong = await hastily_closed(feed)
        exchange.faults.switch_on("no-close-frame", BTC, count=1)
        await until(lambda: stands(feed, wrong))
        assert exchange.clock.now() < wrong + 5 * MINUTE_MS
        assert feed.counted("trade_id_breaks") == 0
        assert feed.counted("trade_id_ends_unknown") == 1
        await feed.holds()


@in_virtual_time
async def test_a_hasty_close_is_found_where_no_frame_follows(tmp_path: Path) -> None:
    async with closes_alone() as exchange, feed_of(exchange, tmp_path, [BTC]) as feed:
        await feed.minutes(2)
        wrong = await hastily_closed(feed)
        exchange.faults.switch_on("silence", BTC)
        await until(lambda: stands(feed, wrong))
        assert exchange.clock.now() < wrong + 5 * MINUTE_MS
        await feed.minutes(2)
        assert feed.counted("trade_id_ends_unknown") == 1
        await feed.holds()


@in_virtual_time
@pytest.mark.parametrize("away", [0, 3], ids=["at once", "three minutes later"])
async def test_a_hasty_close_is_found_by_the_engine_that_starts_after_it(tmp_path: Path, away: int) -> None:
    async with closes_alone() as exchange:
        async with feed_of(exchange, tmp_path, [BTC]) as feed:
            await feed.minutes(2)
            wrong = await hastily_closed(feed)
        back = exchange.clock.now() + away * MINUTE_MS
        await until(lambda: exchange.clock.now() >= back)
        async with feed_of(exchange, tmp_path, [BTC], sink=feed.sink) as feed:
            await feed.minutes(1)
            await until(lambda: stands(feed, wrong))
            await feed.holds()


@in_virtual_time
async def test_what_was_broken_while_rest_refused_is_read_by_the_engine_that_starts_next(
    tmp_path: Path,
) -> None:
    async with closes_alone() as exchange:
        async with feed_of(exchange, tmp_path, [BTC]) as feed:
            await feed.minutes(2)
            exchange.faults.switch_on("rest-5xx", target="klines")
            wrong = await hastily_closed(feed)
            # By then it is far from the newest minute.
            await feed.minutes(20, seconds=120)
            assert feed.counted("trade_id_breaks") == 1
            assert not stands(feed, wrong)
        exchange.faults.switch_off()
        async with feed_of(exchange, tmp_path, [BTC], sink=feed.sink) as feed:
            await until(lambda: stands(feed, wrong))
            await feed.holds()
