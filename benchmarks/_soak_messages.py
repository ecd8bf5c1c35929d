"""What a soak's engine published, and whether it is right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import orjson

from tui_feeder.config import Config
from tui_feeder.engine.analytics.message import Message, encode
from tui_feeder.engine.analytics.timeframe_state import TimeframeState
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.derived.inputs import inputs_of, load_pipeline
from tui_feeder.engine.derived.replay import replay
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.derived.settings import profile_settings
from tui_feeder.engine.derived.stored_profiles import day_profile, read_profiles
from tui_feeder.engine.derived.stored_profiles import encode as encode_profile
from tui_feeder.engine.storage.outbox import Outbox
from tui_feeder.engine.storage.outbox_format import QueuedMessage
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.contracts import as_printed
from tui_feeder.simulator.market import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    QUOTE,
    TAKER,
    TAKER_QUOTE,
    TRADES,
    VOLUME,
    Market,
)

_REVISION = re.compile(rb'"revision":(\d+)')
#: Columns of stored rows, and those of the exchange's own; the rest of the row is its open time.
_COLUMNS = {
    "open": OPEN, "high": HIGH, "low": LOW, "close": CLOSE, "volume": VOLUME, "quote_volume": QUOTE,
    "trades": TRADES, "taker_buy_volume": TAKER, "taker_buy_quote_volume": TAKER_QUOTE,
}  # fmt: skip
_PIECE = 4 << 20  # bytes of messages taken from an outbox at once


class PublishedMessages:
    """Every message of a run by symbol, minute and revision; of each minute the newest.

    Args:
        start: the first minute that can be published, ms.
        minutes: how many can.
    """

    def __init__(self, symbols: list[str], start: int, minutes: int) -> None:
        self.start = start
        self.count = 0
        self.corrections = 0
        self._known: dict[tuple[str, int], int] = {}  # revisions above 0 of a minute, a bit each
        self._revision = {symbol: np.full(minutes, -1, np.int32) for symbol in symbols}
        self._hash = {symbol: np.zeros(minutes, np.int64) for symbol in symbols}
        self.newest: dict[str, tuple[int, int, bytes]] = {}  # timestamp, revision, message

    def take(self, one: QueuedMessage) -> bool:
        """A message has come; whether its symbol, timestamp and revision are new."""
        found = _REVISION.search(one.payload)
        assert found is not None
        revision = int(found[1])
        minute = one.timestamp + 1 - MINUTE_MS
        place = (minute - self.start) // MINUTE_MS
        self.count += 1
        self.corrections += revision > 0
        key, bit = (one.symbol, place), 1 << revision
        known = self._known.get(key, 0) | int(self._revision[one.symbol][place] == 0)
        if known & bit:
            return False
        if revision:
            self._known[key] = known | bit
        elif known:
            self._known[key] = known | 1
        if revision > self._revision[one.symbol][place]:
            self._revision[one.symbol][place] = revision
            self._hash[one.symbol][place] = _hash(one.payload)
        if (one.timestamp, revision) > self.newest.get(one.symbol, (0, 0, b""))[:2]:
            self.newest[one.symbol] = (one.timestamp, revision, one.payload)
        return True

    def unpublished(self, symbol: str, start: int, end: int) -> Coverage:
        """Which minutes of ``[start, end)`` had no message."""
        part = self._revision[symbol][(start - self.start) // MINUTE_MS : (end - self.start) // MINUTE_MS]
        return Coverage.of_times(start + np.flatnonzero(part < 0) * MINUTE_MS)

    def is_newest(self, symbol: str, timestamp: int, message: bytes) -> bool:
        """Whether the highest revision of a minute said this."""
        place = (timestamp + 1 - MINUTE_MS - self.start) // MINUTE_MS
        return bool(self._hash[symbol][place] == _hash(message))


def utc(moment: int) -> str:
    """An exchange time (ms) for people."""
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%d %H:%M")


def _hash(message: bytes) -> int:
    """Of what a message says, whatever its revision."""
    return hash(_REVISION.sub(b"", message, count=1))


class Collector:
    """A sink that takes the messages from an outbox of its own and gives them to :class:`PublishedMessages`.

    Like a broker, it acknowledges what it has; a process that is killed leaves the rest in the outbox.
    """

    name = "soak"

    def __init__(self, outbox: Outbox, published: PublishedMessages) -> None:
        self._outbox = outbox
        self._published = published
        self._taken = outbox.cursors[self.name]
        self._left = outbox.last  # by the engine before, perhaps taken and not acknowledged
        self.deaf = False
        self.twice = 0
        self.again = 0

    def start(self, journal: object) -> None:
        pass

    def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
        pass

    def status(self) -> str:
        return "ok"

    def drain(self) -> None:
        """Take what waits."""
        while not self.deaf and (waiting := self._outbox.read_after(self._taken, _PIECE)):
            for one in waiting:
                if not self._published.take(one):
                    self.again += one.number <= self._left
                    self.twice += one.number > self._left
            self._taken = waiting[-1].number
            self._outbox.acknowledge(self.name, self._taken)

    def close(self, timeout: float) -> None:
        self.drain()


@dataclass
class Outcome:
    """What a seed came to. Every count from ``missing`` on should be 0."""

    seed: int
    minutes: int = 0
    messages: int = 0
    corrections: int = 0
    kills: int = 0
    stops: int = 0
    faults: int = 0
    gaps: int = 0
    published_again: int = 0  # after a kill, of what was published just before it
    polls: int = 0  # of a client of the gateway
    served: int = 0  # rows of bars that were over, as often as they were served
    seconds: float = 0.0
    cpu: float = 0.0
    live: int = 0  # minutes published within 60 s of their end
    corrected: int = 0  # of them, those that were published with other values later
    late: int = 0  # minutes first published later than that
    joins: int = 0  # ends of minutes that trade ids prove
    breaks: int = 0  # and those at which they break
    ladders: int = 0  # minutes of which all trades are known
    partial: int = 0  # and those of which some are

    missing: int = 0
    twice: int = 0
    unpublished: int = 0
    wrong: int = 0
    unequal: int = 0
    profiles: int = 0
    unhealed: int = 0
    disagreeing: int = 0  # symbol-days whose live agreement the store counts otherwise than it was seen
    false_alarms: int = 0  # breaks of trade ids between closing frames that were right
    mislabelled: int = 0  # minutes whose ladder is not what it is said to be
    inexact: int = 0  # minutes that are not exact though the archive of their day came
    invented: int = 0  # rows of bars that were over and are not the exchange's, and answers of other kinds

    findings: list[str] = field(default_factory=list)

    def find(self, what: str, symbol: str, minutes: Coverage) -> int:
        """Keep where something is wrong, if anything is; how many minutes."""
        if minutes:
            parts = [f"{utc(low)}..{utc(high)}" for low, high in minutes.intervals[:5]]
            more = f" and {len(minutes.intervals) - 5} more" if len(minutes.intervals) > 5 else ""
            self.findings.append(f"{what}: {symbol} {minutes.minutes} minutes: {', '.join(parts)}{more}")
        return minutes.minutes

    @property
    def good(self) -> bool:
        return self.minutes > 0 and not (
            self.missing or self.twice or self.unpublished or self.wrong or self.unequal or self.profiles
            or self.unhealed or self.invented or self.disagreeing or self.false_alarms
            or self.mislabelled or self.inexact
        )  # fmt: skip


@dataclass(frozen=True)
class Witness:
    """What a symbol's judgement is made of, as it was when the engine stopped."""

    symbol: str
    start: int  # the first minute wanted
    states: tuple[TimeframeState, ...]


