"""What a screen may know: immutable snapshots of the engine, and the protocol that hands them out.

A screen pulls a :class:`Snapshot` a few times a second and asks for bars and profiles when it shows
them. It cannot distinguish a live engine from an attached one, a recording, or a fake with a frozen clock.
Absent values are None, never 0. Instants are exchange time in ms unless noted otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tui_feeder.bars import DAY_MS, MINUTE_MS, ROW, Rows, timeframe_label
from tui_feeder.day_evidence import DayView, MinuteView
from tui_feeder.live_access import GatewayFigures
from tui_feeder.price_grid import PriceGrid
from tui_feeder.symbol_name import matches

__all__ = [
    "DAY_MS",
    "MINUTE_MS",
    "ROW",
    "STALLED",
    "AlertView",
    "ConfiguredValue",
    "Event",
    "FaultOption",
    "Faults",
    "FormingView",
    "GapView",
    "IndicatorView",
    "MinuteState",
    "Monitor",
    "PeakView",
    "ProfileView",
    "Progress",
    "Rows",
    "RulePlace",
    "RuleValue",
    "RuleView",
    "RulesView",
    "Snapshot",
    "StreamMinute",
    "StreamView",
    "SymbolNumbers",
    "SymbolState",
    "SymbolView",
    "TimeframeView",
    "TradesView",
    "timeframe_label",
]

#: A sink's state begins with this where something waits for it and nothing was done lately.
STALLED = "stalled"


class SymbolState(StrEnum):
    """What is true of a symbol right now."""

    WAITING = "waiting"  # nothing asked for yet
    BACKFILL = "backfill"  # history is being read
    LIVE = "live"  # frames arrive, minutes close
    LATE = "late"  # the last minute should have closed more than 5 s ago
    STALE = "stale"  # no closed minute for more than 90 s, or no frame although there was trade
    NO_DATA = "no data"  # the exchange shows no candle of it, or does not trade it yet
    UNKNOWN = "unknown"  # the exchange does not list it
    DELISTED = "delisted"  # the exchange trades it no longer
    DELIVERED = "delivered"  # its contract has ended, as was known before
    FAILED = "failed"  # its pipeline crashed; see the log


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the history of a symbol is."""

    rows_done: int
    rows_total: int
    bytes_done: int
    files_done: int
    files_total: int
    source: str  # "monthly files", "daily files", "REST"
    eta_seconds: float | None
    note: str = ""  # why it stands still, when it does

    @property
    def fraction(self) -> float:
        """0.0 to 1.0."""
        return min(1.0, self.rows_done / self.rows_total) if self.rows_total else 0.0


@dataclass(frozen=True, slots=True)
class IndicatorView:
    """An indicator that every timeframe has."""

    kind: str  # as "ema"
    title: str  # of the kind, as "EMA"
    period: int  # bars
    unit: str  # of its values
    on_price: bool  # its values are prices; else they have a scale of their own

    @property
    def name(self) -> str:
        """Kind and period: ``ema21``."""
        return f"{self.kind}{self.period}"

    @property
    def label(self) -> str:
        """The name, or beside prices its shortest form: ``e21``."""
        return f"{self.kind[0]}{self.period}" if self.on_price else self.name


@dataclass(frozen=True, slots=True)
class TimeframeView:
    """A timeframe of a symbol at its last completed bar."""

    timeframe: int  # seconds
    bar_time: int | None  # open time of the last completed bar the values rest on
    close: float | None
    trend: str | None  # "Buy" | "Sell" | "Neutral", None while unknown
    values: tuple[float | None, ...]  # of the indicators, in the order of Snapshot.indicators
    warming: bool  # an indicator is absent, has not converged, or lacks bars
    minutes_lacking: int = 0  # in that bar
    bars_lacking: int = 0  # that were due after it and are not there
    trend_since: int | None = None  # ms, end of the bar with which the trend became what it is, where known
    volume: float | None = None  # of that bar, base asset
    delta: float | None = None  # what takers bought less what they sold in it, base asset
    divergence: str | None = None  # "Buy" | "Sell": price and takers disagree over the last bars

    @property
    def partial(self) -> bool:
        """Whether the last bar that was due is absent or lacks minutes."""
        return self.minutes_lacking > 0 or self.bars_lacking > 0


