"""The Exchange protocol: everything the engine knows about an exchange, and the values that pass through it.

An adapter is a class with the members of :class:`Exchange`. It alone knows addresses, payloads, request
weights, page sizes and archive layouts; the engine asks :meth:`Exchange.facts` for what differs between
markets and names no market itself. All instants are integer milliseconds of the exchange's clock, UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

from tui_feeder.engine.core.archive_file import File
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Rows
from tui_feeder.engine.core.clock import ExchangeClock, Step
from tui_feeder.engine.core.decimals import places
from tui_feeder.engine.core.trade_ids import TradeIds
from tui_feeder.engine.core.trades import TradeRow, Trades
from tui_feeder.errors import ExchangeFailure
from tui_feeder.live_access import Forwarded
from tui_feeder.safe_text import printable

# --- symbols -------------------------------------------------------------------------------------


class Trading(Enum):
    """Whether a listed symbol is traded."""

    NOT_YET = "not yet"
    NOW = "now"
    NO_LONGER = "no longer"


@dataclass(frozen=True, slots=True)
class SymbolInfo:
    """What the exchange lists of a symbol."""

    symbol: str
    tick_size: float
    trading: Trading = Trading.NOW
    status: str = ""
    """The exchange's own word for it, shown to people."""
    matches_patterns: bool = True
    """Whether ``ALL`` and patterns take it in; otherwise its name must be stated in full."""
    listed_hint: int = 0
    """When its trading began, ms; wrong for many symbols, so it decides nothing alone. 0: not stated."""
    delivery: int = 0
    """When it ends for good, ms, as a contract that is delivered does; 0 for one that does not."""
    contract_size: float = 0.0
    """What a contract is worth, in the quote asset; 0 where trades are not counted in contracts."""

    @property
    def end(self) -> int | None:
        """From which minute on there is none, ms: the first after its delivery; None where it has no end."""
        return -(-self.delivery // MINUTE_MS) * MINUTE_MS or None

    @property
    def price_decimals(self) -> int:
        """Decimals of the tick size, for showing prices."""
        return places(self.tick_size)


class Listings(NamedTuple):
    """The exchange's list of symbols."""

    symbols: dict[str, SymbolInfo]
    unusable: dict[str, str]  # names of entries that cannot be used, fit to be shown, and why
    entries: Mapping[str, bytes] = MappingProxyType(
        {}
    )  # by symbol, as the exchange writes it (JSON), if it does
    heads: Mapping[str, bytes] = MappingProxyType({})  # by market, what is listed beside its symbols (JSON)


# --- requests ------------------------------------------------------------------------------------


class Refusal(StrEnum):
    """Why a request got no usable answer."""

    EMPTY_ANSWER = "empty answer"
    NO_CANDLES = "nothing there"  # of the minutes asked for
    UNKNOWN_SYMBOL = "unknown symbol"
    BAD_REQUEST = "bad request"
    BAD_ANSWER = "bad answer"
    RATE_LIMITED = "rate limited"
    BANNED = "banned"
    FORBIDDEN = "forbidden"  # by a firewall, for a while
    REFUSED_HERE = "refused here"  # by country
    EXCHANGE_ERROR = "exchange error"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"

    @property
    def about_the_request(self) -> bool:
        """Whether what was asked for was refused; otherwise the exchange or the way to it is at fault."""
        return self in (
            Refusal.EMPTY_ANSWER, Refusal.UNKNOWN_SYMBOL, Refusal.BAD_REQUEST, Refusal.BAD_ANSWER
        )  # fmt: skip

    @property
    def final(self) -> bool:
        """Whether asking again in a moment is sure to be refused again."""
        return self in (Refusal.UNKNOWN_SYMBOL, Refusal.REFUSED_HERE, Refusal.BANNED)


class RestError(ExchangeFailure):
    """A request got no usable answer.

    Args:
        kind: why; shown as the state of REST.
        text: the reason in words; what a terminal would obey is made printable.
        retry_ms: when asking again makes sense, exchange ms; None where nothing is known of that.
    """

    def __init__(self, kind: Refusal, text: str, retry_ms: int | None = None) -> None:
        super().__init__(printable(text))  # the exchange's own words are part of it
        self.kind = kind
        self.retry_ms = retry_ms


class Page(NamedTuple):
    """The candles of one window."""

    rows: Rows  # closed ones inside the window, sorted, each open time once; unchecked for sane prices
    newest: int  # open time of the newest one shown, closed or not: it has begun by the exchange's own clock


@dataclass(frozen=True, slots=True)
class ExchangeStatus:
    """The state of requests and downloads."""

    state: str = "ok"
    """``ok``, ``idle`` before the first request, or the :class:`Refusal` that came last."""
    silenced: bool = False
    """Whether the exchange asked for a pause; requests made meanwhile wait."""
    waiting: str = ""
    """Why requests are delayed, in words; "" while they are sent at once."""
    banned_until: int = 0
    """Exchange ms until which the address is banned; in the past or 0 where it is not."""
    requests: int = 0
    weight_used: int = 0
    """Of the current minute."""
    weight_limit: int = 0
    """A minute."""
    weight_waits: int = 0
    """How often a request waited for the next minute."""
    archive_files: int = 0
    archive_bytes: int = 0
    weight_market: str = ""
    """Whose weight it is, where several markets are in use: as signed days call it."""


# --- archives ------------------------------------------------------------------------------------


class RefusedLine(NamedTuple):
    """A line of an archive that holds no candle."""

    open_time: int  # its minute (ms), or the one it should have had
    text: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class ArchiveRows:
    """What an archive file held."""

    path: str  # what the file is known by: below the archive's address
    rows: Rows  # sorted, each open time once; unchecked for sane prices
    refused: tuple[RefusedLine, ...]
    checked: bool  # its checksum agreed
    sha256: str
    etag: str  # as the archive states it, "" if it does not
    size: int  # bytes downloaded
    note: str  # what was odd about it, "" when nothing
    checksum: str = ""  # the line of its ``.CHECKSUM`` as read, "" where there is none
    last_modified: str = ""  # as the archive states it, "" if it does not


class ArchiveError(ExchangeFailure):
    """A file cannot be used; the message has the reason. ``missing`` when it is simply not there."""

    def __init__(self, text: str, *, missing: bool = False) -> None:
        super().__init__(text)
        self.missing = missing


# --- streams -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamHandlers:
    """Where a stream hands its frames. All are called on the loop and must not block."""

    candle: Callable[[str, Candle, bool, int], None]
    """Symbol, candle, whether it is closed, the frame's own time (exchange ms)."""
    fault: Callable[[str, str], None]
    """Kind of a frame that could not be used, and the detail."""
    raw: Callable[[str, bytes], None] | None = None
    """Where every message goes as it came: the address it came from, and its bytes."""
    trade_ids: Callable[[str, int, TradeIds | None, bool], None] | None = None
    """Called before ``candle``: symbol, open time (ms), ids of trades (None where the frame has none that can
    be), whether it is closed."""


@dataclass(frozen=True, slots=True)
class TradeHandlers:
    """Where a stream hands aggregated trades. Both are called on the loop and must not block."""

    trade: Callable[[str, TradeRow], None]
    """Symbol and trade, as it came: in order or not, once or twice."""
    fault: Callable[[str, str], None]
    """Kind of a frame that could not be used, and the detail."""


class StreamSocket(Protocol):
    """One connection of a stream, as screens, health and doctor see it."""

    @property
    def name(self) -> str:
        """Shown to people."""
        ...

    @property
    def url(self) -> str:
        """Where it leads."""
        ...

    @property
    def symbols(self) -> Sequence[str]:
        """Those it carries."""
        ...

    @property
    def state(self) -> str:
        """``connecting``, ``live``, ``silent`` or ``backing off``."""
        ...

    @property
    def reason(self) -> str:
        """Why the last connection ended; "" while frames come."""
        ...

    @property
    def frames(self) -> int:
        """Frames of data received."""
        ...

    @property
    def last_frame(self) -> int | None:
        """When the last one came, exchange ms."""
        ...

    @property
    def latency_ms(self) -> float | None:
        """From the stamp of a frame to its arrival, smoothed."""
        ...

    @property
    def reconnects(self) -> int:
        """Connection attempts after the first; -1 before it."""
        ...

    @property
    def cuts(self) -> int:
        """Connections that ended after frames had come over them."""
        ...

    @property
    def connected_at(self) -> int | None:
        """When the present connection was made, exchange ms; None where there is none."""
        ...

    def carries(self, symbol: str) -> bool:
        """Whether a symbol's frames come from here.

        Args:
            symbol: whose.

        Returns:
            False also for one that is no longer to come from here.
        """
        ...

    def frames_per_second(self) -> float:
        """Rate since the last call, at least over a second."""
        ...


class Streams(Protocol):
    """The live candles of all symbols, or the trades of some."""

    @property
    def sockets(self) -> Sequence[StreamSocket]:
        """The connections; those that are open, and those that are to be."""
        ...

    def assign(self, symbols: Sequence[str]) -> None:
        """Deliver exactly these symbols from now on; those that stay lose no frame.

        Args:
            symbols: each once.
        """
        ...

    async def run(self) -> None:
        """Connect and deliver until cancelled; connections that end are made again."""
        ...


# --- the exchange --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MarketFacts:
    """What differs between markets and the engine must know."""

    page_candles: int
    """Candles that one request asks for in bulk reads."""
    native_timeframes: tuple[int, ...]
    """Seconds of every timeframe that :meth:`Exchange.candles` has, ascending; begins with 60."""
    close_deadline_ms: int
    """A minute whose closing frame has not arrived this long after its end is read by a request."""
    settle_ms: int
    """A minute is not requested sooner than this after its end: the answer may lack it."""
    final_ms: int
    """A candle read later than this after the end of its minute no longer changes."""
    archive_published: Callable[[File], int] | None
    """When (exchange ms) a file can be expected; earlier requests find nothing. None: there is no archive."""
    omits_minutes: bool = False
    """Whether the exchange has no candle at all of some minutes, for good, as of those of an outage."""
    name: str = ""
    """What signed days call the market."""
    archive_path: Callable[[File, str], str] | None = None
    """Where the archive has a file of a symbol: :attr:`ArchiveRows.path`."""
    contract_size: Callable[[str], float] | None = None
    """Where volumes are contracts: what one is worth, in the quote asset, by the exchange's name of a symbol
    that is not listed."""


class Exchange(Protocol):
    """An exchange, for one run. Calls come from one event loop.

    Attributes:
        address: shown to people, such as ``https://fapi.binance.com``.
        clock: the exchange's; :meth:`sync_clock` sets it, the timestamps of frames confirm it.
        probe_symbol: one that trades every minute, to check that frames arrive.
        on_reached: called when requests are answered again after they were not. With True once candles are
            given: everything that waits may be tried. With False while only something else was answered: one
            trial request shows whether candles are given too.
        on_unusable: called with how many rows of an answer were left out, why the first, and the symbol.
    """

    address: str
    clock: ExchangeClock
    probe_symbol: str
    on_reached: Callable[[bool], None]
    on_unusable: Callable[[int, str, str], None]

    def facts(self, symbol: str) -> MarketFacts:
        """The facts of the market that a symbol belongs to.

        Args:
            symbol: listed or not.

        Returns:
            Always the same ones.
        """
        ...

    def status(self) -> ExchangeStatus:
        """The present state of requests and downloads."""
        ...

    async def sync_clock(self) -> Step:
        """Measure the exchange's time and set :attr:`clock`.

        Returns:
            What that did to the clock.

        Raises:
            RestError: no usable answer.
        """
        ...

    async def listings(self, wanted: Sequence[str]) -> Listings:
        """Every listed symbol of the markets in use.

        Args:
            wanted: names and patterns to follow; where there are several markets, those that they name are in
                use from now on.

        Returns:
            The symbols; of a name whose market's list cannot be had, why.

        Raises:
            RestError: no usable answer.
        """
        ...

    async def first_minute(self, symbol: str, start: int) -> int | None:
        """The first minute of which there is a candle.

        Args:
            symbol: whose.
            start: ms; earlier ones do not count.

        Returns:
            Its open time (ms), None if there is none.

        Raises:
            RestError: no usable answer.
        """
        ...

    async def candles(
        self, symbol: str, timeframe: int, start: int, end: int, *, urgent: bool = False
    ) -> Page:
        """The closed candles of ``[start, end)``.

        Args:
            symbol: whose.
            timeframe: seconds, one of :attr:`MarketFacts.native_timeframes`.
            start: ms, on the timeframe.
            end: ms, exclusive, on the timeframe; at most :attr:`MarketFacts.page_candles` later.
            urgent: live repair: may use what bulk reads leave of the request budget.

        Returns:
            Those there are, and which is the newest one shown.

        Raises:
            RestError: no usable answer, with its kind.
        """
        ...

    async def read_archive(self, file: File, symbol: str, on_bytes: Callable[[int], None]) -> ArchiveRows:
        """Download, check and parse an archive file.

        Args:
            file: which.
            symbol: whose.
            on_bytes: called with the size of each part that arrives, bytes.

        Returns:
            Its rows, and what it was.

        Raises:
            ArchiveError: it is not there, damaged, too large, or its checksum differs.
        """
        ...

    def streams(self, handlers: StreamHandlers) -> Streams:
        """Live candles; of no symbols until :meth:`Streams.assign`.

        Args:
            handlers: what each frame is handed to.

        Returns:
            Not connected before :meth:`Streams.run`.
        """
        ...

    def share_budget(self, workers: int) -> None:
        """Keeps to an equal share of the request budget.

        Args:
            workers: feeders that spend from the same budget, this one among them.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class Notes(Protocol):
    """Where an adapter keeps what must outlast the process, such as a ban. The store is one."""

    read_only: bool

    def report_unusable(self, what: str, why: str) -> None:
        """A note cannot be used and counts as absent.

        Args:
            what: which.
            why: not.
        """
        ...

    def note(self, name: str) -> bytes | None:
        """What was kept.

        Args:
            name: under which.

        Returns:
            The note, None if there is none.
        """
        ...

    def put_note(self, name: str, value: bytes | None) -> Future[None]:
        """Keep a note in place of the one of the same name.

        Args:
            name: under which.
            value: None drops it.

        Returns:
            Done once it is written.
        """
        ...


@runtime_checkable
class RecordsAnswers(Protocol):
    """An exchange that hands on what it is answered, as evidence."""

    def record_answers(self, handler: Callable[[str, int, bytes], None]) -> None:
        """Have every answer handed on as it came.

        Args:
            handler: called with the address asked, the status, and the body.
        """
        ...


class TradesFile(NamedTuple):
    """What an archive file of aggregated trades held, beside its trades."""

    path: str  # what the file is known by: below the archive's address
    checked: bool  # its checksum agreed
    sha256: str
    size: int  # bytes downloaded
    refused: int  # lines that held no trade


@runtime_checkable
class GivesTrades(Protocol):
    """An exchange that shows aggregated trades: live, on request, and those of a day in its archive."""

    def trades_published(self, symbol: str, day: int) -> int | None:
        """When the file of a day can be expected.

        Args:
            symbol: whose.
            day: midnight UTC, ms.

        Returns:
            Exchange time, ms; None where the market has no such files.
        """
        ...

    async def read_trades(self, symbol: str, day: int, take: Callable[[Trades], None]) -> TradesFile:
        """Download, check and parse the trades of a day.

        Args:
            symbol: whose.
            day: midnight UTC, ms.
            take: given the trades in their order, some thousand at a time, in a thread for computing. After
                an error what it was given is worth nothing.

        Returns:
            What the file was.

        Raises:
            ArchiveError: it is not there, damaged, too large, or its checksum differs.
        """
        ...

    def trade_streams(self, handlers: TradeHandlers) -> Streams:
        """Live trades, on connections of their own; of no symbols until :meth:`Streams.assign`.

        Args:
            handlers: what each trade is handed to.

        Returns:
            Not connected before :meth:`Streams.run`. Symbols of markets whose trades are not read are left
            out.
        """
        ...

    async def trades_from(self, symbol: str, first_id: int) -> Sequence[TradeRow]:
        """Ask for a page of trades; live repair of candles goes first.

        Args:
            symbol: whose.
            first_id: of the first one wanted.

        Returns:
            Those from there on, by id, as many as a page holds; none where there are none yet.

        Raises:
            RestError: no usable answer, with its kind.
        """
        ...


def shows_trades(exchange: object, symbol: str) -> bool:
    """Finds whether the trades of a symbol can be read.

    Args:
        exchange: of the symbol.
        symbol: which.

    Returns:
        False where the exchange, or the symbol's market, shows none that are read.
    """
    return isinstance(exchange, GivesTrades) and exchange.trades_published(symbol, 0) is not None


class Probe(NamedTuple):
    """A question about an exchange that its documents leave open."""

    question: str
    answer: str  # what was seen, and how much of it


@runtime_checkable
class AnswersProbes(Protocol):
    """An exchange of which something is not known that a try would show."""

    async def probe(self, record: Callable[[str, bytes], None], seconds: float) -> Sequence[Probe]:
        """Ask it; a question that fails answers with why.

        Args:
            record: given the address and every message as it came.
            seconds: how long to listen.

        Returns:
            What was seen.
        """
        ...


@runtime_checkable
class ForwardsRequests(Protocol):
    """An exchange that sends public requests for other programs, within its budget."""

    async def forward(self, name: str, parameters: Sequence[tuple[str, str]]) -> Forwarded:
        """Send a request, if there is room for it in the budget; it waits for none.

        Args:
            name: of the call.
            parameters: of its query.

        Returns:
            The answer whatever its status, or why it was not sent.
        """
        ...