def judge(
    store: Store,
    config: Config,
    market: Market,
    published: PublishedMessages,
    witness: Witness,
    outcome: Outcome,
    every: int,
) -> None:
    """Compare what is stored with the exchange's own candles, and what was published with a batch.

    Args:
        every: of so many days the messages of one are compared with a replay, and those of the last.
    """
    symbol = witness.symbol
    begun = store.note(f"revisions {symbol}")
    assert begun is not None
    first = Revisions.decode(begun).since
    timestamp, _, newest = published.newest[symbol]
    end = timestamp + 1
    bare = symbol.rpartition(":")[2]
    never = span(witness.start, end).subtract(
        Coverage.of_times(market.minutes(bare, witness.start, end).times)
    )
    missing = store.present(symbol).union(never).missing(witness.start, end)
    outcome.missing += outcome.find("missing", symbol, missing)
    omitted = store.omitted(symbol).clip(witness.start, end)
    outcome.missing += outcome.find("not settled", symbol, never.subtract(omitted))
    outcome.wrong += outcome.find("settled as none at the exchange", symbol, omitted.subtract(never))
    lacking = published.unpublished(symbol, first, end).subtract(never)
    outcome.unpublished += outcome.find("unpublished", symbol, lacking)
    rows = store.read(symbol, witness.start, end)
    outcome.minutes += len(rows)
    wrong = wrong_rows(rows, market, bare, witness.start, end)
    outcome.wrong += outcome.find(f"wrong{_sources(store, symbol, wrong)}", symbol, wrong)
    pipeline = load_pipeline(store, config, symbol, end)
    message = pipeline.message()
    assert message is not None
    last = span(end - MINUTE_MS, end)
    if _hash(encode(message)) != _hash(newest):
        outcome.unequal += outcome.find(
            f"newest message unequal in {_differing(message, newest)}", symbol, last
        )
    if pipeline.timeframe_states() != witness.states:
        outcome.unequal += outcome.find("newest states unequal", symbol, last)
    unequal = EMPTY
    for low, high in _days(first, end, every):
        for one in replay(store, config, [symbol], low, high):
            minute = one.timestamp + 1 - MINUTE_MS
            if not published.is_newest(symbol, one.timestamp, encode(one)):
                unequal = unequal.union(span(minute, minute + MINUTE_MS))
    outcome.unequal += outcome.find("unequal", symbol, unequal)
    wrong_days = _wrong_profiles(store, config, symbol, witness.start, end)
    outcome.find("profile", symbol, wrong_days)
    outcome.profiles += wrong_days.minutes // 1_440