class MinuteState(StrEnum):
    """What is true of a stretch of minutes; of several, the last one here is the one to show.

    Where all of them are stored, it is how the newest came.
    """

    OUTSIDE = "outside"  # before the wanted range, or not closed yet
    OMITTED = "none at the exchange"  # archive and REST both skip it: never asked for again
    LIVE = "live"  # stored as it came from the stream
    STORED = "stored"  # stored, from an archive or REST
    UNAVAILABLE = "unavailable"  # no source has it; asked again now and then
    FILLING = "filling"  # history or recovery is reading it now
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class FormingView:
    """The minute in progress, updated by the stream several times a second."""

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float  # base asset


@dataclass(frozen=True, slots=True)
class SymbolView:
    """One row of the overview."""

    symbol: str
    state: SymbolState
    reason: str  # why the state is not LIVE; "" when it is
    price_decimals: int
    price: float | None = None  # last price: of the forming candle, else the last close
    change_1m: float | None = None  # percent against the close of the previous minute
    change_24h: float | None = None  # percent against the close 24 h before the last closed minute
    volume_24h: float | None = None  # quote asset
    timeframes: tuple[TimeframeView, ...] = ()  # in the order of Snapshot.timeframes
    poc: float | None = None
    vwap: float | None = None
    vah: float | None = None
    val: float | None = None
    last_frame: int | None = None  # exchange time of the last stream frame
    last_closed: int | None = None  # open time of the last closed minute
    missing_minutes: int = 0  # inside the wanted range
    progress: Progress | None = None  # while history is read
    messages: int = 0  # published so far
    first_minute: int | None = None  # open time of the first wanted minute the exchange has
    day_closes: tuple[float, ...] = ()  # of the half hours of the last 24 h as far as there, the newest last
    revisions: int = 0  # published minutes that were corrected since the start
    stored: tuple[int, int] = (0, 0)  # another pair whenever minutes were stored, or replaced by other values
    forming: FormingView | None = None  # the minute after ``last_closed``, once a frame has it
    profile_note: str = ""  # why the rows of its profile do not fit it; "" where they do
    high_24h: float | None = None  # of the closed minutes of the last 24 h
    low_24h: float | None = None
    relative_volume: float | None = None  # of the last 15 min, in medians of that time of day
    cvd_day: float | None = None  # what takers bought less what they sold on the UTC day, base asset
    day_volume: float | None = None  # traded on the UTC day, base asset


@dataclass(frozen=True, slots=True)
class GapView:
    """A hole in the candles of a symbol, open or just closed."""

    symbol: str
    start: int  # open time of its first missing minute
    end: int  # exclusive
    missing: int  # minutes still missing of it
    state: str  # "queued" | "filling" | "filled" | "unavailable"
    tries: int
    source: str  # last source asked
    reason: str  # why it opened, or why the last try failed
    next_try: int | None
    eta_seconds: float | None = None  # real seconds until it is filled, where that is known
    closed_at: int | None = None  # when it was filled

    @property
    def minutes(self) -> int:
        """Length of the whole gap in minutes."""
        return (self.end - self.start) // MINUTE_MS


@dataclass(frozen=True, slots=True)
class StreamView:
    """One socket."""

    name: str
    state: str  # "connecting" | "live" | "silent" | "backing off"
    symbols: int
    last_frame: int | None  # exchange time
    frames_per_second: float
    latency_ms: float | None  # event stamp to arrival, exchange time
    reconnects: int
    reason: str
    cuts: int = 0  # connections that ended after frames had come over them


@dataclass(frozen=True, slots=True)
class TradesView:
    """Live trades: how they come, and what of them did not."""

    state: str  # of the worst socket; else "behind" | "silent"; else "live", and "idle" without symbols
    reason: str  # why it is not live; "" where it is
    symbols: int  # whose trades are followed
    behind: tuple[str, ...] = ()  # those of which candles show trades that did not come
    last_trade: int | None = None  # when the newest came, exchange ms
    missing: int = 0  # trades that did not come and are asked for
    waiting: int = 0  # trades that came and are counted with none yet
    streams: tuple[StreamView, ...] = ()  # sockets of their own

    @property
    def reconnects(self) -> int:
        """New connections of all sockets."""
        return sum(stream.reconnects for stream in self.streams)

    @property
    def cuts(self) -> int:
        """Connections of all sockets that ended after trades had come over them."""
        return sum(stream.cuts for stream in self.streams)


