"""What must hold after every fault: one check of a whole engine, whatever was done to it.

The candles stored are the exchange's own; every minute stored since the first message was told, none twice
with one revision; the last word on each minute equals a computation of everything from the stored candles at
once, and its plainest numbers an independent one from the exchange's book.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from feed import Collected, configured, feeding, until
from history_parts import truth

from tui_feeder.config import Config
from tui_feeder.engine import snapshots
from tui_feeder.engine.analytics.message import encode
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.core.zero_volume import inside
from tui_feeder.engine.derived.inputs import load_pipeline
from tui_feeder.engine.derived.replay import replay
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.exchanges import base
from tui_feeder.monitor import Snapshot, StreamView, SymbolState, SymbolView
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.stream import CADENCE
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z, a Tuesday
BTC, ETH, CHINESE = "BTCUSDT", "ETHUSDT", "币安人生USDT"
#: In which a part is well.
_WELL = ("starting", "running", "stopped")


def exchange_of(
    symbols: Sequence[str],
    rate: float = 120.0,
    start: int = NOON,
    listed: Mapping[str, int] | None = None,
    cadence: int = CADENCE,
) -> Exchange:
    """An embedded exchange that is at ``start`` (exchange ms) when it is made; some are ``listed`` later.

    Frames of minutes in progress come every ``cadence`` (exchange ms).
    """
    market = synthetic_market(list(symbols), as_of_ms=NOON, listed=listed)
    return Exchange(market, clock_for(market, start_ms=start, rate=rate), cadence=cadence)


def without(source: base.Exchange, symbol: str, minutes: Coverage, lacking: Callable[[], bool]) -> None:
    """Let REST lack minutes of a symbol for as long as ``lacking()`` says so."""
    candles = source.candles

    async def answer(asked: str, *window: int, urgent: bool = False) -> base.Page:
        rows, newest = await candles(asked, *window, urgent=urgent)
        return base.Page(rows[~inside(rows, minutes)] if lacking() and asked == symbol else rows, newest)

    source.candles = answer


@dataclass(frozen=True)
class Feed:
    """An engine under test and what it is connected to."""

    engine: Engine
    sink: Collected
    exchange: Exchange
    config: Config

    @property
    def symbols(self) -> list[str]:
        """Those that are live, or on the way there."""
        tracked, gone = self.engine.tracked, ("unknown", "delisted")
        followed = tracked or self.config.application.symbols  # nothing is tracked before the start
        return [name for name in followed if name not in tracked or tracked[name].phase not in gone]

    def snapshot(self) -> Snapshot:
        """What the screen is shown now."""
        return snapshots.take(self.engine, 1)

    def shown(self, symbol: str) -> SymbolView:
        """The row of a symbol on the screen."""
        return next(view for view in self.snapshot().symbols if view.symbol == symbol)

    @property
    def socket(self) -> StreamView:
        """The first socket as the screen shows it."""
        return self.snapshot().streams[0]

    def said(self, *texts: str) -> bool:
        """Whether one line of the journal holds all of ``texts``."""
        return any(all(text in event.text for text in texts) for event in self.engine.journal.events)

    def counted(self, name: str) -> int:
        """A counter as the screen shows it."""
        return self.snapshot().counters.get(name, 0)

    async def minutes(self, count: int, symbol: str | None = None, seconds: float = 40.0) -> None:
        """Wait until so many more minutes were published, of every symbol or of one."""
        names = self.symbols if symbol is None else [symbol]
        wanted = {name: len(set(self.sink.minutes(name))) + count for name in names}
        await until(
            lambda: all(len(set(self.sink.minutes(name))) >= many for name, many in wanted.items()), seconds
        )

    async def holds(
        self, *, since: int = 0, unavailable: int = 0, ahead: int = 0, seconds: float = 60.0
    ) -> None:
        """The check. Waits for what is still being repaired, and for a minute that closes after now.

        Args:
            since: messages from this minute (ms) on are compared with the batch, all by default.
            unavailable: minutes that may be missing, and recorded so with a reason.
            ahead: by how much (ms) the exchange shows another time than its clock.
            seconds: how long repairs may take on this machine.
        """
        engine = self.engine
        end = (self.exchange.clock.now() + ahead) // MINUTE_MS * MINUTE_MS
        deadline = time.monotonic() + seconds
        while True:
            assert engine.state in ("backfill", "live"), f"the engine is {engine.state}"
            wrong = self._unsettled(end, unavailable)
            if not wrong:
                break
            assert time.monotonic() < deadline, wrong
            await asyncio.sleep(0.02)
        # From here on without a pause: the engine is on this loop, so nothing moves.
        shown = self.snapshot()
        assert shown.state in ("live", "degraded")
        ill = {name: state for name, state in shown.parts.items() if state not in _WELL}
        # Before a listing there is nothing, and REST says so with an empty list.
        assert not ill or ill == {"REST": "empty answer"}, ill
        for symbol in self.symbols:
            self._assert_told_once(symbol)
            self._assert_equals_batch(symbol, since)
            self._assert_equals_book(symbol)

    def _unsettled(self, end: int, unavailable: int) -> str:
        """What is not yet as it must become, in words; empty if nothing is left to wait for."""
        store = self.engine.store
        for symbol in self.symbols:
            one, queue = self.engine.tracked[symbol], self.engine.ingest.queue(symbol)
            if one.phase != "live" or queue.pipeline is None or queue.next is None:
                return f"{symbol} is not live but {one.phase}: {one.reason}"
            if queue.next <= end or store.watermark(symbol) != queue.next - MINUTE_MS:
                return f"{symbol}: the minute before {end} is not told, it is at {queue.next}"
            if self.sink.minutes(symbol)[-1:] != [queue.next - MINUTE_MS]:
                return f"{symbol}: its last message is on the way"
            missing = store.present(symbol).missing(one.start, queue.next)
            recorded = Coverage((u.start, u.end) for u in store.unavailable(symbol) if u.reason)
            if missing.subtract(recorded) or missing.minutes > unavailable:
                return f"{symbol} lacks {missing}, of it unavailable: {recorded}"
            stored, book = self._stored_and_traded(symbol, max(one.start, queue.next - DAY_MS), queue.next)
            if not np.array_equal(stored, book):
                wrong = stored["open_time"][stored != book]
                return f"{symbol}: {len(wrong)} minutes are not the exchange's, the first {wrong[0]}"
            if late := queue.skipped.intersect(store.present(symbol)).clip(self._first(symbol), queue.next):
                return f"{symbol}: {late} came late and was not yet counted"
            if owed := store.stale_published(symbol).clip(self._first(symbol), queue.next):
                return f"{symbol}: {owed} changed and was not yet published again"
        return ""

    def _stored_and_traded(self, symbol: str, start: int, end: int) -> tuple[Rows, Rows]:
        """The candles of the store, and those of the same minutes from the exchange's own book."""
        stored = self.engine.store.read(symbol, start, end)
        book = truth(self.exchange, symbol, start, end)
        return stored, book[np.isin(book["open_time"], stored["open_time"])]

    def _first(self, symbol: str) -> int:
        return min(self.sink.minutes(symbol))

    def _assert_told_once(self, symbol: str) -> None:
        told = Counter((m["timestamp"], m["revision"]) for m in self.sink.messages[symbol])
        assert [one for one, count in told.items() if count > 1] == [], "told twice"
        minutes = Coverage((at, at + MINUTE_MS) for at in sorted(set(self.sink.minutes(symbol))))
        present = self.engine.store.present(symbol)
        assert minutes == present.clip(minutes.start, minutes.end), "stored and never told, or the reverse"

    def last_words(self, symbol: str) -> dict[int, dict[str, Any]]:
        """By open time, the message with the highest revision, without that revision."""
        newest: dict[int, dict[str, Any]] = {}
        for message in sorted(self.sink.messages[symbol], key=lambda one: int(one["revision"])):
            newest[message["timestamp"] + 1 - MINUTE_MS] = message | {"revision": 0}
        return newest

    def _assert_equals_batch(self, symbol: str, since: int) -> None:
        engine, queue = self.engine, self.engine.ingest.queue(symbol)
        told = self.last_words(symbol)
        first, end = max(since, min(told)), max(told) + MINUTE_MS
        for message in replay(engine.store, self.config, [symbol], first, end):
            at = message.timestamp + 1 - MINUTE_MS
            assert told[at] == json.loads(encode(message)) | {"revision": 0}, f"minute {at} of {symbol}"
        scratch = load_pipeline(engine.store, self.config, symbol, end)
        assert queue.pipeline is not None
        assert queue.pipeline.timeframe_states() == scratch.timeframe_states()
        live, batch = queue.pipeline.profile_now(), scratch.profile_now()
        assert (live is None) == (batch is None)
        if live is not None and batch is not None:
            assert (live.increment, live.low_index) == (batch.increment, batch.low_index)
            assert np.array_equal(live.weights, batch.weights)

    def _assert_equals_book(self, symbol: str) -> None:
        """The last message against the exchange's own candles, by the shortest way there is."""
        at, message = max(self.last_words(symbol).items())
        start = self.engine.store.present(symbol).start
        stored, rows = self._stored_and_traded(symbol, start, at + MINUTE_MS)
        np.testing.assert_array_equal(stored, rows)
        closes = rows["close"].tolist()
        assert message["close_1m"] == closes[-1]
        for period in (21, 89):
            if len(closes) < period:  # of a new listing
                assert f"ema{period}_1min" not in message
                continue
            ema = sum(closes[:period]) / period
            for close in closes[period:]:
                ema += (close - ema) * 2 / (period + 1)
            assert abs(message[f"ema{period}_1min"] / ema - 1) < 1e-12
        lookback = self.config.technical_analysis.volume_lookback_days * DAY_MS
        for name, values in _weights(rows[rows["open_time"] >= at + MINUTE_MS - lookback]).items():
            exact = np.quantile(values, (0.25, 0.5, 0.75, 0.9))
            np.testing.assert_allclose(list(message["volume_quantiles"][name].values()), exact, rtol=5e-3)
        today = rows[rows["open_time"] >= at - at % DAY_MS]
        profile = message["volume_profile"]
        volume = float(today["volume"].sum())
        assert profile["candle_count"] == len(today)
        assert abs(profile["total_volume"] / volume - 1) < 1e-9
        assert abs(profile["vwap"] / (float(today["quote_volume"].sum()) / volume) - 1) < 1e-9


def _weights(rows: Rows) -> dict[str, Any]:
    traded = rows[rows["trades"] > 0]
    return {
        "volume": rows["volume"],
        "taker_buy_volume": rows["taker_buy_volume"],
        "avg_trade": traded["volume"] / traded["trades"],
        "trade_count": rows["trades"],
    }


@contextlib.asynccontextmanager
async def feed_of(
    exchange: Exchange,
    storage: Path,
    symbols: Sequence[str] = (BTC, ETH),
    *,
    sink: Collected | None = None,
    days: int = 1,
    **application: object,
) -> AsyncIterator[Feed]:
    """An engine that follows ``symbols`` of ``exchange``, with a day and a half of history."""
    config = configured(exchange, list(symbols), days=days, **application)
    async with feeding(config, storage, sink) as (engine, collected):
        yield Feed(engine, collected, exchange, config)


def all_live(feed: Feed) -> bool:
    """Whether the screen shows nothing but symbols that are live."""
    views = feed.snapshot().symbols
    return len(views) > 0 and all(view.state is SymbolState.LIVE for view in views)