def _differing(message: Message, published: bytes) -> str:
    """The fields in which a message differs from the published one, for people."""
    right, wrong = orjson.loads(encode(message)), orjson.loads(published)
    return ", ".join(name for name in {**right, **wrong} if right.get(name) != wrong.get(name))


def _sources(store: Store, symbol: str, minutes: Coverage) -> str:
    """Where stored minutes came from, and how many of them count as certain, for people."""
    found = {Source(number).name for a, b in minutes for number in store.read_sourced(symbol, a, b)[1]}
    certain = minutes.intersect(store.certified(symbol)).minutes
    return f" ({', '.join(sorted(found)).lower()}, {certain} certified)" if minutes else ""


def _days(start: int, end: int, every: int) -> Iterator[tuple[int, int]]:
    """Each ``every``-th UTC day between, the first and the last among them, cut to the range."""
    first, last = start // DAY_MS, (end - 1) // DAY_MS
    for day in sorted({*range(first, last, every), last}):
        yield max(start, day * DAY_MS), min(end, (day + 1) * DAY_MS)


def wrong_rows(rows: Rows, market: Market, symbol: str, start: int, end: int) -> Coverage:
    """The stored minutes that differ in any column from what was traded, or were never traded."""
    instrument = market.instruments[symbol]
    truth = market.minutes(symbol, start, end)
    values, price, quantity, quote = as_printed(truth.values, instrument)
    if size := instrument.contract_size:  # contracts and coins are printed: coins and USD are stored
        values = values.copy()
        for base, other in ((VOLUME, QUOTE), (TAKER, TAKER_QUOTE)):
            values[:, base], values[:, other] = values[:, other].copy(), values[:, base] * size
        quantity, quote = quote, quantity
    decimals = dict.fromkeys((OPEN, HIGH, LOW, CLOSE), price)
    decimals |= dict.fromkeys((VOLUME, TAKER), quantity)
    decimals |= dict.fromkeys((QUOTE, TAKER_QUOTE), quote)
    right = np.zeros(len(truth.times), dtype=ROW)
    right["open_time"] = truth.times
    for name, column in _COLUMNS.items():
        places = decimals.get(column, 0)
        # Of integers beyond what a float holds Python's own quotient is the nearest float; NumPy's is not.
        if np.abs(values[:, column]).max(initial=0) >= 1 << 53:
            right[name] = [value / 10**places for value in values[:, column].tolist()]
        else:
            right[name] = values[:, column] / 10.0**places
    invented = Coverage.of_times(rows["open_time"]).subtract(Coverage.of_times(right["open_time"]))
    kept = rows[np.isin(rows["open_time"], right["open_time"])]
    right = right[np.isin(right["open_time"], rows["open_time"])]
    return invented.union(Coverage.of_times(kept["open_time"][kept != right]))


def _wrong_profiles(store: Store, config: Config, symbol: str, start: int, end: int) -> Coverage:
    """The past days that have no stored profile equal to one made of the day's candles."""
    settings = profile_settings(config, symbol, inputs_of(store, symbol).tick_size)
    assert settings is not None
    first, last = -(-start // DAY_MS) * DAY_MS, (end - MINUTE_MS) // DAY_MS * DAY_MS
    kept = {one.last_minute // DAY_MS * DAY_MS: one for one in read_profiles(store, symbol, first, last)}
    wrong = EMPTY
    for day in range(first, last, DAY_MS):
        made = day_profile(store, symbol, settings, day)
        if encode_profile(kept.get(day)) != encode_profile(made):
            wrong = wrong.union(span(day, day + DAY_MS))
    return wrong
