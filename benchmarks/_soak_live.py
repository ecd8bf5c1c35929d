"""What a soak's engine published live, as an onlooker saw it, against what the engine's store says of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import orjson

from benchmarks._soak_messages import Outcome, Witness
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import EMPTY, span
from tui_feeder.engine.core.trade_ids import Link, TradeIds
from tui_feeder.engine.storage.evidence import links_of
from tui_feeder.engine.storage.outbox import Outbox
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.market import TRADES, Market

_PIECE = 4 << 20  # bytes of messages taken from an outbox at once
_LIVE_MS = 60_000
#: A message is seen a little after the commit that decides, exchange ms at ten times the speed.
_CLOSE_MS = 5_000
#: Fields of a bar that are no values of the minute.
_ABOUT = ("symbol", "timeframe", "open_time", "close_time", "revision", "minutes", "contracts", "market")


class LiveRecord:
    """Of every minute when its first message came, what it was, and whether it was published otherwise later.

    Args:
        symbols: that are followed.
        start: the first minute that can be published, ms.
        minutes: how many can.
    """

    def __init__(self, symbols: list[str], start: int, minutes: int) -> None:
        self.start = start
        self.came = {symbol: np.zeros(minutes, np.int64) for symbol in symbols}  # exchange ms, 0: not seen
        self.first = {symbol: np.zeros(minutes, np.int64) for symbol in symbols}  # hash of its values
        self.differs = {symbol: np.zeros(minutes, np.bool_) for symbol in symbols}

    def take_bar(self, symbol: str, payload: bytes, now: int) -> None:
        """A closed bar was published, at ``now`` (exchange ms) or before."""
        bar = orjson.loads(payload)
        if bar["timeframe"] != "1m":
            return
        place = (bar["open_time"] - self.start) // MINUTE_MS
        values = hash(tuple(value for name, value in bar.items() if name not in _ABOUT)) or 1
        if not self.first[symbol][place]:
            self.first[symbol][place] = values
        elif self.first[symbol][place] != values:
            self.differs[symbol][place] = True
        if not self.came[symbol][place]:  # its moment was not seen: it was committed just before a kill
            self.came[symbol][place] = now

    def counts(self, symbol: str, day: int) -> tuple[tuple[int, int, int, int], int]:
        """Published live, of these stood and corrected, and late, of a day (midnight, ms).

        And close calls: minutes seen so soon after the limit that they may have been committed in time.
        """
        low = (day - self.start) // MINUTE_MS
        part = slice(max(0, low), max(0, low + 1_440))
        came, differs = self.came[symbol][part], self.differs[symbol][part]
        ends = self.start + (np.arange(part.start, part.start + len(came)) + 1) * MINUTE_MS
        seen = came > 0
        live = seen & (came <= ends + _LIVE_MS)
        corrected = int((live & differs).sum())
        close = int((seen & ~live & (came <= ends + _LIVE_MS + _CLOSE_MS)).sum())
        return (int(live.sum()), int(live.sum()) - corrected, corrected, int((seen & ~live).sum())), close


class LiveWitness:
    """A sink that sees messages at the moment they are published, and the bars of an outbox of its own."""

    name = "soak bars"

    def __init__(self, outbox: Outbox, record: LiveRecord) -> None:
        self._outbox = outbox
        self._record = record
        #: Exchange time (ms) as the feeder knows it: the exchange's own may err by more than a few seconds.
        self.now: Callable[[], int] = lambda: 0
        self._taken = outbox.cursors[self.name]
        self.deaf = False

    def start(self, journal: object) -> None:
        pass

    def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
        place = (timestamp + 1 - MINUTE_MS - self._record.start) // MINUTE_MS
        if not self.deaf and not self._record.came[symbol][place]:
            self._record.came[symbol][place] = self.now()

    def status(self) -> str:
        return "ok"

    def drain(self) -> None:
        """Take what waits."""
        while not self.deaf and (waiting := self._outbox.read_after(self._taken, _PIECE)):
            for one in waiting:
                self._record.take_bar(one.symbol, one.payload, self.now())
            self._taken = waiting[-1].number
            self._outbox.acknowledge(self.name, self._taken)

    def close(self, timeout: float) -> None:
        self.drain()


def judge_live(store: Store, market: Market, record: LiveRecord, witness: Witness, outcome: Outcome) -> None:
    """Compare the store's live agreement with what was seen, and its broken trade ids with the exchange's."""
    symbol = witness.symbol
    first, last = record.start // DAY_MS, store.present(symbol).end // DAY_MS
    differing = EMPTY
    for day in range(first * DAY_MS, last * DAY_MS + 1, DAY_MS):
        (seen, close), said = record.counts(symbol, day), store.live_agreement(symbol, day)
        outcome.live += seen[0]
        outcome.corrected += seen[2]
        outcome.late += seen[3]
        moved = said.live - seen[0]
        if not 0 <= moved <= close or (seen[0] + moved, seen[2], seen[3] - moved) != (
            said.live, said.corrected, said.late
        ):  # fmt: skip
            differing = differing.union(span(day, day + MINUTE_MS))
            outcome.findings.append(f"live agreement: {symbol}: seen {seen}, kept {said[:4]}")
    outcome.disagreeing += outcome.find("live agreement differs", symbol, differing)
    ids = store.trade_ids(symbol, 0, 1 << 50)
    false_alarms = EMPTY
    for at, link in links_of(ids).items():
        outcome.joins += link is Link.JOINED
        if link is Link.BROKEN:
            outcome.breaks += 1
            low, high = _judged_together(ids, at)
            bare = symbol.rpartition(":")[2]
            true = market.minutes(bare, low, high).values[:, TRADES].tolist()
            closed = [ids[minute] for minute in range(low, high, MINUTE_MS)]
            counted = [0 if one.quiet else one.last - one.first + 1 for one in closed]
            if counted == true:
                false_alarms = false_alarms.union(span(at, at + MINUTE_MS))
    outcome.false_alarms += outcome.find("false alarm of trade ids", symbol, false_alarms)


def _judged_together(ids: dict[int, TradeIds], at: int) -> tuple[int, int]:
    """From the last trade before the end of a minute to the first after it: the minutes (ms) of both."""
    low, high = at, at + MINUTE_MS
    while ids[low].quiet:
        low -= MINUTE_MS
    while ids[high].quiet:
        high += MINUTE_MS
    return low, high + MINUTE_MS