@dataclass(frozen=True, slots=True)
class StreamMinute:
    """A real minute of all sockets together."""

    frames_per_second: float  # mean of the minute
    latency_ms: float | None  # the greatest of a live socket; None where none was live


@dataclass(frozen=True, slots=True)
class Event:
    """A line for the log screen and the line at the bottom."""

    at: int
    level: str  # "info" | "warning" | "error"
    symbol: str | None
    text: str


@dataclass(frozen=True, slots=True)
class ReceiverView:
    """Who is called for alerts: the webhook, the program, the topic."""

    waiting: int  # alerts that are not handed over
    trouble: str  # what is wrong, such as that it does not answer; "" where nothing is known to be


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert that went off."""

    number: int  # rises with every alert, over restarts too
    at: int
    rule: str  # its name in the configuration
    kind: str  # of the rule
    symbol: str | None
    text: str
    price: float | None = None  # where it is drawn in the chart of its symbol
    rings: bool = True  # the bell of the terminal
    acknowledged: bool = False  # by the user


#: Where a rule of alerts is kept: ``[alerts.rules]`` of the configuration, or the store.
RulePlace: TypeAlias = Literal["configuration", "store"]
#: A value of a key of a rule, as TOML has it.
RuleValue: TypeAlias = str | int | float | tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule of alerts."""

    name: str
    keys: Mapping[str, RuleValue]  # that are stated, by the names they have in ``[alerts.rules]``
    place: RulePlace
    fault: str = ""  # why it is not in force; "" where it is

    @property
    def kind(self) -> str:
        """What it watches: ``price_cross`` and the like."""
        return str(self.keys.get("kind", ""))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names and patterns of the symbols it watches."""
        stated = self.keys.get("symbols", ("ALL",))
        return tuple(map(str, stated)) if isinstance(stated, tuple | list) else (str(stated),)

    def concerns(self, symbol: str) -> bool:
        """Checks whether it watches a symbol.

        Args:
            symbol: its name.

        Returns:
            True if it does; a kind that watches the feeder itself concerns none.
        """
        if self.kind in ("sink_lag", "disk_full", "cluster_degraded"):
            return False
        return any(name == "ALL" or matches(name, symbol) for name in self.symbols)


@dataclass(frozen=True, slots=True)
class RulesView:
    """Every rule of alerts, and where rules can be kept."""

    rules: tuple[RuleView, ...] = ()
    file: str = ""  # path of the configuration that rules are written into; "" where they cannot be
    locked: str = ""  # why no rule can be changed here at all; "" where they can
    cooldown_seconds: float = 300.0  # of rules that state none


@dataclass(frozen=True, slots=True)
class ConfiguredValue:
    """A value of the configuration and where it is from."""

    key: str  # "application.symbols"
    value: str  # as the file would have it; secrets are masked
    origin: str  # "default", "file config.toml:12", "environment FEEDER_X", "flag --x"


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker of the cluster, as this one knows it."""

    name: str
    address: str  # of its HTTP service; "" where it has none
    partitions: int
    symbols: int  # wanted ones in its partitions
    here: bool  # it is this one


@dataclass(frozen=True, slots=True)
class SymbolHolder:
    """The worker that has a symbol which this one has not."""

    name: str
    address: str  # of its HTTP service; "" where it has none


@dataclass(frozen=True, slots=True)
class OwnedPartitionView:
    """A partition that this worker works on."""

    partition: int
    epoch: int  # rises with every owner
    symbols: int  # that are tracked
    published: int  # transactions since it was taken


@dataclass(frozen=True, slots=True)
class TakeoverView:
    """A partition that this worker took over."""

    partition: int
    at: int  # ms, by this machine's clock
    seconds: float  # from its assignment to the first transaction
    former: str  # name of the worker that published there before; "" for none


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The cluster, as this worker sees it."""

    name: str  # of this worker
    group: str
    partitions: int  # of every topic
    assigned: int  # of them to this worker
    owned: tuple[OwnedPartitionView, ...]  # those it works on
    workers: tuple[WorkerView, ...]  # at most a thousand
    heartbeat_age: float | None  # seconds since the group last answered; None before that
    holds: bool  # the group has certainly not given this worker's partitions to others
    takeovers: tuple[TakeoverView, ...]  # the newest last, at most a hundred
    fenced: int  # writes that the broker refused, since the start
    differing: int  # symbols whose numbers were others than those published by their former owner
    inherited: int  # minutes of history that are still to be read of symbols that were taken over
    sharing: int  # feeders that divide the exchange's request limit, this one among them
    other_lists: tuple[str, ...] = ()  # workers whose configuration names other symbols than this one's
    topics_wrong: str = ""  # what has become wrong with the topics since the start


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the screens show, taken at one instant."""

    sequence: int  # rises with every new snapshot
    exchange_time: int  # ms
    clock_rate: float  # exchange seconds in a real second; 1.0 on a real exchange
    clock_offset_ms: float  # exchange time minus local time
    taken_at: float  # time.monotonic() of the taking
    #: "starting" | "backfill" | "live" | "degraded" | "stopping" | "stopped" | "failed"; "stale" where no
    #: newer snapshot could be built, "lost" where an attached feeder does not answer.
    state: str
    exchange: str  # name for people: host, or "embedded exchange"
    timeframes: tuple[int, ...]
    indicators: tuple[IndicatorView, ...]
    symbols: tuple[SymbolView, ...]
    streams: tuple[StreamView, ...] = ()
    trades: TradesView | None = None  # live ones, where any are wanted
    stream_minutes: tuple[StreamMinute, ...] = ()  # of the last hour at most, the newest last
    gaps: tuple[GapView, ...] = ()  # open ones first, then those closed within the last minutes
    events: tuple[Event, ...] = ()  # the newest last, at most a few hundred
    parts: Mapping[str, str] = field(default_factory=dict)  # part -> "running" | "degraded" | ...
    counters: Mapping[str, int] = field(default_factory=dict)
    weight_used: int = 0
    weight_limit: int = 0
    weight_market: str = ""  # whose weight that is, of several markets the one nearest to its limit
    store_path: str = ""
    store_bytes: int = 0
    store_candles: int = 0
    store_pausing: str = ""  # why writes wait: "disk full (...)"; "" while they do not
    #: What else is wrong with it, a sentence each: of "disk", that it has too little room; of "stored days",
    #: that they are damaged, or that its files were deleted. Any of it makes a live feeder "degraded".
    store_troubles: Mapping[str, str] = field(default_factory=dict)
    history_fraction: float | None = None  # of all history to be read, 0.0 to 1.0; None while none is read
    history_eta: float | None = None  # real seconds until all of it is read, where that is known
    sinks: Mapping[str, str] = field(default_factory=dict)  # sink -> "ok" | "off" | what is wrong
    alerts: tuple[AlertView, ...] = ()  # the newest last, at most a few dozen
    alert_rules: RulesView = RulesView()
    receivers: Mapping[str, ReceiverView] = field(default_factory=dict)  # of alerts: "webhook" -> ...
    gateway: GatewayFigures | None = None  # of the gateway that serves the store, where one does
    not_ready: str = ""  # why the exchange is not reached at a start; "" once it is
    cluster: ClusterView | None = None  # None for a feeder by itself

    @property
    def replayed(self) -> bool:
        """Whether it shows stored candles of a moment that was chosen."""
        return self.state in ("replay", "paused", "seeking")

    @property
    def ema_periods(self) -> tuple[int, ...]:
        """Of the EMAs, bars: the lines of the chart."""
        return tuple(indicator.period for indicator in self.indicators if indicator.kind == "ema")

    def values_of(self, state: TimeframeView) -> tuple[tuple[IndicatorView, float | None], ...]:
        """Joins the indicators with their values.

        Args:
            state: a timeframe of one of the symbols.

        Returns:
            Each indicator with its value; those of which the timeframe has none are left out.
        """
        return tuple(zip(self.indicators, state.values, strict=False))


@dataclass(frozen=True, slots=True)
class ProfileView:
    """The volume profile of a UTC day: a dense grid of rows."""

    symbol: str
    day: int  # ms, midnight UTC
    increment: float
    low_index: int  # row 0 stands for the price ``low_index * increment``
    weights: tuple[float, ...]  # of rows 0.., volume or number of candles
    poc: float
    vah: float
    val: float
    vwap: float | None
    total_volume: float
    candles: int
    last_minute: int  # open time of the last minute counted
    bought: tuple[float, ...] | None = None  # of rows 0.., base asset, what takers bought; None in TPO
    exact_share: float = 0.0  # of the volume that is of minutes whose trades are all there, 0..1
    known_share: float = 0.0  # of the volume that is known by price and not guessed of candles, 0..1

    @property
    def prices(self) -> NDArray[np.float64]:
        """The price of each row, ascending, exact in decimal."""
        return PriceGrid(self.increment).prices(self.low_index, len(self.weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeView(ProfileView):
    """The volume profile of any minutes; ``day`` is when they begin."""

    end: int  # ms, exclusive
    high_nodes: tuple[float, ...] = ()  # prices
    low_nodes: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class FootprintBar:
    """What takers bought and sold at each price of a bar: row ``i`` is row ``first + i`` of the grid."""

    time: int  # open time, ms
    first: int
    bought: tuple[float, ...]  # base asset
    sold: tuple[float, ...]
    poc: int  # row of most volume
    exact_share: float  # of the volume that is of minutes whose trades are all there, 0..1
    known_share: float  # of the volume that is known by price and not guessed of candles, 0..1

    @property
    def last(self) -> int:
        """The highest row."""
        return self.first + len(self.bought) - 1


@dataclass(frozen=True, slots=True)
class FootprintView:
    """Bars on one price grid; row ``i`` of the grid stands for the price ``i * increment``."""

    symbol: str
    increment: float
    bars: tuple[FootprintBar, ...]  # at least one, if these are all; none while the first is made
    whole: bool = True  # older ones are still to come, where it is not

    def price(self, row: int) -> float:
        """Gives the price of a row.

        Args:
            row: of the grid.

        Returns:
            Quote currency.
        """
        return PriceGrid(self.increment).price(row)


def unmade_footprint(symbol: str) -> FootprintView:
    """Gives the footprint of which no bar is made yet.

    Args:
        symbol: of it.

    Returns:
        One without bars, which is not whole.
    """
    return FootprintView(symbol, 1.0, (), whole=False)


@dataclass(frozen=True, slots=True)
class NakedPoc:
    """The point of control of a day that is over, at which no later minute has traded."""

    day: int  # ms, midnight UTC
    price: float


@dataclass(frozen=True, slots=True)
class LevelLines:
    """Levels of a day's profile as they developed; NaN while there was none."""

    times: tuple[int, ...]  # ends of minutes, ms
    poc: tuple[float, ...]
    vah: tuple[float, ...]
    val: tuple[float, ...]
    vwap: tuple[float, ...]
    whole: bool = True  # later minutes are still to come, where it is not


@dataclass(frozen=True, slots=True)
class AnchoredLine:
    """The VWAP since an anchor and its standard deviation at the ends of bars; NaN before the first trade."""

    times: tuple[int, ...]  # ends of bars, ms
    vwap: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PeakView:
    """The 5-minute candle with the largest volume of the look-back window."""

    volume: float  # base asset
    price: float  # its close
    end: int  # its exclusive end, ms
    trend: str


@dataclass(frozen=True, slots=True)
class SymbolNumbers:
    """What the newest message of a symbol states beside what its view has."""

    minute: int  # open time of its minute
    revision: int  # how often that minute was corrected
    #: q25, q50, q75 and q90 of the minutes of the look-back window, by measure.
    quantiles: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    peak: PeakView | None = None
    #: Corrected minutes, the newest stretch first: its start, its exclusive end (ms).
    corrected: tuple[tuple[int, int], ...] = ()


#: Start and end (exclusive) of ranges of minutes, ms.
Spans: TypeAlias = tuple[tuple[int, int], ...]
#: What is read at once of a symbol for a profile or an anchored VWAP, ms.
LONGEST_RANGE = 100 * 86_400_000
#: A screen waits so long for an answer that takes long, and shows what there is of it until it asks again.
PATIENCE_SECONDS = 0.006


class Monitor(Protocol):
    """Where the screens get what they show. Every call returns at once and never raises."""

    def snapshot(self) -> Snapshot:
        """The newest snapshot."""
        ...

    def bars(self, symbol: str, timeframe: int, count: int, end: int | None = None) -> Rows:
        """Reads completed bars.

        Args:
            symbol: the symbol.
            timeframe: seconds.
            count: frames to look back at most.
            end: the bars end at or before this, ms; None for the newest.

        Returns:
            Rows of dtype ROW, ascending.
        """
        ...

    def ema_lines(
        self, symbol: str, timeframe: int, count: int, end: int | None = None
    ) -> tuple[NDArray[np.float64], ...]:
        """Reads the EMAs of :meth:`bars`.

        Args:
            symbol: the symbol.
            timeframe: seconds.
            count: frames to look back at most.
            end: the bars end at or before this, ms; None for the newest.

        Returns:
            One array per period, aligned with the bars, NaN where not yet defined.
        """
        ...

    def open_bar(self, symbol: str, timeframe: int) -> Rows:
        """Aggregates the closed minutes since the last completed bar.

        Args:
            symbol: the symbol.
            timeframe: seconds.

        Returns:
            One row of dtype ROW, or none.
        """
        ...

    def profile(
        self, symbol: str, day: int | None = None, patience: float | None = None
    ) -> ProfileView | None:
        """Gives the profile of a UTC day.

        Args:
            symbol: the symbol.
            day: midnight, ms; None for the newest.
            patience: seconds after which what there was before is given; once there is more the symbol
                looks changed. None: as long as it takes.

        Returns:
            The profile; None if there is none.
        """
        ...

    def range_profile(self, symbol: str, spans: Spans, patience: float | None = None) -> RangeView | None:
        """Gives the profile of any minutes: a range, a session, a composite of days.

        Args:
            symbol: the symbol.
            spans: start and end (exclusive) of each, ms, in order.
            patience: see :meth:`profile`.

        Returns:
            The profile; None without trades, or where the spans are longer than :data:`LONGEST_RANGE`.
        """
        ...

    def footprint(
        self,
        symbol: str,
        timeframe: int,
        count: int,
        levels: int,
        end: int | None = None,
        patience: float | None = None,
    ) -> FootprintView | None:
        """Gives what was bought and sold at each price of bars, the one in progress among them.

        Args:
            symbol: the symbol.
            timeframe: seconds.
            count: bars at most.
            levels: rows that all of them together may take.
            end: exclusive end of the last one, ms; None for the newest.
            patience: see :meth:`profile`; the newest bars are given first.

        Returns:
            The bars; None where nothing was traded, without minutes, or while no profiles are made.
        """
        ...

    def naked_pocs(self, symbol: str, patience: float | None = None) -> tuple[NakedPoc, ...]:
        """Lists the naked points of control of the days whose profiles are kept.

        Args:
            symbol: the symbol.
            patience: see :meth:`profile`.

        Returns:
            By day, ascending.
        """
        ...

    def developing(
        self, symbol: str, day: int, every: int, patience: float | None = None
    ) -> LevelLines | None:
        """Gives the levels of a day's profile as they developed.

        Args:
            symbol: the symbol.
            day: midnight, ms.
            every: minutes from one point to the next.
            patience: see :meth:`profile`; the levels are given up to where they are followed by then.

        Returns:
            The lines; None if there is no profile.
        """
        ...

    def anchored(self, symbol: str, anchor: int, timeframe: int, end: int | None = None) -> AnchoredLine:
        """Gives the VWAP from an anchor on.

        Args:
            symbol: the symbol.
            anchor: where it begins, ms.
            timeframe: of the bars at whose ends there are values, seconds.
            end: ms; None for the newest minute.

        Returns:
            The line, of at most the last :data:`LONGEST_RANGE` before the end; empty without minutes.
        """
        ...

    def coverage(self, symbol: str, start: int, end: int, cells: int) -> tuple[MinuteState, ...]:
        """Gives the state of equal parts of a range, in each the one that matters most.

        Args:
            symbol: the symbol.
            start: ms, inclusive.
            end: ms, exclusive.
            cells: number of parts.

        Returns:
            One state a part.
        """
        ...

    def sources(self, symbol: str, start: int, end: int) -> Mapping[str, int]:
        """Counts minutes by source.

        Args:
            symbol: the symbol.
            start: ms, inclusive.
            end: ms, exclusive, at most two days later.

        Returns:
            Number of minutes by name of the source.
        """
        ...

    def days(self, symbol: str, start: int, end: int) -> tuple[DayView, ...]:
        """Describes UTC days: what is there, and what became of what was published live.

        Args:
            symbol: the symbol.
            start: midnight, ms.
            end: midnight, ms, exclusive, at most 31 days later.

        Returns:
            A view a day; nothing where they are not known yet.
        """
        ...

    def minute(self, symbol: str, open_time: int) -> MinuteView | None:
        """Describes a minute with every value it had.

        Args:
            symbol: the symbol.
            open_time: of the minute, ms.

        Returns:
            What is known of it; None while it is not.
        """
        ...

    def digests(self, symbol: str, day: int) -> Mapping[str, str]:
        """Gives the digests of a day's minutes: of its signed leaf and Parquet file, where they are made.

        Args:
            symbol: the symbol.
            day: midnight, ms.

        Returns:
            SHA-256, hex, by what it is of: ``canonical bytes``, ``archive zip``, ``signed leaf`` or
            ``partition``.
        """
        ...

    def noted_minutes(self, symbol: str, day: int) -> tuple[int, ...]:
        """Lists the minutes of a day that were corrected or came late, or whose trade ids did not join.

        Args:
            symbol: the symbol.
            day: midnight, ms.

        Returns:
            Open times (ms), ascending, at most a few hundred.
        """
        ...

    def numbers(self, symbol: str) -> SymbolNumbers | None:
        """Gives what the newest message of a symbol states beside its view.

        Args:
            symbol: the symbol.

        Returns:
            The numbers; None before the first message.
        """
        ...

    def retry_gaps(self, symbol: str | None = None) -> None:
        """Retries gaps now.

        Args:
            symbol: the symbol; None for all.
        """
        ...

    def acknowledge(self, number: int | None = None) -> None:
        """Acknowledges alerts.

        Args:
            number: of the alert; None for all.
        """
        ...

    def save_rule(self, rule: RuleView, replaces: str = "") -> Future[str]:
        """Saves a rule of alerts and puts it in force.

        Args:
            rule: the rule, and where to keep it.
            replaces: name of the rule in the same place that it takes the place of; "" for a new one.

        Returns:
            Why it was not saved; "" if it was.
        """
        ...

    def delete_rule(self, rule: RuleView) -> Future[str]:
        """Deletes a rule of alerts.

        Args:
            rule: the rule.

        Returns:
            Why it was not deleted; "" if it was.
        """
        ...

    def listed(self) -> tuple[str, ...]:
        """Names of the symbols that the exchange trades, sorted; empty while it was not asked yet."""
        ...

    def add_symbol(self, symbol: str) -> None:
        """Tracks a symbol until the feeder stops or reloads its configuration.

        Args:
            symbol: the symbol.
        """
        ...

    def drop_symbol(self, symbol: str) -> None:
        """Stops tracking a symbol; what is stored of it stays.

        Args:
            symbol: the symbol.
        """
        ...


@dataclass(frozen=True, slots=True)
class FaultOption:
    """A fault that can be switched on in a demo."""

    name: str
    text: str  # what it does, a few words
    of_symbol: bool = False  # strikes the selected symbol only


class Faults(Protocol):
    """The faults of a demo's exchange or workers, to watch the recovery.

    Calls may take seconds and are made off the screen's loop.
    """

    def options(self) -> tuple[FaultOption, ...]:
        """What can be switched on; at once."""
        ...

    def switch_on(self, name: str, symbol: str | None) -> str:
        """Switches a fault on.

        Args:
            name: of the fault.
            symbol: the symbol it is confined to, if it can be.

        Returns:
            What happens now, or why it cannot, in words.
        """
        ...

    def heal(self) -> str:
        """Switch every fault off; what ended, in words."""
        ...
